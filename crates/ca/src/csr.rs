//! Certificate signing requests, read with suspicion.

use rcgen::SubjectPublicKeyInfo;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;

use crate::issuer::IssueError;

/// The key of a request whose sender has shown that he holds it. Nothing else of a request
/// counts: names come from authentication.
#[derive(Debug)]
pub struct Csr {
    pub(crate) key: SubjectPublicKeyInfo,
}

/// A request is a few hundred bytes.
const MAX_CSR: usize = 16 * 1024;
const MIN_RSA_BITS: usize = 2048;

impl Csr {
    /// Reads a PEM request and verifies its signature on itself.
    ///
    /// # Errors
    /// It is none, the signature is wrong, or the key is too weak.
    pub fn parse(pem: &str) -> Result<Self, IssueError> {
        let bad = |why: String| IssueError::BadCsr(why);
        if pem.len() > MAX_CSR {
            return Err(bad(format!("longer than {MAX_CSR} bytes")));
        }
        let (_, block) = parse_x509_pem(pem.as_bytes()).map_err(|_| bad("not PEM".to_owned()))?;
        if !matches!(block.label.as_str(), "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST") {
            return Err(bad(format!("PEM of a {:?}, not of a CERTIFICATE REQUEST", block.label)));
        }
        let (rest, request) = X509CertificationRequest::from_der(&block.contents)
            .map_err(|error| bad(format!("not a PKCS #10 request: {error}")))?;
        if !rest.is_empty() {
            return Err(bad("bytes after the request".to_owned()));
        }
        let spki = &request.certification_request_info.subject_pki;
        match spki.parsed().map_err(|error| bad(format!("public key: {error}")))? {
            PublicKey::RSA(rsa) if rsa.key_size() < MIN_RSA_BITS => {
                return Err(bad(format!(
                    "RSA key of {} bits, at least {MIN_RSA_BITS} are needed",
                    rsa.key_size()
                )));
            }
            PublicKey::RSA(_) | PublicKey::EC(_) => {}
            _ => return Err(bad("public key is neither RSA nor elliptic curve".to_owned())),
        }
        request.verify_signature().map_err(|_| bad("signature is not by the request's key".to_owned()))?;
        let key =
            SubjectPublicKeyInfo::from_der(spki.raw).map_err(|error| bad(format!("public key: {error}")))?;
        Ok(Csr { key })
    }
}
