//! TLS contexts.

use ir::bootstrap::AdsConfig;
use ir::cluster::ProxyProtocol;
use ir::tls::{CertificateSource, CommonTls, SdsRef, SdsVia, TlsVersion};
use ir::{ConfigSource, DownstreamTls, UpstreamTls};
use stdx::Str;

use super::at::At;
use super::strict::{harmless, refuse, refuse_true};
use super::{secret, validation, wire};
use crate::Any;
use crate::pb::core;
use crate::pb::proxy_protocol::ProxyProtocolUpstreamTransport;
use crate::pb::raw_buffer::RawBuffer;
use crate::pb::tls::downstream_tls_context::SessionTicketKeysType;
use crate::pb::tls::{self as pb, tls_parameters::TlsProtocol};

/// `None` is plaintext.
pub(super) fn downstream(at: At<'_>, it: core::TransportSocket) -> Option<DownstreamTls> {
    let any = socket(at, it)?;
    let at = at.field("typed_config");
    if !wire::is::<pb::DownstreamTlsContext>(&any) {
        plaintext(at, &any);
        return None;
    }
    let pb::DownstreamTlsContext {
        common_tls_context,
        require_client_certificate,
        require_sni,
        disable_stateful_session_resumption,
        session_timeout,
        ocsp_staple_policy,
        full_scan_certs_on_sni_mismatch,
        prefer_client_ciphers,
        session_ticket_keys_type,
    } = wire::unpack(at, &any);
    refuse!(at; disable_stateful_session_resumption, session_timeout, ocsp_staple_policy, prefer_client_ciphers);
    refuse_true!(at; require_sni, full_scan_certs_on_sni_mismatch);
    match session_ticket_keys_type {
        None | Some(SessionTicketKeysType::DisableStatelessSessionResumption(false)) => {}
        Some(SessionTicketKeysType::DisableStatelessSessionResumption(true)) => {
            at.unsupported("disable_stateless_session_resumption");
        }
        Some(SessionTicketKeysType::SessionTicketKeys(_)) => at.unsupported("session_ticket_keys"),
        Some(SessionTicketKeysType::SessionTicketKeysSdsSecretConfig(_)) => {
            at.unsupported("session_ticket_keys_sds_secret_config");
        }
    }
    Some(DownstreamTls {
        common: common(at.field("common_tls_context"), common_tls_context.unwrap_or_default()),
        require_client_certificate: wire::flag(require_client_certificate, false),
    })
}

