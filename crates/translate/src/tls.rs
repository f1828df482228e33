//! TLS contexts: of mutual TLS between workloads, and of servers at the edge.

use ir::tls::{
    CertificateSource, CommonTls, DataSource, RootsSource, SanKind, SanMatcher, SdsRef, SdsVia,
    TlsCertificate, TlsVersion, Validation,
};
use ir::{DownstreamTls, StringMatcher, UpstreamTls};
use istio_api::networking::{ServerTls, ServerTlsMode, gateway};
use stdx::Str;

use crate::names::strs;
use crate::settings::Settings;

/// The agent's cluster in every bootstrap.
const SDS_CLUSTER: &str = "sds-grpc";
/// What the names of Kubernetes Secrets begin with.
const CREDENTIAL: &str = "kubernetes://";
/// The part of a Secret, or the Secret beside it, that has the roots for clients' certificates.
pub const CA_SUFFIX: &str = "-cacert";
/// The workload's certificate.
const SDS_DEFAULT: &str = "default";
/// The mesh's roots.
const SDS_ROOT: &str = "ROOTCA";

/// What a sidecar says to a client that comes with mutual TLS: a client certificate of one of
/// these trust domains is required.
pub fn inbound(alpn: &[&str], trust_domains: &[Str]) -> DownstreamTls {
    let match_sans = trust_domains.iter().map(of_domain).collect();
    DownstreamTls { common: workload(alpn, match_sans), require_client_certificate: true }
}

/// What a proxy says to a workload of the mesh. Only these identities (SPIFFE URIs) are believed;
/// an empty list believes every identity of the mesh, as Istio does for services without endpoints.
pub fn istio_mutual(alpn: &[&str], sni: Str, identities: &[Str]) -> UpstreamTls {
    let match_sans = identities.iter().map(|id| san(StringMatcher::exact(id.clone())));
    UpstreamTls { common: workload(alpn, match_sans.collect()), sni: Some(sni) }
}

/// Why TLS cannot be served as it is asked for.
pub struct Problem {
    /// Below `tls`.
    pub field: &'static str,
    pub message: String,
}

fn problem(field: &'static str, message: &str) -> Problem {
    Problem { field, message: format!("{message}: nothing is served there") }
}

/// TLS that ends at a server, by a Gateway's or Sidecar's settings. `http`: HTTP is inside.
///
/// # Errors
/// What is asked for cannot be had, and less would be less safe.
pub fn server(written: &ServerTls, http: bool, settings: &Settings) -> Result<DownstreamTls, Problem> {
    let mode = written.mode.unwrap_or(ServerTlsMode::Passthrough);
    refuse_unsupported(written)?;
    let alpn: &[&str] = match (mode, http) {
        (ServerTlsMode::IstioMutual, false) => &["istio-peer-exchange", "h2", "http/1.1"],
        _ => &["h2", "http/1.1"],
    };
    let require_client_certificate = matches!(mode, ServerTlsMode::Mutual | ServerTlsMode::IstioMutual);
    if mode == ServerTlsMode::IstioMutual {
        let sans = match written.subject_alt_names.as_slice() {
            [] => settings.trust_domains.iter().map(of_domain).collect(),
            names => names.iter().map(any_san).collect(),
        };
        return Ok(DownstreamTls { common: workload(alpn, sans), require_client_certificate });
    }
    let judges = require_client_certificate || mode == ServerTlsMode::OptionalMutual;
    let common = CommonTls {
        certificate: Some(certificate(written)?),
        validation: if judges { Some(validation(written)?) } else { None },
        alpn: strs(alpn),
        min_version: Some(min_version(written)),
        max_version: Some(max_version(written)?),
    };
    Ok(DownstreamTls { common, require_client_certificate })
}

