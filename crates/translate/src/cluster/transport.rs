//! How connections to a service are secured: as a DestinationRule says, else (auto mTLS) by mutual
//! TLS to every endpoint that can.

use std::collections::BTreeMap;

use ir::cluster::{TlsFromRequest, TransportMatch};
use ir::tls::{
    CertificateSource, CommonTls, DataSource, RootsSource, SanKind, SanMatcher, TlsCertificate, TlsVersion,
    Validation,
};
use ir::{StringMatcher, UpstreamTls};
use istio_api::networking::{ClientTls, ClientTlsMode};
use istio_api::security::MtlsMode;
use model::{DataPlane, NodeType, Protocol};
use registry::{Service, View};
use stdx::Str;

use super::dynamic;
use crate::dynamic_dns;
use crate::names;
use crate::settings::Settings;
use crate::tls;
use crate::unit::ScopeKey;

/// Where the system keeps the roots it trusts.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The transport of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transport {
    pub tls: Option<UpstreamTls>,
    pub matches: Vec<TransportMatch>,
    /// Which names are those of the request.
    pub names: Option<TlsFromRequest>,
    /// What was asked for cannot be done, so no connection may be made.
    pub closed: bool,
}

/// What a transport is made from.
pub struct Context<'a, 'v> {
    pub view: &'a View<'v>,
    pub scope: &'a ScopeKey,
    pub settings: &'a Settings,
    pub service: &'a Service,
    pub port: u16,
    pub protocol: Protocol,
    pub subset: &'a str,
    /// Connections go to the address that was asked for, so no endpoint says what it can.
    pub original_dst: bool,
}

/// The transport of a cluster under a DestinationRule's `tls`, if it has any.
pub fn of(written: Option<&ClientTls>, cx: &Context<'_, '_>) -> Transport {
    if dynamic_dns::is_dynamic(cx.service) {
        let sans = &cx.service.subject_alt_names;
        return dynamic::transport(written, sans, cx.protocol, cx.scope, cx.settings);
    }
    match written {
        Some(tls) => by_rule(tls, cx),
        None => automatic(cx),
    }
}

fn by_rule(written: &ClientTls, cx: &Context<'_, '_>) -> Transport {
    match written.mode {
        ClientTlsMode::Disable => Transport::default(),
        ClientTlsMode::IstioMutual => {
            Transport { tls: Some(mutual(Some(written), cx)), ..Transport::default() }
        }
        ClientTlsMode::Simple => Transport { tls: Some(simple(written, cx)), ..Transport::default() },
        ClientTlsMode::Mutual => match client_certificate(written, cx.scope) {
            None => Transport { closed: true, ..Transport::default() },
            Some(certificate) => {
                let mut tls = simple(written, cx);
                tls.common.certificate = Some(certificate);
                Transport { tls: Some(tls), ..Transport::default() }
            }
        },
    }
}

/// The Secret that stands for the files, at gateways. Sidecars take the files.
fn secret<'a>(written: &'a ClientTls, scope: &ScopeKey) -> Option<&'a str> {
    written.credential_name.as_deref().filter(|_| scope.node_type == NodeType::Router)
}

/// From files of the proxy's own. `None`: one of them is not named, so that nobody could be
/// convinced of who we are.
pub(super) fn client_certificate(written: &ClientTls, scope: &ScopeKey) -> Option<CertificateSource> {
    if let Some(name) = secret(written, scope) {
        return Some(CertificateSource::Sds(tls::credential(name, "")));
    }
    let file = |path: &Option<Str>| path.clone().map(DataSource::File);
    let (chain, key) = (file(&written.client_certificate)?, file(&written.private_key)?);
    Some(CertificateSource::Inline(TlsCertificate { chain, key }))
}

fn automatic(cx: &Context<'_, '_>) -> Transport {
    if !cx.settings.auto_mtls || cx.service.external || !mesh_takes_mtls(cx) {
        return Transport::default();
    }
    let tls = mutual(None, cx);
    if cx.original_dst {
        return Transport { tls: Some(tls), ..Transport::default() };
    }
    let istio = BTreeMap::from([(Str::from("tlsMode"), Str::from("istio"))]);
    let matches = vec![
        TransportMatch {
            name: "tlsMode-istio".into(),
            criteria: istio,
            tls: Some(tls),
            proxy_protocol: None,
        },
        TransportMatch {
            name: "tlsMode-disabled".into(),
            criteria: BTreeMap::new(),
            tls: None,
            proxy_protocol: None,
        },
    ];
    Transport { matches, ..Transport::default() }
}

/// Whether mutual TLS can be meant at all: not where the service's namespace has it switched off,
/// and towards original destinations only if every endpoint can.
fn mesh_takes_mtls(cx: &Context<'_, '_>) -> bool {
    if cx.original_dst || cx.service.is_original_dst() {
        let endpoints = cx.view.endpoints(cx.service, cx.port);
        if endpoints.is_empty() || endpoints.iter().any(|endpoint| !endpoint.workload.mtls) {
            return false;
        }
    }
    let namespace = cx.view.mtls(&cx.service.namespace, &model::Labels::default());
    namespace.mode != MtlsMode::Disable
}

