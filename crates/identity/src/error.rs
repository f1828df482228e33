//! Why TLS failed, in the words that operators know from Envoy's
//! `%UPSTREAM_TRANSPORT_FAILURE_REASON%` and `%DOWNSTREAM_TRANSPORT_FAILURE_REASON%`.

use std::io;

use rustls::{AlertDescription, CertificateError};

/// A TLS failure. Its `Display` is what access logs show.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A secret that the configuration names has not arrived.
    #[error("TLS_error: Secret is not supplied by SDS: {0}")]
    NotReady(String),
    /// The configuration or a secret cannot be used.
    #[error("TLS_error:|{0}:TLS_error_end")]
    Config(String),
    /// The handshake failed, or the peer is not whom we expect.
    #[error("TLS_error:|{reason}:TLS_error_end")]
    Failed { failure: TlsFailure, reason: String },
    /// The connection broke.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// What kind of failure, as Envoy's `ssl.*` statistics tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFailure {
    /// `fail_verify_no_cert`: the peer had to present a certificate and did not.
    NoCertificate,
    /// `fail_verify_error`: the peer's chain does not hold.
    Chain,
    /// `fail_verify_san`: the chain holds, the peer is someone else.
    San,
    /// `fail_verify_cert_hash`: the chain holds, the certificate is none of those that are expected.
    Hash,
    /// The peer refused us with an alert.
    Alert,
    /// `connection_error`: anything else.
    Protocol,
}

impl TlsError {
    pub(crate) fn failed(failure: TlsFailure, reason: impl Into<String>) -> Self {
        TlsError::Failed { failure, reason: reason.into() }
    }

    /// The kind of failure, if it is one of TLS itself.
    pub fn failure(&self) -> Option<TlsFailure> {
        match self {
            TlsError::Failed { failure, .. } => Some(*failure),
            _ => None,
        }
    }

    /// Reads an error of a TLS stream, during the handshake or later: with TLS 1.3 a client
    /// learns of its refusal only when it first reads.
    pub fn from_io(error: io::Error) -> Self {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(tls) => Self::from_rustls(tls),
            None => TlsError::Io(error),
        }
    }

    pub(crate) fn from_rustls(error: &rustls::Error) -> Self {
        use rustls::Error;
        match error {
            Error::NoCertificatesPresented => {
                Self::failed(TlsFailure::NoCertificate, "PEER_DID_NOT_RETURN_A_CERTIFICATE")
            }
            Error::InvalidCertificate(CertificateError::Other(other)) => {
                let wrong = other.0.downcast_ref::<crate::validation::WrongName>();
                let failure = wrong.map_or(TlsFailure::Chain, |wrong| wrong.failure());
                Self::failed(failure, format!("CERTIFICATE_VERIFY_FAILED:{other}"))
            }
            Error::InvalidCertificate(why) => {
                Self::failed(TlsFailure::Chain, format!("CERTIFICATE_VERIFY_FAILED:{}", chain_problem(why)))
            }
            Error::AlertReceived(alert) => Self::failed(TlsFailure::Alert, alert_name(*alert)),
            Error::InvalidMessage(_) => {
                Self::failed(TlsFailure::Protocol, format!("WRONG_VERSION_NUMBER:{error}"))
            }
            other => Self::failed(TlsFailure::Protocol, other.to_string()),
        }
    }
}

fn chain_problem(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => "unable to get local issuer certificate".to_owned(),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "certificate is not yet valid".to_owned()
        }
        CertificateError::BadSignature => "certificate signature failure".to_owned(),
        other => other.to_string(),
    }
}

/// BoringSSL's names of the alerts that a mesh sees.
fn alert_name(alert: AlertDescription) -> String {
    let known = match alert {
        AlertDescription::CertificateRequired => "TLSV1_ALERT_CERTIFICATE_REQUIRED",
        AlertDescription::UnknownCA => "TLSV1_ALERT_UNKNOWN_CA",
        AlertDescription::AccessDenied => "TLSV1_ALERT_ACCESS_DENIED",
        AlertDescription::ProtocolVersion => "TLSV1_ALERT_PROTOCOL_VERSION",
        AlertDescription::NoApplicationProtocol => "TLSV1_ALERT_NO_APPLICATION_PROTOCOL",
        AlertDescription::DecryptError => "TLSV1_ALERT_DECRYPT_ERROR",
        AlertDescription::InternalError => "TLSV1_ALERT_INTERNAL_ERROR",
        AlertDescription::UnrecognisedName => "TLSV1_UNRECOGNIZED_NAME",
        AlertDescription::HandshakeFailure => "SSLV3_ALERT_HANDSHAKE_FAILURE",
        AlertDescription::BadCertificate => "SSLV3_ALERT_BAD_CERTIFICATE",
        AlertDescription::CertificateExpired => "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        AlertDescription::CertificateUnknown => "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        other => return format!("ALERT:{other:?}"),
    };
    known.to_owned()
}
