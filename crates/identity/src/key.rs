//! Keys are made where they are used: in the workload. Only the request leaves it.

use std::fmt;

use model::SpiffeId;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256, SanType};
use zeroize::Zeroizing;

use crate::error::TlsError;

/// A private key as PEM. Never printed, and wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct PrivateKeyPem(Zeroizing<String>);

impl PrivateKeyPem {
    pub fn new(pem: String) -> Self {
        PrivateKeyPem(Zeroizing::new(pem))
    }

    /// The secret itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PrivateKeyPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKeyPem(…)")
    }
}

/// A fresh ECDSA P-256 key, and a request (PEM) for a certificate that names `id`.
///
/// # Errors
/// The identity cannot be written as a URI, or the system has no randomness.
pub fn new_key_and_csr(id: &SpiffeId) -> Result<(PrivateKeyPem, String), TlsError> {
    let bad = |error: rcgen::Error| TlsError::Config(format!("certificate request for {id}: {error}"));
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(bad)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![SanType::URI(id.to_string().try_into().map_err(bad)?)];
    let request = params.serialize_request(&key).and_then(|request| request.pem()).map_err(bad)?;
    Ok((PrivateKeyPem::new(key.serialize_pem()), request))
}
