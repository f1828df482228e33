//! The authority's key and chain, on disk.
//!
//! Files have the names of Istio's Secret `cacerts`: `ca-cert.pem` and `ca-key.pem` sign,
//! `root-cert.pem` is what workloads trust, `cert-chain.pem` leads from the one to the other.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, SanType,
};
use time::OffsetDateTime;
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::files::{create, read_if_there};

/// Istio's lifetime of a self-signed root.
const ROOT_LIFETIME: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Why there is no authority.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    #[error("{path}: {error}", path = .0.display(), error = .1)]
    Io(PathBuf, io::Error),
    #[error("certificate authority: {0}")]
    Unusable(String),
}

/// A key that signs, and the chain up to the root.
pub struct SigningCa {
    pub(crate) issuer: rcgen::Issuer<'static, KeyPair>,
    /// What goes below a leaf: signing certificate, intermediates, root; one PEM each.
    pub(crate) chain: Vec<String>,
    root_pem: String,
    pub(crate) not_after: OffsetDateTime,
}

impl SigningCa {
    /// Loads the authority in `dir`, or makes a self-signed one there (the key readable by its
    /// owner alone). Safe against a crash in between and against others who do the same.
    ///
    /// # Errors
    /// The folder cannot be read or written, or what is there cannot be used.
    pub fn load_or_create(dir: &Path, trust_domain: &str, now: SystemTime) -> Result<Self, CaError> {
        std::fs::create_dir_all(dir).map_err(|error| CaError::Io(dir.to_owned(), error))?;
        let key_pem = load_or_make(&dir.join("ca-key.pem"), 0o600, || Ok(generate_key()?.serialize_pem()))?;
        let ca_pem = load_or_make(&dir.join("ca-cert.pem"), 0o644, || {
            let key =
                KeyPair::from_pem(&key_pem).map_err(|error| unusable(format!("ca-key.pem: {error}")))?;
            self_signed(&key, trust_domain, now)
        })?;
        let read = |name: &str| {
            let path = dir.join(name);
            read_if_there(&path).map_err(|error| CaError::Io(path, error))
        };
        let chain = read("cert-chain.pem")?.unwrap_or_default();
        let root = match read("root-cert.pem")? {
            Some(root) => root,
            None if chain.is_empty() => {
                load_or_make(&dir.join("root-cert.pem"), 0o644, || Ok(ca_pem.clone()))?
            }
            None => return Err(unusable("cert-chain.pem is there, root-cert.pem is not")),
        };
        Self::from_pem(&root, &ca_pem, &key_pem, &chain, now)
    }

    /// An authority from PEM texts; `chain` may be empty.
    ///
    /// # Errors
    /// A text is no PEM, the certificate may not sign, has expired, is not the key's, or does not
    /// lead to the root.
    pub fn from_pem(root: &str, ca: &str, key: &str, chain: &str, now: SystemTime) -> Result<Self, CaError> {
        let key = KeyPair::from_pem(key).map_err(|error| unusable(format!("ca-key.pem: {error}")))?;
        let ca = certificates(ca, "ca-cert.pem")?;
        let roots = certificates(root, "root-cert.pem")?;
        let ca_der =
            ca.first().map(|pem| pem.contents.clone()).ok_or_else(|| unusable("ca-cert.pem is empty"))?;
        let not_after = check_signer(&ca_der, &key, now)?;
        let mut ladder: Vec<Vec<u8>> = Vec::new();
        for pem in ca.iter().chain(&certificates(chain, "cert-chain.pem")?).chain(&roots) {
            if !ladder.contains(&pem.contents) {
                ladder.push(pem.contents.clone());
            }
        }
        check_ladder(&ladder, roots.len())?;
        let issuer = rcgen::Issuer::from_ca_cert_der(&ca_der.into(), key)
            .map_err(|error| unusable(format!("ca-cert.pem: {error}")))?;
        let root_pem = roots.iter().map(|pem| to_pem(&pem.contents)).collect();
        Ok(SigningCa { issuer, chain: ladder.iter().map(|der| to_pem(der)).collect(), root_pem, not_after })
    }

