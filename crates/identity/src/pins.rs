//! Certificates that are expected by their hashes, and those that are revoked.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use ir::tls::DataSource;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use webpki::{CertRevocationList, OwnedCertRevocationList};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::error::TlsError;
use crate::source::text;

type Sha256 = [u8; 32];

/// Hashes of which one must be the peer's; none: any certificate will do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pins {
    spki: Vec<Sha256>,
    certificates: Vec<Sha256>,
}

impl Pins {
    pub fn compile(written: &ir::tls::Pins) -> Result<Self, TlsError> {
        let base64 = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).ok();
        let hash = |field: &str, text: &str, bytes: Option<Vec<u8>>| {
            let hash = bytes.and_then(|bytes| Sha256::try_from(bytes).ok());
            hash.ok_or_else(|| TlsError::Config(format!("{field}: {text:?} is no SHA-256 hash")))
        };
        let spki = written.spki.iter().map(|text| hash("verify_certificate_spki", text, base64(text)));
        let whole =
            written.hashes.iter().map(|text| hash("verify_certificate_hash", text, hexadecimal(text)));
        Ok(Pins { spki: spki.collect::<Result<_, _>>()?, certificates: whole.collect::<Result<_, _>>()? })
    }

    pub fn allow(&self, leaf: &CertificateDer<'_>) -> bool {
        if self.spki.is_empty() && self.certificates.is_empty() {
            return true;
        }
        let is_one = |hashes: &[Sha256], bytes: &[u8]| {
            let hash = digest(&SHA256, bytes);
            hashes.iter().any(|one| one == hash.as_ref())
        };
        let key = || X509Certificate::from_der(leaf).ok().map(|(_, parsed)| parsed.public_key().raw.to_vec());
        is_one(&self.certificates, leaf)
            || (!self.spki.is_empty() && key().is_some_and(|key| is_one(&self.spki, &key)))
    }
}

/// As OpenSSL prints hashes, with colons, or without them.
fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> =
        text.chars().filter(|c| *c != ':').map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let pair = |pair: &[u32]| u8::try_from(pair.first()? * 16 + pair.get(1)?).ok();
    digits.chunks(2).map(pair).collect()
}

/// Lists of revoked certificates, in both of the forms that judges take.
#[derive(Clone, Debug, Default)]
pub(crate) struct Crls {
    pub der: Vec<CertificateRevocationListDer<'static>>,
    pub read: Vec<std::sync::Arc<CertRevocationList<'static>>>,
}

impl Crls {
    pub fn read(source: &DataSource) -> Result<Self, TlsError> {
        Self::from_pem(&text(source, "crl")?)
    }

    pub fn from_pem(pem: &str) -> Result<Self, TlsError> {
        let bad = |error: String| TlsError::Config(format!("crl: {error}"));
        let der: Vec<CertificateRevocationListDer<'static>> =
            CertificateRevocationListDer::pem_slice_iter(pem.as_bytes())
                .collect::<Result<_, _>>()
                .map_err(|error| bad(error.to_string()))?;
        if der.is_empty() {
            // Nothing would be revoked, and nobody would know.
            return Err(bad("has no list of revoked certificates".to_owned()));
        }
        let read = |der: &CertificateRevocationListDer<'_>| {
            OwnedCertRevocationList::from_der(der).map(|list| std::sync::Arc::new(list.into()))
        };
        let read = der.iter().map(read).collect::<Result<_, _>>().map_err(|error| bad(error.to_string()))?;
        Ok(Crls { der, read })
    }

    pub fn is_empty(&self) -> bool {
        self.der.is_empty()
    }
}
