//! Who is on the other side.

use std::fmt::Write as _;

use rustls::pki_types::CertificateDer;
use stdx::Str;

use crate::certificate::Names;
use crate::error::TlsError;

/// The peer's leaf certificate, as policies, logs and `x-forwarded-client-cert` need it. The PEM
/// is made on demand from the connection's chain with [`crate::cert_pem`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    pub names: Names,
    /// SHA-256 of the DER, lower-case hex: `Hash` in `x-forwarded-client-cert`.
    pub sha256: Str,
}

impl PeerIdentity {
    /// Reads a leaf certificate.
    ///
    /// # Errors
    /// It is not one.
    pub fn of(leaf: &CertificateDer<'_>) -> Result<Self, TlsError> {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, leaf);
        let mut sha256 = String::with_capacity(64);
        for byte in digest.as_ref() {
            let _ = write!(sha256, "{byte:02x}");
        }
        Ok(PeerIdentity { names: Names::of(leaf)?, sha256: sha256.into() })
    }
}

impl std::ops::Deref for PeerIdentity {
    type Target = Names;
    fn deref(&self) -> &Names {
        &self.names
    }
}