fn mutual(written: Option<&ClientTls>, cx: &Context<'_, '_>) -> UpstreamTls {
    let sni = written.and_then(|tls| tls.sni.clone());
    let sni = sni.unwrap_or_else(|| names::outbound_sni(cx.port, cx.subset, cx.service.host.as_str()));
    let given = written.map(|tls| tls.subject_alt_names.as_slice()).unwrap_or_default();
    let sans = if given.is_empty() { identities(cx) } else { given.to_vec() };
    tls::istio_mutual(alpn(cx.scope, cx.protocol), Some(sni), &sans, cx.settings)
}

/// Who may answer: the service accounts of all endpoints, ready or not, and who a ServiceEntry
/// names; in all trust domains of the mesh. Nobody known means everybody in the mesh.
fn identities(cx: &Context<'_, '_>) -> Vec<Str> {
    let mut sans: Vec<Str> = cx.service.subject_alt_names.clone();
    for port in &cx.service.ports {
        let addressed = cx.view.endpoints(cx.service, port.number);
        let named = cx.view.named_endpoints(cx.service, port.number);
        let workloads = addressed.iter().map(|e| &e.workload).chain(named.iter().map(|e| &e.workload));
        for workload in workloads {
            let identity = |domain: &Str| Str::from(workload.identity(domain).to_string());
            sans.extend(cx.settings.trust_domains.iter().map(identity));
        }
    }
    sans.sort();
    sans.dedup();
    sans
}

/// What is offered by ALPN. Our own proxy and Istio's choose by the protocol spoken, request by
/// request; stock Envoy cannot, so its clusters say what their port speaks.
pub(super) fn alpn(scope: &ScopeKey, protocol: Protocol) -> &'static [&'static str] {
    match (scope.data_plane, protocol) {
        (DataPlane::Lateen, protocol) if protocol.is_http2() => &["istio-peer-exchange", "istio", "h2"],
        (DataPlane::Lateen, _) => &["istio-peer-exchange", "istio"],
        (DataPlane::Envoy, protocol) if protocol.is_http2() => &["istio-h2", "istio", "h2"],
        (DataPlane::Envoy, protocol) if protocol.is_http() => &["istio-http/1.1", "istio", "http/1.1"],
        // Gateways speak HTTP/1.1 to ports whose protocol is not declared.
        (DataPlane::Envoy, Protocol::Auto) if scope.node_type == NodeType::Router => {
            &["istio-http/1.1", "istio", "http/1.1"]
        }
        (DataPlane::Envoy, _) => &["istio-peer-exchange", "istio"],
    }
}

/// TLS that ends at a server which need not know of the mesh. Somebody must vouch for its name.
fn simple(written: &ClientTls, cx: &Context<'_, '_>) -> UpstreamTls {
    let host = cx.service.host.to_str();
    // Which of the names is meant nobody says here, so none is sent.
    let sni = written.sni.clone().or_else(|| (!cx.service.host.is_wildcard()).then(|| host.clone()));
    let mut sans: Vec<Str> = written.subject_alt_names.clone();
    if sans.is_empty() {
        sans = cx.service.subject_alt_names.clone();
    }
    if sans.is_empty() {
        sans.extend(sni.clone());
    }
    let mut names: Vec<SanMatcher> = sans.iter().map(tls::any_san).collect();
    if names.is_empty() {
        let matcher = StringMatcher::suffix(host.trim_start_matches('*').to_owned());
        names.push(SanMatcher { kind: SanKind::Dns, matcher });
    }
    UpstreamTls { common: outside(written, names, cx.protocol, cx.scope, cx.settings), sni }
}

/// Whom TLS believes that ends outside of the mesh, and who we are there.
pub(super) fn outside(
    written: &ClientTls,
    names: Vec<SanMatcher>,
    protocol: Protocol,
    scope: &ScopeKey,
    settings: &Settings,
) -> CommonTls {
    let roots = match written.ca_certificates.as_deref() {
        None | Some("system") => SYSTEM_ROOTS,
        Some(path) => path,
    };
    let roots = match secret(written, scope) {
        Some(name) => RootsSource::Sds(tls::credential(name, tls::CA_SUFFIX)),
        None => RootsSource::Inline(DataSource::File(roots.into())),
    };
    let crl = written.ca_crl.clone().map(DataSource::File);
    let validation = Validation { crl, ..Validation::new(roots, names) };
    let mut common = CommonTls {
        certificate: None,
        // Whoever answers is believed, where the author says so.
        validation: (written.insecure_skip_verify != Some(true)).then_some(validation),
        alpn: if protocol.is_http2() { names::strs(&["h2"]) } else { Vec::new() },
        min_version: Some(TlsVersion::V1_2),
        max_version: Some(TlsVersion::V1_3),
        ..CommonTls::default()
    };
    let mesh = &settings.tls_defaults;
    tls::limit(&mut common, mesh.min_protocol_version, &mesh.cipher_suites, &mesh.ecdh_curves);
    common
}
