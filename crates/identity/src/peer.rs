//! Who is on the other side.

use std::fmt::Write as _;

use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use rustls::pki_types::CertificateDer;
use stdx::Str;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::certificate::{bad, cert_pem};
use crate::error::TlsError;
use crate::names::{Names, rfc2253};

/// The peer's leaf certificate, as policies, logs and `x-forwarded-client-cert` need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    pub names: Names,
    /// SHA-256 of the DER, lower-case hex: `Hash` in `x-forwarded-client-cert`.
    pub sha256: Str,
    /// The rest, where the configuration asks for it ([`crate::SecretStore::keep_clients`]).
    pub details: Option<Box<PeerDetails>>,
}

/// What a peer's chain says besides the names of its leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerDetails {
    /// Of the leaf, as RFC 2253 writes it.
    pub issuer: Str,
    /// As it was presented, the leaf first.
    pub chain: Vec<Presented>,
}

/// One certificate of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented {
    /// Lower-case hex, without zeros in front.
    pub serial: Str,
    /// Of the DER, lower-case hex.
    pub sha1: Str,
    /// Of the DER, lower-case hex.
    pub sha256: Str,
    /// URL-encoded.
    pub pem: Str,
}

impl PeerIdentity {
    /// Reads a leaf certificate.
    ///
    /// # Errors
    /// It is not one.
    pub fn of(leaf: &CertificateDer<'_>) -> Result<Self, TlsError> {
        Ok(PeerIdentity { names: Names::of(leaf)?, sha256: fingerprint(&SHA256, leaf), details: None })
    }
}

impl PeerDetails {
    /// Reads a chain, the leaf first.
    ///
    /// # Errors
    /// There is something else in it than certificates.
    pub fn of(chain: &[CertificateDer<'_>]) -> Result<Self, TlsError> {
        let mut issuer = Str::default();
        let mut presented = Vec::with_capacity(chain.len());
        for (i, der) in chain.iter().enumerate() {
            let (_, parsed) =
                X509Certificate::from_der(der).map_err(|_| bad("certificate is not valid DER"))?;
            if i == 0 {
                issuer = rfc2253(parsed.issuer()).into();
            }
            presented.push(Presented {
                serial: hexadecimal(parsed.raw_serial()).into(),
                sha1: fingerprint(&SHA1_FOR_LEGACY_USE_ONLY, der),
                sha256: fingerprint(&SHA256, der),
                pem: url_encoded(&cert_pem(der)).into(),
            });
        }
        Ok(PeerDetails { issuer, chain: presented })
    }
}

impl std::ops::Deref for PeerIdentity {
    type Target = Names;
    fn deref(&self) -> &Names {
        &self.names
    }
}

fn fingerprint(algorithm: &'static Algorithm, der: &[u8]) -> Str {
    hex(digest(algorithm, der).as_ref()).into()
}

/// A number's bytes without the zeros in front.
pub(crate) fn hexadecimal(number: &[u8]) -> String {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    match &number[zeros..] {
        [] => "0".to_owned(),
        rest => hex(rest),
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// As Envoy has it in `Cert` of `x-forwarded-client-cert`: all but RFC 3986's unreserved characters.
fn url_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte.into()),
            other => {
                let _ = write!(out, "%{other:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_no_zeros_in_front() {
        assert_eq!(hexadecimal(&[0, 0xab, 0x0c]), "ab0c");
        assert_eq!(hexadecimal(&[0x0a]), "0a");
        assert_eq!(hexadecimal(&[0]), "0");
    }

    #[test]
    fn what_is_reserved_is_encoded() {
        assert_eq!(url_encoded("-----A b+/=\n~"), "-----A%20b%2B%2F%3D%0A~");
    }
}
