//! TLS contexts of mutual TLS between workloads.

use ir::tls::{
    CertificateSource, CommonTls, RootsSource, SanKind, SanMatcher, SdsRef, SdsVia, TlsVersion, Validation,
};
use ir::{DownstreamTls, StringMatcher, UpstreamTls};
use stdx::Str;

use crate::names::strs;

/// The agent's cluster in every bootstrap.
const SDS_CLUSTER: &str = "sds-grpc";
/// The workload's certificate.
const SDS_DEFAULT: &str = "default";
/// The mesh's roots.
const SDS_ROOT: &str = "ROOTCA";

/// What a sidecar says to a client that comes with mutual TLS: a client certificate of one of
/// these trust domains is required.
pub fn inbound(alpn: &[&str], trust_domains: &[Str]) -> DownstreamTls {
    let match_sans =
        trust_domains.iter().map(|domain| san(StringMatcher::prefix(format!("spiffe://{domain}/"))));
    DownstreamTls { common: workload(alpn, match_sans.collect()), require_client_certificate: true }
}

/// What a proxy says to a workload of the mesh. Only these identities (SPIFFE URIs) are believed;
/// an empty list believes every identity of the mesh, as Istio does for services without endpoints.
pub fn istio_mutual(alpn: &[&str], sni: Str, identities: &[Str]) -> UpstreamTls {
    let match_sans = identities.iter().map(|id| san(StringMatcher::exact(id.clone())));
    UpstreamTls { common: workload(alpn, match_sans.collect()), sni: Some(sni) }
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
