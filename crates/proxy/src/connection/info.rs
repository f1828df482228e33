//! What is known of a connection.

use std::net::SocketAddr;

use engine::route::ClientCertificate;
use identity::TlsInfo;
use stdx::Str;

/// What is known of a connection; shared by its requests.
#[derive(Debug)]
pub struct ConnInfo {
    pub id: u64,
    /// Where the client was going (the original destination).
    pub local: SocketAddr,
    /// A filter of the listener found that out; else it is the address that the client connected to.
    pub restored: bool,
    /// The client: the TCP peer, or who that said it is (PROXY protocol).
    pub remote: SocketAddr,
    /// The TCP peer, where it said that it speaks for another.
    pub relay: Option<Box<SocketAddr>>,
    /// The address that the client connected to, where it was led here on its way to another.
    pub accepted_at: Option<Box<SocketAddr>>,
    /// Name of the listener that serves it, and of the chain in it.
    pub listener: Str,
    pub chain: Str,
    /// From the ClientHello.
    pub sni: Option<Str>,
    /// In a box: most connections have none of it, and those that idle are many.
    pub tls: Option<Box<TlsInfo>>,
    /// From the connection's beginning to the end of the TLS handshake, in milliseconds.
    pub handshake_ms: Option<u32>,
}

impl ConnInfo {
    /// Where the client was going before somebody led it here, as ORIGINAL_DST clusters ask for it.
    pub fn original(&self) -> Option<SocketAddr> {
        self.restored.then_some(self.local)
    }

    /// The TCP peer.
    pub fn direct_remote(&self) -> SocketAddr {
        self.relay.as_deref().copied().unwrap_or(self.remote)
    }

    /// The address that the client connected to.
    pub fn direct_local(&self) -> SocketAddr {
        self.accepted_at.as_deref().copied().unwrap_or(self.local)
    }

    /// The verified peer, for policies.
    pub fn certificate(&self) -> Option<engine::rbac::Certificate> {
        let peer = self.tls.as_ref()?.peer.as_ref()?;
        Some(engine::rbac::Certificate {
            uri_sans: peer.uri_sans.clone(),
            dns_sans: peer.dns_sans.clone(),
            subject: peer.subject.clone(),
        })
    }

    /// As routes ask for it.
    pub fn client_certificate(&self) -> ClientCertificate {
        self.tls.as_ref().map_or_else(ClientCertificate::default, |tls| ClientCertificate {
            presented: tls.presented,
            validated: tls.peer.is_some(),
        })
    }

    /// Mutual TLS: the peer has shown a certificate.
    pub fn is_mutual(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.peer.is_some())
    }

    /// The first URI SAN of the peer, and our own.
    pub fn principals(&self) -> (Option<&str>, Option<&str>) {
        let Some(tls) = &self.tls else { return (None, None) };
        let peer = tls.peer.as_ref().and_then(|peer| peer.uri_sans.first());
        let own = tls.local.as_ref().and_then(|local| local.uri_sans.first());
        (peer.map(Str::as_str), own.map(Str::as_str))
    }

    #[cfg(test)]
    pub fn for_test(remote: &str, local: &str) -> Self {
        ConnInfo {
            id: 1,
            local: local.parse().unwrap(),
            remote: remote.parse().unwrap(),
            restored: false,
            relay: None,
            accepted_at: None,
            listener: "l".into(),
            chain: "c".into(),
            sni: None,
            tls: None,
            handshake_ms: None,
        }
    }
}
