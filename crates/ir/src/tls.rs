//! TLS on either side, and the secrets it is made from.

use std::fmt;

use stdx::Str;

use crate::{ConfigSource, PathSource, StringMatcher};

/// `envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DownstreamTls {
    pub common: CommonTls,
    /// Without a client certificate the handshake fails.
    pub require_client_certificate: bool,
}

/// `envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamTls {
    pub common: CommonTls,
    pub sni: Option<Str>,
}

/// What both sides have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CommonTls {
    /// Our own certificate, if we present one.
    pub certificate: Option<CertificateSource>,
    /// Another one, with another kind of key, for peers that cannot read the first.
    pub alternative: Option<CertificateSource>,
    /// How the peer's is judged. `None`: not at all (Envoy's meaning, kept and reported).
    pub validation: Option<Validation>,
    /// In order of preference.
    pub alpn: Vec<Str>,
    /// `None`: TLS 1.2.
    pub min_version: Option<TlsVersion>,
    /// `None`: TLS 1.3.
    pub max_version: Option<TlsVersion>,
    /// For TLS 1.2, by OpenSSL's names, in order of preference; empty: the proxy's own choice.
    pub cipher_suites: Vec<Str>,
    /// Groups for the key exchange, in order of preference; empty: the proxy's own choice.
    pub ecdh_curves: Vec<Str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    V1_2,
    V1_3,
}

/// Where a certificate and its key come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CertificateSource {
    Sds(SdsRef),
    Inline(TlsCertificate),
}

/// Where trusted roots come from, and whom we expect.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Validation {
    pub roots: RootsSource,
    /// The peer's certificate must have a SAN that one of these matches; empty: any.
    pub match_sans: Vec<SanMatcher>,
    /// The peer's certificate must be one of these; both lists empty: any.
    pub pins: Pins,
    /// Revoked certificates, PEM. Of every issuer in a chain there must be a list then.
    pub crl: Option<DataSource>,
    /// Whoever presents a certificate is let in, and believed in nothing (`ACCEPT_UNTRUSTED`).
    pub accept_untrusted: bool,
}

/// Certificates by what they are, not by who signed them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Pins {
    /// SHA-256 of the DER of public keys, in base64.
    pub spki: Vec<Str>,
    /// SHA-256 of the DER of certificates, in hexadecimal, also with colons.
    pub hashes: Vec<Str>,
}

impl Validation {
    /// Judged by roots and names alone.
    pub fn new(roots: RootsSource, match_sans: Vec<SanMatcher>) -> Self {
        Validation { roots, match_sans, pins: Pins::default(), crl: None, accept_untrusted: false }
    }

    /// Whether anything but roots is said.
    pub fn has_conditions(&self) -> bool {
        !self.match_sans.is_empty()
            || self.pins != Pins::default()
            || self.crl.is_some()
            || self.accept_untrusted
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RootsSource {
    Sds(SdsRef),
    Inline(DataSource),
}

/// A secret by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SdsRef {
    pub name: Str,
    pub via: SdsVia,
}

/// Who serves a secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SdsVia {
    /// The ADS stream.
    Ads,
    /// A gRPC service behind this cluster (the agent's Unix socket: `sds-grpc`).
    Cluster(Str),
    /// A file.
    Path(Box<PathSource>),
    /// `static_resources.secrets` of the bootstrap.
    Static,
}

impl SdsRef {
    /// What the secret is kept under: two files may each have one of the same name.
    pub fn key(&self) -> Str {
        match &self.via {
            SdsVia::Path(source) => ConfigSource::Path(source.clone()).key(&self.name),
            SdsVia::Ads | SdsVia::Cluster(_) | SdsVia::Static => self.name.clone(),
        }
    }
}

/// A condition on a subject alternative name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SanMatcher {
    pub kind: SanKind,
    pub matcher: StringMatcher,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SanKind {
    Email,
    Dns,
    Uri,
    IpAddress,
}

/// Bytes, or a file that has them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DataSource {
    File(Str),
    Inline(Vec<u8>),
}

impl fmt::Debug for DataSource {
    /// Never prints bytes: they may be a private key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataSource::File(path) => write!(f, "File({path:?})"),
            DataSource::Inline(bytes) => write!(f, "Inline({} bytes)", bytes.len()),
        }
    }
}

/// A certificate chain (leaf first) and its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TlsCertificate {
    pub chain: DataSource,
    pub key: DataSource,
}

/// `envoy.extensions.transport_sockets.tls.v3.Secret`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Secret {
    pub name: Str,
    pub content: SecretContent,
}

/// Trusted roots, PEM.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TrustBundle {
    pub roots: DataSource,
    /// Lists of certificates that have been revoked, PEM.
    pub crl: Option<DataSource>,
}

impl From<DataSource> for TrustBundle {
    fn from(roots: DataSource) -> Self {
        TrustBundle { roots, crl: None }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SecretContent {
    Certificate(TlsCertificate),
    Roots(TrustBundle),
}
