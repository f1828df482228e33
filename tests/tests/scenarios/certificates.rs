//! The mesh's authority, another one, and certificates of both.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, SanType};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub root: String,
    /// One that nobody trusts.
    stranger: Issuer<'static, KeyPair>,
    folder: PathBuf,
}

/// A certificate and its key, both PEM.
#[derive(Clone)]
pub struct Pair {
    pub chain: String,
    pub key: String,
}

impl Authority {
    /// Writes `ca.pem` and, for DestinationRules and Gateways with files, `client.pem`, `client.key`,
    /// `server.pem` and `server.key` to the folder.
    pub fn new(folder: &Path) -> Self {
        let (issuer, root) = issuer("mesh");
        let (stranger, strange) = issuer_of_strangers();
        let authority = Authority { issuer, root, stranger, folder: folder.to_owned() };
        authority.write("ca.pem", &authority.root);
        authority.write("strangers.pem", &strange);
        for (name, sans) in [("client", "file-client.example.com"), ("server", "files.example.com")] {
            let pair = authority.issue(&[sans]);
            authority.write(&format!("{name}.pem"), &pair.chain);
            authority.write(&format!("{name}.key"), &pair.key);
        }
        authority
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.join(name), text).expect("writing a certificate");
    }

    /// A certificate with these names; those with a scheme are URIs.
    pub fn issue(&self, names: &[&str]) -> Pair {
        leaf(&self.issuer, names)
    }

    /// As [`Authority::issue`], of the authority that nobody trusts.
    pub fn forge(&self, names: &[&str]) -> Pair {
        leaf(&self.stranger, names)
    }
}

fn issuer(name: &str) -> (Issuer<'static, KeyPair>, String) {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let pem = params.self_signed(&key).expect("a root").pem();
    (Issuer::new(params, key), pem)
}

fn issuer_of_strangers() -> (Issuer<'static, KeyPair>, String) {
    issuer("strangers")
}

fn leaf(issuer: &Issuer<'static, KeyPair>, names: &[&str]) -> Pair {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let san = |name: &&str| match name.contains("://") {
        true => SanType::URI((*name).try_into().expect("a URI")),
        false => SanType::DnsName((*name).try_into().expect("a name")),
    };
    params.subject_alt_names = names.iter().map(san).collect();
    let key = KeyPair::generate().expect("a key");
    let chain = params.signed_by(&key, issuer).expect("a certificate").pem();
    Pair { chain, key: key.serialize_pem() }
}

impl Pair {
    pub fn certificates(&self) -> Vec<CertificateDer<'static>> {
        let read = CertificateDer::pem_slice_iter(self.chain.as_bytes());
        read.collect::<Result<_, _>>().expect("certificates")
    }

    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).expect("a key")
    }
}

/// The names in a certificate.
pub fn names(certificate: &[u8]) -> Vec<String> {
    use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};
    let Ok((_, read)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let Ok(Some(names)) = read.subject_alternative_name() else { return Vec::new() };
    let text = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) | GeneralName::URI(name) => Some((*name).to_owned()),
        _ => None,
    };
    names.value.general_names.iter().filter_map(text).collect()
}

pub fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}
