//! A small authority and TLS settings made from its certificates.
#![allow(dead_code)]

use std::time::Duration;

use identity::{Certificate, ClientTls, PrivateKeyPem, Roots, SecretStore, ServerTls};
use ir::StringMatcher;
use ir::tls::{
    CertificateSource, CommonTls, DownstreamTls, RootsSource, SanKind, SanMatcher, SdsRef, SdsVia,
    UpstreamTls, Validation,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, IsCa, Issuer,
    KeyIdMethod, KeyPair, RevokedCertParams, SanType, SerialNumber,
};
use time::OffsetDateTime;

pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

impl Ca {
    pub fn new(name: &str) -> Ca {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Ca { issuer: Issuer::new(params, key), pem }
    }

    /// A workload's certificate, valid for this long from now.
    pub fn leaf(&self, account: &str, lifetime: Duration) -> Certificate {
        let uri = format!("spiffe://cluster.local/ns/shop/sa/{account}");
        self.certificate(vec![SanType::URI(uri.try_into().unwrap())], lifetime)
    }

    /// A list of revoked certificates, PEM.
    pub fn crl(&self, revoked: &[std::sync::Arc<Certificate>]) -> String {
        let now = OffsetDateTime::now_utc();
        let serial = |certificate: &std::sync::Arc<Certificate>| {
            let chain = certificate.chain_pem().to_string();
            let (_, pem) = x509_parser::pem::parse_x509_pem(chain.as_bytes()).unwrap();
            SerialNumber::from_slice(pem.parse_x509().unwrap().raw_serial())
        };
        let entry = |certificate| RevokedCertParams {
            serial_number: serial(certificate),
            revocation_time: now - HOUR,
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: now - HOUR,
            next_update: now + HOUR,
            crl_number: SerialNumber::from(1u64),
            issuing_distribution_point: None,
            revoked_certs: revoked.iter().map(entry).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    pub fn certificate(&self, sans: Vec<SanType>, lifetime: Duration) -> Certificate {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = sans;
        params.not_before = OffsetDateTime::now_utc() - Duration::from_secs(60);
        params.not_after = OffsetDateTime::now_utc() + lifetime;
        let key = KeyPair::generate().unwrap();
        let chain = params.signed_by(&key, &self.issuer).unwrap().pem();
        Certificate::from_pem(&chain, PrivateKeyPem::new(key.serialize_pem())).unwrap()
    }
}

pub const HOUR: Duration = Duration::from_secs(3600);

/// A store with a certificate for `account`, and the authority's root.
pub fn store(ca: &Ca, account: &str) -> SecretStore {
    let store = SecretStore::new();
    store.set_certificate("default", ca.leaf(account, HOUR));
    store.set_roots("ROOTCA", Roots::from_pem(&ca.pem).unwrap());
    store
}

fn sds(name: &str) -> SdsRef {
    SdsRef { name: name.into(), via: SdsVia::Cluster("sds-grpc".into()) }
}

pub fn common(expected: &[&str], alpn: &[&str]) -> CommonTls {
    let san = |account: &&str| SanMatcher {
        kind: SanKind::Uri,
        matcher: StringMatcher::exact(format!("spiffe://cluster.local/ns/shop/sa/{account}")),
    };
    CommonTls {
        certificate: Some(CertificateSource::Sds(sds("default"))),
        validation: Some(Validation::new(
            RootsSource::Sds(sds("ROOTCA")),
            expected.iter().map(san).collect(),
        )),
        alpn: alpn.iter().map(|&name| name.into()).collect(),
        ..CommonTls::default()
    }
}

pub fn server(store: &SecretStore, require: bool, alpn: &[&str]) -> ServerTls {
    let tls = DownstreamTls { common: common(&[], alpn), require_client_certificate: require };
    ServerTls::new(&tls, store).unwrap()
}

pub fn client(store: &SecretStore, expected: &[&str], alpn: &[&str]) -> ClientTls {
    let sni = Some("outbound_.9080_.v1_.reviews.shop.svc.cluster.local".into());
    ClientTls::new(&UpstreamTls { common: common(expected, alpn), sni }, store).unwrap()
}
