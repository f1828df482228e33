//! Certificates and trust bundles, read from PEM.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use stdx::Str;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::PrivateKeyPem;
use crate::error::TlsError;
use crate::names::Names;
use crate::peer::hexadecimal;
use crate::pins::Crls;
use crate::provider::provider;

/// A certificate chain with its key, ready to sign.
pub struct Certificate {
    pub(crate) key: Arc<CertifiedKey>,
    /// The leaf's names.
    pub names: Arc<Names>,
    chain_pem: Str,
    key_pem: PrivateKeyPem,
}

/// Certificates that are trusted.
pub struct Roots {
    pub(crate) store: Arc<RootCertStore>,
    pub(crate) crls: Crls,
    pem: Str,
    crl_pem: Option<Str>,
}

impl Certificate {
    /// Reads a chain (leaf first) and its key.
    ///
    /// # Errors
    /// Either is not PEM, or the key is not the leaf's. The key's text is in no error.
    pub fn from_pem(chain: &str, key: PrivateKeyPem) -> Result<Self, TlsError> {
        let certificates = certificates(chain)?;
        let leaf = certificates.first().ok_or_else(|| bad("certificate chain has no certificate"))?;
        let names = Names::of(leaf)?;
        let der = PrivateKeyDer::from_pem_slice(key.as_str().as_bytes())
            .map_err(|_| bad("private key is not a PEM private key"))?;
        let signer =
            provider().key_provider.load_private_key(der).map_err(|e| bad(format!("private key: {e}")))?;
        let key_and_chain = CertifiedKey::new(certificates, signer);
        key_and_chain.keys_match().map_err(|_| bad("private key is not the one of the certificate"))?;
        Ok(Certificate {
            key: Arc::new(key_and_chain),
            names: Arc::new(names),
            chain_pem: chain.into(),
            key_pem: key,
        })
    }

    /// The chain, leaf first.
    pub fn chain_pem(&self) -> &Str {
        &self.chain_pem
    }

    pub fn key_pem(&self) -> &PrivateKeyPem {
        &self.key_pem
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.chain_pem == other.chain_pem && self.key_pem == other.key_pem
    }
}

impl Roots {
    /// Reads a bundle. Certificates that cannot be trust anchors are passed over, as long as one
    /// can.
    ///
    /// # Errors
    /// No certificate is left.
    pub fn from_pem(bundle: &str) -> Result<Self, TlsError> {
        let mut store = RootCertStore::empty();
        let (added, ignored) = store.add_parsable_certificates(certificates(bundle)?);
        if added == 0 {
            return Err(bad("trust bundle has no usable certificate"));
        }
        if ignored > 0 {
            tracing::warn!(ignored, "trust bundle has certificates that cannot be used");
        }
        Ok(Roots { store: Arc::new(store), crls: Crls::default(), pem: bundle.into(), crl_pem: None })
    }

    /// Trusts nobody whom these lists (PEM) name.
    ///
    /// # Errors
    /// There is no list in it, or one that cannot be read.
    pub(crate) fn revoking(self, lists: Option<&str>) -> Result<Self, TlsError> {
        let crls = lists.map(Crls::from_pem).transpose()?.unwrap_or_default();
        Ok(Roots { crls, crl_pem: lists.map(Str::from), ..self })
    }

    /// Lists of revoked certificates, if they came with it.
    pub fn crl_pem(&self) -> Option<&Str> {
        self.crl_pem.as_ref()
    }

    pub fn pem(&self) -> &Str {
        &self.pem
    }
}

impl PartialEq for Roots {
    fn eq(&self, other: &Self) -> bool {
        self.pem == other.pem && self.crl_pem == other.crl_pem
    }
}

/// What a certificate says of itself, for whoever asks.
pub struct CertificateFacts {
    /// Hexadecimal.
    pub serial: String,
    pub names: Names,
}

/// The certificates of a PEM file that can be read.
pub fn certificate_facts(pem: &str) -> Vec<CertificateFacts> {
    let one = |der: CertificateDer<'_>| {
        let (_, parsed) = X509Certificate::from_der(&der).ok()?;
        let serial = hexadecimal(parsed.raw_serial());
        Some(CertificateFacts { serial, names: Names::of(&der).ok()? })
    };
    CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(|der| one(der.ok()?)).collect()
}

/// One certificate as PEM.
pub fn cert_pem(certificate: &CertificateDer<'_>) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    let mut pem = String::with_capacity(text.len() + text.len() / 64 + 60);
    pem.push_str("-----BEGIN CERTIFICATE-----\n");
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

fn certificates(pem: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| bad(format!("certificates are not PEM: {error}")))
}

pub(crate) fn bad(message: impl Into<String>) -> TlsError {
    TlsError::Config(message.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rubbish_is_refused_without_a_word_of_the_key() {
        let key = PrivateKeyPem::new(
            "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n".to_owned(),
        );
        for chain in ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let Err(error) = Certificate::from_pem(chain, key.clone()) else {
                panic!("{chain:?} was accepted")
            };
            assert!(!error.to_string().contains("c2VjcmV0"), "{error}");
        }
        assert!(Roots::from_pem("").is_err());
    }
}
