//! Certificates of a workload, and the TLS made from them.
//!
//! [`SecretStore`] holds secrets by name (`default`, `ROOTCA`, …), each swapped whole and with a
//! generation. [`ServerTls`] and [`ClientTls`] turn what configuration says into rustls settings,
//! rebuilt only when a secret's generation changes: the next handshake uses the new certificate,
//! open connections go on. Session caches and ticket keys live with one generation, so a resumed
//! session outlives neither certificate nor trust bundle.
//!
//! Workload certificates carry only a SPIFFE URI, so no host name is ever compared: the peer's
//! chain is verified against the roots, and its names against the expected ones, after *every*
//! handshake ([`check_peer`]), for resumption skips the verifier.

mod certificate;
mod client;
mod error;
mod handshake;
mod key;
mod latest;
mod names;
mod peer;
mod pins;
mod provider;
mod server;
mod source;
mod stats;
mod store;
mod validation;
mod verifier;

pub use certificate::{Certificate, CertificateFacts, Roots, cert_pem, certificate_facts};
pub use client::{ClientTls, ConnectOptions};
pub use error::{TlsError, TlsFailure};
pub use handshake::{ClientStream, ServerStream, TlsInfo};
pub use key::{PrivateKeyPem, new_key_and_csr};
pub use names::Names;
pub use peer::{PeerDetails, PeerIdentity, Presented};
pub use server::ServerTls;
pub use stats::HandshakeStats;
pub use store::{SecretStore, Slot, Versioned};
pub use validation::{Validation, check_peer};

/// The SDS name of a workload's own certificate.
pub const WORKLOAD_CERTIFICATE: &str = "default";
/// The SDS name of the mesh's trust bundle.
pub const TRUST_BUNDLE: &str = "ROOTCA";
