//! A root and two identities, made for one run.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

/// Files of one certificate: P-256, as Istio issues them.
#[derive(Debug, Clone)]
pub struct Pem {
    pub chain: PathBuf,
    pub key: PathBuf,
    /// Chain and key in one, as HAProxy wants it.
    pub both: PathBuf,
}

#[derive(Debug)]
pub struct Certificates {
    pub root: PathBuf,
    pub client: Pem,
    pub client_identity: String,
    pub server: Pem,
    pub server_identity: String,
}

impl Certificates {
    /// # Errors
    /// The folder cannot be written.
    pub fn make(folder: &Path) -> anyhow::Result<Certificates> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::OrganizationName, "cluster.local");
        let key = KeyPair::generate()?;
        let root = folder.join("root.pem");
        std::fs::write(&root, params.self_signed(&key)?.pem())?;
        let issuer = Issuer::new(params, key);
        let client_identity = "spiffe://cluster.local/ns/bench/sa/client".to_owned();
        let server_identity = "spiffe://cluster.local/ns/bench/sa/server".to_owned();
        Ok(Certificates {
            client: leaf(folder, "client", &client_identity, &issuer)?,
            server: leaf(folder, "server", &server_identity, &issuer)?,
            root,
            client_identity,
            server_identity,
        })
    }
}

fn leaf(folder: &Path, name: &str, identity: &str, issuer: &Issuer<'_, KeyPair>) -> anyhow::Result<Pem> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
    params.subject_alt_names.push(SanType::URI(identity.try_into()?));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let (certificate, key) = (params.signed_by(&key, issuer)?.pem(), key.serialize_pem());
    let file = |suffix: &str| folder.join(format!("{name}{suffix}.pem"));
    let pem = Pem { chain: file(""), key: file("-key"), both: file("-both") };
    std::fs::write(&pem.chain, &certificate)?;
    std::fs::write(&pem.key, &key)?;
    std::fs::write(&pem.both, certificate + &key)?;
    Ok(pem)
}