/// What would leave a server open to more than it is meant for.
fn refuse_unsupported(written: &ServerTls) -> Result<(), Problem> {
    let unsupported: [(&'static str, bool); 6] = [
        ("caCrl", written.ca_crl.is_some()),
        ("verifyCertificateSpki", !written.verify_certificate_spki.is_empty()),
        ("verifyCertificateHash", !written.verify_certificate_hash.is_empty()),
        ("cipherSuites", !written.cipher_suites.is_empty()),
        ("ecdhCurves", !written.ecdh_curves.is_empty()),
        ("insecureSkipVerify", written.insecure_skip_verify == Some(true)),
    ];
    match unsupported.into_iter().find(|(_, set)| *set) {
        Some((field, _)) => Err(problem(field, "has no effect yet")),
        None => Ok(()),
    }
}

/// The first of several: each would do.
fn certificate(written: &ServerTls) -> Result<CertificateSource, Problem> {
    if let Some(name) = written.credential_name.iter().chain(&written.credential_names).next() {
        return Ok(CertificateSource::Sds(credential(name, "")));
    }
    let own = Some(&written.certificate).filter(|files| !files.server_certificate.is_empty());
    let Some(files) = own.or_else(|| written.certificates.first()) else {
        return Err(problem("credentialName", "no certificate is named"));
    };
    if files.private_key.is_empty() || files.server_certificate.is_empty() {
        return Err(problem("privateKey", "a certificate needs its key"));
    }
    Ok(CertificateSource::Inline(TlsCertificate {
        chain: DataSource::File(files.server_certificate.clone()),
        key: DataSource::File(files.private_key.clone()),
    }))
}

fn validation(written: &ServerTls) -> Result<Validation, Problem> {
    let credential_name = written.credential_name.iter().chain(&written.credential_names).next();
    let files = || written.certificates.first().into_iter().chain([&written.certificate]);
    let file = files().map(|files| &files.ca_certificates).find(|file| !file.is_empty());
    let roots = if let Some(name) = &written.ca_cert_credential_name {
        RootsSource::Sds(credential(name, ""))
    } else if let Some(name) = credential_name {
        RootsSource::Sds(credential(name, CA_SUFFIX))
    } else if let Some(file) = file {
        RootsSource::Inline(DataSource::File(file.clone()))
    } else {
        return Err(problem("caCertificates", "nothing says which client certificates are good"));
    };
    Ok(Validation { roots, match_sans: written.subject_alt_names.iter().map(any_san).collect() })
}

/// Of what is below 1.2 nothing is spoken, whatever is allowed.
fn min_version(written: &ServerTls) -> TlsVersion {
    match written.min_protocol_version {
        Some(gateway::TlsVersion::V1_3) => TlsVersion::V1_3,
        _ => TlsVersion::V1_2,
    }
}

fn max_version(written: &ServerTls) -> Result<TlsVersion, Problem> {
    match written.max_protocol_version {
        Some(gateway::TlsVersion::V1_0 | gateway::TlsVersion::V1_1) => {
            Err(problem("maxProtocolVersion", "versions of TLS below 1.2 are not spoken"))
        }
        Some(gateway::TlsVersion::V1_2) => Ok(TlsVersion::V1_2),
        _ => Ok(TlsVersion::V1_3),
    }
}

/// A Secret of the gateway's namespace, as Istio names it.
pub fn credential(name: &str, suffix: &str) -> SdsRef {
    let full = match name.contains("://") {
        true => format!("{name}{suffix}"),
        false => format!("{CREDENTIAL}{name}{suffix}"),
    };
    SdsRef { name: full.into(), via: SdsVia::Ads }
}

fn of_domain(domain: &Str) -> SanMatcher {
    san(StringMatcher::prefix(format!("spiffe://{domain}/")))
}

/// A name as an URI if it looks like one, else as a DNS name.
fn any_san(name: &Str) -> SanMatcher {
    let kind = if name.contains("://") { SanKind::Uri } else { SanKind::Dns };
    SanMatcher { kind, matcher: StringMatcher::exact(name.clone()) }
}

fn workload(alpn: &[&str], match_sans: Vec<SanMatcher>) -> CommonTls {
    CommonTls {
        certificate: Some(CertificateSource::Sds(sds(SDS_DEFAULT))),
        validation: Some(Validation { roots: RootsSource::Sds(sds(SDS_ROOT)), match_sans }),
        alpn: strs(alpn),
        min_version: Some(TlsVersion::V1_2),
        max_version: Some(TlsVersion::V1_3),
    }
}

fn sds(name: &str) -> SdsRef {
    SdsRef { name: name.into(), via: SdsVia::Cluster(SDS_CLUSTER.into()) }
}

fn san(matcher: StringMatcher) -> SanMatcher {
    SanMatcher { kind: SanKind::Uri, matcher }
}
