//! TLS contexts: of mutual TLS between workloads, and of servers at the edge.

use ir::tls::{
    CertificateSource, CommonTls, DataSource, Pins, RootsSource, SanKind, SanMatcher, SdsRef, SdsVia,
    TlsCertificate, TlsVersion, Validation,
};
use ir::{DownstreamTls, StringMatcher, UpstreamTls};
use istio_api::networking::gateway::TlsCertificate as TlsFiles;
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
pub fn inbound(alpn: &[&str], settings: &Settings) -> DownstreamTls {
    let match_sans = settings.trust_domains.iter().map(of_domain).collect();
    DownstreamTls { common: workload(alpn, match_sans, settings), require_client_certificate: true }
}

/// What a proxy says to a workload of the mesh. Only these identities (SPIFFE URIs) are believed;
/// an empty list believes every identity of the mesh, as Istio does for services without endpoints.
/// Without `sni` the request has to say which name is asked for.
pub fn istio_mutual(alpn: &[&str], sni: Option<Str>, identities: &[Str], settings: &Settings) -> UpstreamTls {
    let match_sans = identities.iter().map(|id| san(StringMatcher::exact(id.clone())));
    UpstreamTls { common: workload(alpn, match_sans.collect(), settings), sni }
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
        let mut common = workload(alpn, sans, settings);
        limit(&mut common, None, &written.cipher_suites, &written.ecdh_curves);
        if let Some(validation) = &mut common.validation {
            judge(validation, written);
        }
        return Ok(DownstreamTls { common, require_client_certificate });
    }
    let judges = require_client_certificate || mode == ServerTlsMode::OptionalMutual;
    let pins = [
        ("verifyCertificateSpki", &written.verify_certificate_spki),
        ("verifyCertificateHash", &written.verify_certificate_hash),
    ];
    if let Some((field, _)) = pins.into_iter().find(|(_, pins)| !judges && !pins.is_empty()) {
        return Err(problem(field, "names certificates of clients, which SIMPLE does not ask for"));
    }
    let (certificate, alternative) = certificates(written)?;
    let mut common = CommonTls {
        certificate: Some(certificate),
        alternative,
        validation: if judges { Some(validation(written)?) } else { None },
        alpn: strs(alpn),
        min_version: Some(min_version(written)),
        max_version: Some(max_version(written)?),
        ..CommonTls::default()
    };
    let default = |own: &[Str], of_mesh: &[Str]| if own.is_empty() { of_mesh.to_vec() } else { own.to_vec() };
    let mesh = &settings.tls_defaults;
    let cipher_suites = default(&written.cipher_suites, &mesh.cipher_suites);
    // The server's own word goes before the mesh's, also where it allows nothing newer.
    let own_version = written.min_protocol_version.is_some() || common.max_version == Some(TlsVersion::V1_2);
    let min_version = mesh.min_protocol_version.filter(|_| !own_version);
    limit(&mut common, min_version, &cipher_suites, &default(&written.ecdh_curves, &mesh.ecdh_curves));
    Ok(DownstreamTls { common, require_client_certificate })
}

/// Lays what is asked for over what is there: a version only if it is a newer one, lists unless they
/// are empty.
pub fn limit(
    common: &mut CommonTls,
    min: Option<gateway::TlsVersion>,
    cipher_suites: &[Str],
    ecdh_curves: &[Str],
) {
    if min == Some(gateway::TlsVersion::V1_3) {
        common.min_version = Some(TlsVersion::V1_3);
    }
    if !cipher_suites.is_empty() {
        common.cipher_suites = cipher_suites.to_vec();
    }
    if !ecdh_curves.is_empty() {
        common.ecdh_curves = ecdh_curves.to_vec();
    }
}

/// What a server asks of clients' certificates beside roots and names.
fn judge(validation: &mut Validation, written: &ServerTls) {
    validation.pins = Pins {
        spki: written.verify_certificate_spki.clone(),
        hashes: written.verify_certificate_hash.clone(),
    };
    validation.crl = written.ca_crl.clone().map(DataSource::File);
    validation.accept_untrusted = written.insecure_skip_verify == Some(true);
}

/// The first, and the one for clients that cannot read it.
fn certificates(written: &ServerTls) -> Result<(CertificateSource, Option<CertificateSource>), Problem> {
    let named = written.credential_name.iter().chain(&written.credential_names);
    let mut all: Vec<CertificateSource> =
        named.map(|name| CertificateSource::Sds(credential(name, ""))).collect();
    let own = Some(&written.certificate).filter(|files| !files.server_certificate.is_empty());
    let files = own.into_iter().chain(&written.certificates).map(from_files);
    if all.is_empty() {
        all = files.collect::<Result<_, _>>()?;
    }
    let mut all = all.into_iter();
    match all.next() {
        Some(first) => Ok((first, all.next())),
        None => Err(problem("credentialName", "no certificate is named")),
    }
}

fn from_files(files: &TlsFiles) -> Result<CertificateSource, Problem> {
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
    let mut validation = Validation::new(roots, written.subject_alt_names.iter().map(any_san).collect());
    judge(&mut validation, written);
    Ok(validation)
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
pub fn any_san(name: &Str) -> SanMatcher {
    let kind = if name.contains("://") { SanKind::Uri } else { SanKind::Dns };
    SanMatcher { kind, matcher: StringMatcher::exact(name.clone()) }
}

fn workload(alpn: &[&str], match_sans: Vec<SanMatcher>, settings: &Settings) -> CommonTls {
    let mut common = CommonTls {
        certificate: Some(CertificateSource::Sds(sds(SDS_DEFAULT))),
        validation: Some(Validation::new(RootsSource::Sds(sds(SDS_ROOT)), match_sans)),
        alpn: strs(alpn),
        min_version: Some(TlsVersion::V1_2),
        max_version: Some(TlsVersion::V1_3),
        ..CommonTls::default()
    };
    let mesh = &settings.mesh_mtls;
    limit(&mut common, mesh.min_protocol_version, &mesh.cipher_suites, &mesh.ecdh_curves);
    common
}

fn sds(name: &str) -> SdsRef {
    SdsRef { name: name.into(), via: SdsVia::Cluster(SDS_CLUSTER.into()) }
}

fn san(matcher: StringMatcher) -> SanMatcher {
    SanMatcher { kind: SanKind::Uri, matcher }
}
