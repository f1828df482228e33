//! rustls verifiers that judge chain and names, never host names.
//!
//! They run in full handshakes only; what makes them safe is [`crate::check_peer`] afterwards.
//! They are worth having because a refusal here reaches the peer as an alert.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};
use webpki::{CertRevocationList, EndEntityCert, KeyUsage, RevocationOptionsBuilder};

use crate::certificate::Roots;
use crate::names::Names;
use crate::pins::Crls;
use crate::provider::provider;
use crate::validation::Validation;

type Signature = Result<HandshakeSignatureValid, Error>;

/// Judges servers.
pub(crate) struct ServerVerifier {
    /// `None`: any chain will do.
    pub(crate) roots: Option<Arc<Roots>>,
    pub(crate) validation: Arc<Validation>,
}

/// Judges clients.
pub(crate) struct ClientVerifier {
    /// `None`: any chain will do.
    chain: Option<Arc<dyn ClientCertVerifier>>,
    validation: Arc<Validation>,
    required: bool,
}

impl ClientVerifier {
    pub(crate) fn new(
        roots: Option<&Roots>,
        validation: Arc<Validation>,
        required: bool,
    ) -> Result<Self, String> {
        let chain = roots
            .map(|roots| {
                WebPkiClientVerifier::builder_with_provider(roots.store.clone(), provider().clone())
                    .with_crls(validation.crls.der.iter().chain(&roots.crls.der).cloned())
                    .build()
                    .map_err(|error| format!("trusted CA: {error}"))
            })
            .transpose()?;
        Ok(ClientVerifier { chain, validation, required })
    }
}

/// The names inside a verifier, with the error that makes rustls send `access_denied`-like alerts.
fn check_names(validation: &Validation, leaf: &CertificateDer<'_>) -> Result<(), Error> {
    let names = Names::of(leaf).map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
    validation
        .check_names(&names)
        .and_then(|()| validation.check_pins(leaf))
        .map_err(|wrong| Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(wrong)))))
}

/// Whether any certificate of a chain, which is known to be trusted, has been revoked.
fn check_revocation(
    crls: [&Crls; 2],
    roots: &Roots,
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    now: UnixTime,
) -> Result<(), Error> {
    let lists: Vec<&CertRevocationList<'_>> =
        crls.iter().flat_map(|crls| &crls.read).map(|list| &**list).collect();
    let Ok(builder) = RevocationOptionsBuilder::new(&lists) else { return Ok(()) };
    let refused = |error: webpki::Error| {
        let reason = match error {
            webpki::Error::CertRevoked => CertificateError::Revoked,
            webpki::Error::UnknownRevocationStatus => CertificateError::UnknownRevocationStatus,
            other => CertificateError::Other(OtherError(Arc::new(other))),
        };
        Error::InvalidCertificate(reason)
    };
    let algorithms = provider().signature_verification_algorithms.all;
    let certificate = EndEntityCert::try_from(leaf).map_err(refused)?;
    let usage = KeyUsage::server_auth();
    certificate
        .verify_for_usage(
            algorithms,
            &roots.store.roots,
            intermediates,
            now,
            usage,
            Some(builder.build()),
            None,
        )
        .map(drop)
        .map_err(refused)
}

fn verify_tls12(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Signature {
    let algorithms = &provider().signature_verification_algorithms;
    rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
}

fn verify_tls13(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
) -> Signature {
    let algorithms = &provider().signature_verification_algorithms;
    rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
}

impl ServerCertVerifier for ServerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _host: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(roots) = &self.roots {
            let parsed = ParsedCertificate::try_from(leaf)?;
            let algorithms = provider().signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&parsed, &roots.store, intermediates, now, algorithms)?;
            let crls = [&self.validation.crls, &roots.crls];
            if crls.iter().any(|crls| !crls.is_empty()) {
                check_revocation(crls, roots, leaf, intermediates, now)?;
            }
        }
        check_names(&self.validation, leaf)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        m: &[u8],
        c: &CertificateDer<'_>,
        d: &DigitallySignedStruct,
    ) -> Signature {
        verify_tls12(m, c, d)
    }

    fn verify_tls13_signature(
        &self,
        m: &[u8],
        c: &CertificateDer<'_>,
        d: &DigitallySignedStruct,
    ) -> Signature {
        verify_tls13(m, c, d)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn offer_client_auth(&self) -> bool {
        true
    }

    /// Makes rustls answer a client without a certificate with `certificate_required`.
    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.as_ref().map_or(&[], |chain| chain.root_hint_subjects())
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(chain) = &self.chain {
            chain.verify_client_cert(leaf, intermediates, now)?;
        }
        check_names(&self.validation, leaf)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        m: &[u8],
        c: &CertificateDer<'_>,
        d: &DigitallySignedStruct,
    ) -> Signature {
        verify_tls12(m, c, d)
    }

    fn verify_tls13_signature(
        &self,
        m: &[u8],
        c: &CertificateDer<'_>,
        d: &DigitallySignedStruct,
    ) -> Signature {
        verify_tls13(m, c, d)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

impl fmt::Debug for ServerVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerVerifier").field("validation", &self.validation).finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientVerifier").field("validation", &self.validation).finish_non_exhaustive()
    }
}