    /// What workloads trust.
    pub fn root_pem(&self) -> &str {
        &self.root_pem
    }

    /// When the signing certificate ends, Unix seconds.
    pub fn not_after(&self) -> i64 {
        self.not_after.unix_timestamp()
    }
}

/// Reads `path`, or creates it with what `make` gives; whoever came first wins.
pub(crate) fn load_or_make(
    path: &Path,
    mode: u32,
    make: impl FnOnce() -> Result<String, CaError>,
) -> Result<String, CaError> {
    let io = |error| CaError::Io(path.to_owned(), error);
    if let Some(text) = read_if_there(path).map_err(io)? {
        return Ok(text);
    }
    create(path, make()?.as_bytes(), mode).map_err(io)?;
    std::fs::read_to_string(path).map_err(io)
}

pub(crate) fn generate_key() -> Result<KeyPair, CaError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| unusable(error.to_string()))
}

fn self_signed(key: &KeyPair, trust_domain: &str, now: SystemTime) -> Result<String, CaError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, trust_domain);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = OffsetDateTime::from(now) - crate::issuer::BACKDATE;
    params.not_after = OffsetDateTime::from(now) + ROOT_LIFETIME;
    let uri = format!("spiffe://{trust_domain}");
    params.subject_alt_names.extend(uri.try_into().ok().map(SanType::URI));
    let certificate = params.self_signed(key).map_err(|error| unusable(error.to_string()))?;
    Ok(certificate.pem())
}

/// Whether this certificate may sign with this key, and until when.
fn check_signer(der: &[u8], key: &KeyPair, now: SystemTime) -> Result<OffsetDateTime, CaError> {
    let certificate = parse(der, "ca-cert.pem")?;
    if !certificate.is_ca() {
        return Err(unusable("ca-cert.pem is not a certificate authority's (basicConstraints CA)"));
    }
    if certificate.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
        return Err(unusable("ca-key.pem is not the key of ca-cert.pem"));
    }
    let not_after = certificate.validity().not_after.to_datetime();
    if not_after <= OffsetDateTime::from(now) {
        return Err(unusable(format!("ca-cert.pem has expired ({not_after})")));
    }
    Ok(not_after)
}

/// Each certificate below the roots is signed by a later one. (Several roots may be trusted.)
fn check_ladder(ladder: &[Vec<u8>], roots: usize) -> Result<(), CaError> {
    let parsed = ladder.iter().map(|der| parse(der, "certificate chain")).collect::<Result<Vec<_>, _>>()?;
    let below = parsed.len().saturating_sub(roots);
    for (index, certificate) in parsed.iter().take(below).enumerate() {
        let signer =
            |other: &X509Certificate<'_>| certificate.verify_signature(Some(other.public_key())).is_ok();
        if !parsed.iter().skip(index + 1).any(signer) {
            return Err(unusable(format!("{} does not lead to root-cert.pem", certificate.subject())));
        }
    }
    Ok(())
}

fn parse<'a>(der: &'a [u8], what: &str) -> Result<X509Certificate<'a>, CaError> {
    X509Certificate::from_der(der)
        .map(|(_, parsed)| parsed)
        .map_err(|error| unusable(format!("{what}: {error}")))
}

fn certificates(pem: &str, what: &str) -> Result<Vec<Pem>, CaError> {
    let all = Pem::iter_from_buffer(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| unusable(format!("{what}: {error}")))?;
    if all.iter().any(|pem| pem.label != "CERTIFICATE") {
        return Err(unusable(format!("{what} has something that is not a certificate")));
    }
    Ok(all)
}

/// DER as one PEM block.
pub(crate) fn to_pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = tail;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

fn unusable(message: impl Into<String>) -> CaError {
    CaError::Unusable(message.into())
}
