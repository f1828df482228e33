//! TLS towards names that requests bring along: the server is asked for by the request's host, and has to
//! have a certificate for it.

use ir::UpstreamTls;
use ir::cluster::TlsFromRequest;
use istio_api::networking::{ClientTls, ClientTlsMode};
use model::Protocol;
use stdx::Str;

use super::transport::{Transport, alpn, client_certificate, outside};
use crate::settings::Settings;
use crate::tls;
use crate::unit::ScopeKey;

/// The transport to names under `tls` of a DestinationRule or of the mesh, as
/// <https://istio.io/latest/docs/reference/config/networking/destination-rule/#ClientTLSSettings> has it:
/// without `sni` the name that is asked for is the request's, and its certificate must be for the request's
/// name unless `insecureSkipVerify` is set. `sans` are expected where `written` has none.
///
/// Bytes have no host, and TLS that comes from the client has its own: what would be wrapped into more of it
/// goes nowhere.
pub fn transport(
    written: Option<&ClientTls>,
    sans: &[Str],
    protocol: Protocol,
    scope: &ScopeKey,
    settings: &Settings,
) -> Transport {
    let Some(written) = written.filter(|it| it.mode != ClientTlsMode::Disable) else {
        return Transport::default();
    };
    let has_host = protocol.is_http() || protocol == Protocol::Auto;
    let Some(tls) = upstream(written, sans, protocol, scope, settings).filter(|_| has_host) else {
        return Transport { closed: true, ..Transport::default() };
    };
    let names = TlsFromRequest {
        sni: written.sni.is_none(),
        san_validation: written.insecure_skip_verify != Some(true),
        header: None,
    };
    let names = Some(names).filter(|names| names.sni || names.san_validation);
    Transport { tls: Some(tls), names, ..Transport::default() }
}

/// `None`: nobody could be convinced of who we are.
fn upstream(
    written: &ClientTls,
    sans: &[Str],
    protocol: Protocol,
    scope: &ScopeKey,
    settings: &Settings,
) -> Option<UpstreamTls> {
    let sans = if written.subject_alt_names.is_empty() { sans } else { &written.subject_alt_names };
    let sni = written.sni.clone();
    if written.mode == ClientTlsMode::IstioMutual {
        return Some(tls::istio_mutual(alpn(scope, protocol), sni, sans, settings));
    }
    let mut common = outside(written, sans.iter().map(tls::any_san).collect(), protocol, scope, settings);
    if written.mode == ClientTlsMode::Mutual {
        common.certificate = Some(client_certificate(written, scope)?);
    }
    Some(UpstreamTls { common, sni })
}
