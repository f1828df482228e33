//! TLS contexts and secrets.

use ir::cluster::ProxyProtocol;
use ir::tls::{
    CertificateSource, CommonTls, DataSource, RootsSource, SanKind, SanMatcher, SdsRef, SdsVia,
    SecretContent, TlsCertificate, TlsVersion, Validation,
};
use ir::{ConfigSource, DownstreamTls, Secret, UpstreamTls};

use super::{matcher, wire};
use crate::pb::core::{self, api_config_source::ApiType, config_source::ConfigSourceSpecifier};
use crate::pb::proxy_protocol::ProxyProtocolUpstreamTransport;
use crate::pb::raw_buffer::RawBuffer;
use crate::pb::tls::certificate_validation_context::TrustChainVerification;
use crate::pb::tls::common_tls_context::{CombinedCertificateValidationContext, ValidationContextType};
use crate::pb::tls::{self as pb, subject_alt_name_matcher::SanType, tls_parameters::TlsProtocol};
use crate::{Any, names};

/// Encodes a secret.
pub fn secret(it: &Secret) -> pb::Secret {
    let content = match &it.content {
        SecretContent::Certificate(it) => pb::secret::Type::TlsCertificate(certificate(it)),
        SecretContent::Roots(bundle) => {
            pb::secret::Type::ValidationContext(pb::CertificateValidationContext {
                trusted_ca: Some(data_source(&bundle.roots)),
                crl: bundle.crl.as_ref().map(data_source),
                ..Default::default()
            })
        }
    };
    pb::Secret { name: it.name.to_string(), r#type: Some(content) }
}

pub(super) fn downstream_socket(it: &DownstreamTls) -> core::TransportSocket {
    let context = pb::DownstreamTlsContext {
        common_tls_context: Some(common(&it.common)),
        require_client_certificate: wire::truth(it.require_client_certificate),
        ..Default::default()
    };
    socket(names::TLS_SOCKET, wire::pack(&context))
}

pub(super) fn upstream_socket(it: &UpstreamTls) -> core::TransportSocket {
    let context = pb::UpstreamTlsContext {
        common_tls_context: Some(common(&it.common)),
        sni: wire::optional_text(&it.sni),
        ..Default::default()
    };
    socket(names::TLS_SOCKET, wire::pack(&context))
}

pub(super) fn raw_buffer_socket() -> core::TransportSocket {
    socket(names::RAW_BUFFER_SOCKET, wire::pack(&RawBuffer {}))
}

/// Around another socket; plaintext if there is none.
pub(super) fn proxy_protocol_socket(
    version: ProxyProtocol,
    inner: Option<core::TransportSocket>,
) -> core::TransportSocket {
    let config = ProxyProtocolUpstreamTransport {
        config: Some(core::ProxyProtocolConfig {
            version: proxy_protocol_version(version).into(),
            ..Default::default()
        }),
        transport_socket: Some(inner.unwrap_or_else(raw_buffer_socket)),
        ..Default::default()
    };
    socket(names::UPSTREAM_PROXY_PROTOCOL, wire::pack(&config))
}

pub(super) fn proxy_protocol_version(it: ProxyProtocol) -> core::proxy_protocol_config::Version {
    match it {
        ProxyProtocol::V1 => core::proxy_protocol_config::Version::V1,
        ProxyProtocol::V2 => core::proxy_protocol_config::Version::V2,
    }
}

fn socket(name: &str, config: Any) -> core::TransportSocket {
    core::TransportSocket {
        name: name.into(),
        config_type: Some(core::transport_socket::ConfigType::TypedConfig(config)),
    }
}

fn common(it: &CommonTls) -> pb::CommonTlsContext {
    let mut context = pb::CommonTlsContext {
        tls_params: parameters(it),
        alpn_protocols: wire::texts(&it.alpn),
        validation_context_type: it.validation.as_ref().map(validation),
        ..Default::default()
    };
    for source in it.certificate.iter().chain(&it.alternative) {
        match source {
            CertificateSource::Sds(it) => context.tls_certificate_sds_secret_configs.push(sds(it)),
            CertificateSource::Inline(it) => context.tls_certificates.push(certificate(it)),
        }
    }
    context
}

fn parameters(it: &CommonTls) -> Option<pb::TlsParameters> {
    let parameters = pb::TlsParameters {
        tls_minimum_protocol_version: version(it.min_version).into(),
        tls_maximum_protocol_version: version(it.max_version).into(),
        cipher_suites: wire::texts(&it.cipher_suites),
        ecdh_curves: wire::texts(&it.ecdh_curves),
        ..Default::default()
    };
    (parameters != pb::TlsParameters::default()).then_some(parameters)
}

fn version(it: Option<TlsVersion>) -> TlsProtocol {
    match it {
        None => TlsProtocol::TlsAuto,
        Some(TlsVersion::V1_2) => TlsProtocol::TlSv12,
        Some(TlsVersion::V1_3) => TlsProtocol::TlSv13,
    }
}

fn validation(it: &Validation) -> ValidationContextType {
    let mut context = pb::CertificateValidationContext {
        match_typed_subject_alt_names: it.match_sans.iter().map(san).collect(),
        verify_certificate_spki: wire::texts(&it.pins.spki),
        verify_certificate_hash: wire::texts(&it.pins.hashes),
        crl: it.crl.as_ref().map(data_source),
        trust_chain_verification: trust(it).into(),
        ..Default::default()
    };
    match &it.roots {
        RootsSource::Inline(roots) => {
            context.trusted_ca = Some(data_source(roots));
            ValidationContextType::ValidationContext(context)
        }
        RootsSource::Sds(roots) if !it.has_conditions() => {
            ValidationContextType::ValidationContextSdsSecretConfig(sds(roots))
        }
        RootsSource::Sds(roots) => {
            ValidationContextType::CombinedValidationContext(CombinedCertificateValidationContext {
                default_validation_context: Some(context),
                validation_context_sds_secret_config: Some(sds(roots)),
                ..Default::default()
            })
        }
    }
}

fn trust(it: &Validation) -> TrustChainVerification {
    match it.accept_untrusted {
        true => TrustChainVerification::AcceptUntrusted,
        false => TrustChainVerification::VerifyTrustChain,
    }
}

fn san(it: &SanMatcher) -> pb::SubjectAltNameMatcher {
    let kind = match it.kind {
        SanKind::Email => SanType::Email,
        SanKind::Dns => SanType::Dns,
        SanKind::Uri => SanType::Uri,
        SanKind::IpAddress => SanType::IpAddress,
    };
    pb::SubjectAltNameMatcher {
        san_type: kind.into(),
        matcher: Some(matcher::text(&it.matcher)),
        oid: String::new(),
    }
}

fn sds(it: &SdsRef) -> pb::SdsSecretConfig {
    let sds_config = match &it.via {
        SdsVia::Ads => Some(wire::ads()),
        SdsVia::Cluster(cluster) => Some(core::ConfigSource {
            config_source_specifier: Some(ConfigSourceSpecifier::ApiConfigSource(sds_service(cluster))),
            ..wire::ads()
        }),
        SdsVia::Path(path) => Some(wire::config_source(&ConfigSource::Path(path.clone()))),
        SdsVia::Static => None,
    };
    pb::SdsSecretConfig { name: it.name.to_string(), sds_config }
}

fn sds_service(cluster: &str) -> core::ApiConfigSource {
    core::ApiConfigSource {
        api_type: ApiType::Grpc.into(),
        transport_api_version: core::ApiVersion::V3.into(),
        grpc_services: vec![wire::envoy_grpc(cluster, &[])],
        set_node_on_first_message_only: true,
        ..Default::default()
    }
}

fn certificate(it: &TlsCertificate) -> pb::TlsCertificate {
    pb::TlsCertificate {
        certificate_chain: Some(data_source(&it.chain)),
        private_key: Some(data_source(&it.key)),
        ..Default::default()
    }
}

pub(super) fn data_source(it: &DataSource) -> core::DataSource {
    use core::data_source::Specifier;
    let specifier = match it {
        DataSource::File(path) => Specifier::Filename(path.to_string()),
        // PEM is text, and readable in a bootstrap file.
        DataSource::Inline(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Specifier::InlineString(text.to_owned()),
            Err(_) => Specifier::InlineBytes(bytes.clone()),
        },
    };
    core::DataSource { specifier: Some(specifier), ..Default::default() }
}
