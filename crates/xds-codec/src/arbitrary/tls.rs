//! TLS contexts and secrets.

use ir::tls::{
    CertificateSource, CommonTls, DataSource, Pins, RootsSource, SanKind, SanMatcher, SdsRef, SdsVia,
    SecretContent, TlsCertificate, TlsVersion, TrustBundle, Validation,
};
use ir::{DownstreamTls, Secret, UpstreamTls};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::{matcher, text};

/// Any secret.
pub fn secret() -> BoxedStrategy<Secret> {
    let content = prop_oneof![
        certificate().prop_map(SecretContent::Certificate),
        (data_source(), option::of(data_source()))
            .prop_map(|(roots, crl)| SecretContent::Roots(TrustBundle { roots, crl })),
    ];
    (text::name(), content).prop_map(|(name, content)| Secret { name, content }).boxed()
}

pub fn downstream() -> impl Strategy<Value = DownstreamTls> {
    (common(), any::<bool>())
        .prop_map(|(common, require_client_certificate)| DownstreamTls { common, require_client_certificate })
}

pub fn upstream() -> impl Strategy<Value = UpstreamTls> {
    (common(), option::of(text::name()))
        .prop_map(|(common, sni)| UpstreamTls { common: CommonTls { alternative: None, ..common }, sni })
}

fn common() -> BoxedStrategy<CommonTls> {
    let source = prop_oneof![
        sds().prop_map(CertificateSource::Sds),
        certificate().prop_map(CertificateSource::Inline),
    ];
    let versions = prop_oneof![
        Just((None, None)),
        Just((Some(TlsVersion::V1_2), Some(TlsVersion::V1_3))),
        Just((Some(TlsVersion::V1_3), None)),
        Just((None, Some(TlsVersion::V1_2))),
    ];
    let certificates = prop_oneof![
        option::of(source).prop_map(|one| (one, None)),
        (sds(), sds()).prop_map(|(a, b)| (Some(CertificateSource::Sds(a)), Some(CertificateSource::Sds(b)))),
    ];
    let lists = (vec(text::name(), 0..3), vec(text::name(), 0..3), vec(text::name(), 0..2));
    (certificates, option::of(validation()), lists, versions)
        .prop_map(|(certificates, validation, (alpn, cipher_suites, ecdh_curves), versions)| CommonTls {
            certificate: certificates.0,
            alternative: certificates.1,
            validation,
            alpn,
            min_version: versions.0,
            max_version: versions.1,
            cipher_suites,
            ecdh_curves,
        })
        .boxed()
}

fn validation() -> BoxedStrategy<Validation> {
    let roots = prop_oneof![sds().prop_map(RootsSource::Sds), data_source().prop_map(RootsSource::Inline)];
    let pins =
        (vec(text::name(), 0..2), vec(text::name(), 0..2)).prop_map(|(spki, hashes)| Pins { spki, hashes });
    (roots, vec(san(), 0..3), pins, option::of(data_source()), any::<bool>())
        .prop_map(|(roots, match_sans, pins, crl, accept_untrusted)| Validation {
            roots,
            match_sans,
            pins,
            crl,
            accept_untrusted,
        })
        .boxed()
}

fn san() -> impl Strategy<Value = SanMatcher> {
    let kind =
        prop_oneof![Just(SanKind::Email), Just(SanKind::Dns), Just(SanKind::Uri), Just(SanKind::IpAddress)];
    (kind, matcher::string()).prop_map(|(kind, matcher)| SanMatcher { kind, matcher })
}

fn sds() -> impl Strategy<Value = SdsRef> {
    let via = prop_oneof![
        Just(SdsVia::Ads),
        Just(SdsVia::Static),
        text::name().prop_map(SdsVia::Cluster),
        super::path_source().prop_map(|it| SdsVia::Path(it.into()))
    ];
    (text::name(), via).prop_map(|(name, via)| SdsRef { name, via })
}

fn certificate() -> BoxedStrategy<TlsCertificate> {
    (data_source(), data_source()).prop_map(|(chain, key)| TlsCertificate { chain, key }).boxed()
}

pub(super) fn data_source() -> impl Strategy<Value = DataSource> {
    prop_oneof![
        text::path().prop_map(DataSource::File),
        text::any_text().prop_map(|it| DataSource::Inline(it.as_bytes().to_vec())),
        vec(any::<u8>(), 0..8).prop_map(DataSource::Inline),
    ]
}