/// `None` is plaintext.
/// What a connection to an endpoint is made of.
#[derive(Default)]
pub(super) struct Transport {
    /// `None` is plaintext.
    pub tls: Option<UpstreamTls>,
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// The field `transport_socket`, also where a PROXY protocol's header goes before it.
pub(super) fn wrapped(at: At<'_>, it: Option<core::TransportSocket>) -> Transport {
    let at = at.field("transport_socket");
    let Some(any) = it.and_then(|it| socket(at, it)) else { return Transport::default() };
    let at = at.field("typed_config");
    if !wire::is::<ProxyProtocolUpstreamTransport>(&any) {
        return Transport { tls: upstream(at, &any), proxy_protocol: None };
    }
    let ProxyProtocolUpstreamTransport {
        config,
        transport_socket,
        allow_unspecified_address,
        tlv_as_pool_key,
    } = wire::unpack(at, &any);
    refuse!(at; tlv_as_pool_key);
    // Where an address is unknown, we say so in the header and never refuse to connect.
    harmless!(NoSuchMechanism; allow_unspecified_address);
    let core::ProxyProtocolConfig { version, pass_through_tlvs, added_tlvs } = config.unwrap_or_default();
    {
        let at = at.field("config");
        refuse!(at; pass_through_tlvs, added_tlvs);
    }
    let version = proxy_protocol_version(at.field("config").field("version"), version);
    let at = at.field("transport_socket");
    if transport_socket.is_none() {
        at.refuse("is required");
    }
    let inner = transport_socket.and_then(|it| socket(at, it));
    let tls = inner.and_then(|any| upstream(at.field("typed_config"), &any));
    Transport { tls, proxy_protocol: Some(version) }
}

pub(super) fn proxy_protocol_version(at: At<'_>, it: i32) -> ProxyProtocol {
    match wire::enumeration(at, it) {
        core::proxy_protocol_config::Version::V1 => ProxyProtocol::V1,
        core::proxy_protocol_config::Version::V2 => ProxyProtocol::V2,
    }
}

fn upstream(at: At<'_>, any: &Any) -> Option<UpstreamTls> {
    if !wire::is::<pb::UpstreamTlsContext>(any) {
        plaintext(at, any);
        return None;
    }
    let pb::UpstreamTlsContext {
        common_tls_context,
        sni,
        auto_host_sni,
        auto_sni_san_validation,
        allow_renegotiation,
        max_session_keys,
        enforce_rsa_key_usage,
    } = wire::unpack(at, any);
    refuse!(at; auto_host_sni, auto_sni_san_validation, allow_renegotiation, max_session_keys,
        enforce_rsa_key_usage);
    let context_at = at.field("common_tls_context");
    let common = common(context_at, common_tls_context.unwrap_or_default());
    if common.alternative.is_some() {
        context_at.field("tls_certificates").refuse("a client has one certificate");
    }
    Some(UpstreamTls { common, sni: wire::optional_text(sni) })
}

fn socket(at: At<'_>, it: core::TransportSocket) -> Option<Any> {
    let core::TransportSocket { name, config_type } = it;
    match config_type {
        Some(core::transport_socket::ConfigType::TypedConfig(any)) => {
            harmless!(Label; name);
            Some(any)
        }
        None => {
            at.field("typed_config").refuse("is required");
            None
        }
    }
}

fn plaintext(at: At<'_>, any: &Any) {
    if wire::is::<RawBuffer>(any) {
        let RawBuffer {} = wire::unpack(at, any);
    } else {
        wire::unknown_type(at, any);
    }
}

fn common(at: At<'_>, it: pb::CommonTlsContext) -> CommonTls {
    let pb::CommonTlsContext {
        tls_params,
        tls_certificates,
        tls_certificate_sds_secret_configs,
        tls_certificate_provider_instance,
        custom_tls_certificate_selector,
        tls_certificate_certificate_provider,
        tls_certificate_certificate_provider_instance,
        alpn_protocols,
        custom_handshaker,
        key_log,
        validation_context_type,
    } = it;
    refuse!(at; tls_certificate_provider_instance, custom_tls_certificate_selector,
        tls_certificate_certificate_provider, tls_certificate_certificate_provider_instance, custom_handshaker,
        key_log);
    let [certificate, alternative] =
        own_certificates(at, tls_certificates, tls_certificate_sds_secret_configs);
    CommonTls {
        certificate,
        alternative,
        validation: validation_context_type.and_then(|it| validation::validation(at, it)),
        alpn: wire::texts(alpn_protocols),
        ..parameters(at.field("tls_params"), tls_params.unwrap_or_default())
    }
}

fn parameters(at: At<'_>, it: pb::TlsParameters) -> CommonTls {
    let pb::TlsParameters {
        tls_minimum_protocol_version,
        tls_maximum_protocol_version,
        cipher_suites,
        ecdh_curves,
        signature_algorithms,
        compliance_policies,
    } = it;
    refuse!(at; signature_algorithms, compliance_policies);
    let min = version(at.field("tls_minimum_protocol_version"), tls_minimum_protocol_version);
    let max = version(at.field("tls_maximum_protocol_version"), tls_maximum_protocol_version);
    if min == Some(TlsVersion::V1_3) && max == Some(TlsVersion::V1_2) {
        at.refuse("the minimum is above the maximum");
    }
    CommonTls {
        min_version: min,
        max_version: max,
        cipher_suites: wire::texts(cipher_suites),
        ecdh_curves: wire::texts(ecdh_curves),
        ..CommonTls::default()
    }
}

fn version(at: At<'_>, it: i32) -> Option<TlsVersion> {
    match wire::enumeration(at, it) {
        TlsProtocol::TlsAuto => None,
        TlsProtocol::TlSv12 => Some(TlsVersion::V1_2),
        TlsProtocol::TlSv13 => Some(TlsVersion::V1_3),
        TlsProtocol::TlSv10 | TlsProtocol::TlSv11 => {
            at.refuse("TLS before 1.2 is not supported");
            None
        }
    }
}

/// Envoy takes either certificates or names of them, and one for each kind of key.
fn own_certificates(
    at: At<'_>,
    inline: Vec<pb::TlsCertificate>,
    over_sds: Vec<pb::SdsSecretConfig>,
) -> [Option<CertificateSource>; 2] {
    if !inline.is_empty() && !over_sds.is_empty() {
        at.field("tls_certificates").refuse("is not supported beside tls_certificate_sds_secret_configs");
    }
    if inline.len().max(over_sds.len()) > 2 {
        at.field("tls_certificates").refuse("more than two certificates are not supported");
    }
    let sds_at =
        |(index, it)| CertificateSource::Sds(sds(at.index("tls_certificate_sds_secret_configs", index), it));
    let inline_at =
        |(index, it)| CertificateSource::Inline(secret::certificate(at.index("tls_certificates", index), it));
    let named = over_sds.into_iter().enumerate().map(sds_at);
    let mut all = named.chain(inline.into_iter().enumerate().map(inline_at));
    [all.next(), all.next()]
}

pub(super) fn sds(at: At<'_>, it: pb::SdsSecretConfig) -> SdsRef {
    let pb::SdsSecretConfig { name, sds_config } = it;
    let via = match sds_config {
        None => SdsVia::Static,
        Some(source) => {
            let at = at.field("sds_config");
            match wire::config_source(at, Some(source)).unwrap_or_default() {
                ConfigSource::Ads => SdsVia::Ads,
                ConfigSource::Path(it) => SdsVia::Path(it),
                ConfigSource::Api(it) => SdsVia::Cluster(sds_service(at.field("api_config_source"), *it)),
            }
        }
    };
    SdsRef { name: wire::required(at.field("name"), name), via }
}

fn sds_service(at: At<'_>, it: AdsConfig) -> Str {
    let AdsConfig { cluster, delta, metadata } = it;
    if delta {
        at.field("api_type").refuse("only GRPC is supported here");
    }
    if !metadata.is_empty() {
        at.field("grpc_services").refuse("initial_metadata is not supported here");
    }
    cluster
}
