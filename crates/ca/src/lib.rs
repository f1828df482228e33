//! The mesh's certificate authority: who asks, for what key, and the certificate they get.
//!
//! [`SigningCa`] is the key and chain on disk, [`Issuer`] signs (a function of request, identity
//! and time), [`TokenKey`] mints and verifies the tokens that workloads start with,
//! [`Authenticator`] turns a token or a client certificate into an identity, and
//! [`CertificateService`] is Istio's gRPC service over them. [`ControlTls`] is the TLS that
//! service and discovery are served over.
//!
//! A workload's key never comes here, only its request; the names in the request are ignored,
//! for who someone is follows from how they authenticated.

mod authenticate;
mod counters;
mod csr;
mod files;
mod issuer;
mod peer;
pub mod proto;
mod root;
mod service;
mod tls;
mod token;

#[cfg(test)]
mod tests;

pub use authenticate::{Authenticator, Caller, Unauthenticated};
pub use counters::Counters;
pub use csr::Csr;
pub use issuer::{IssueError, Issued, Issuer, IssuerLimits, ServingNames};
pub use peer::{PeerInfo, spiffe_of};
pub use proto::{IstioCertificateRequest, IstioCertificateResponse, IstioCertificateServiceServer};
pub use root::{CaError, SigningCa};
pub use service::CertificateService;
pub use tls::{ControlTls, ControlTlsStream};
pub use token::{BadToken, PodRef, TokenClaims, TokenKey, TokenRequest, VerifiedToken};

/// The audience of workload tokens, Istio's.
pub const TOKEN_AUDIENCE: &str = "istio-ca";
