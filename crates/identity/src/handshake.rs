//! What a finished handshake yields, and how a failed one ends.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::{CipherSuite, CommonState, HandshakeKind, NamedGroup, ProtocolVersion};
use stdx::Str;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::error::TlsError;
use crate::names::Names;
use crate::peer::{PeerDetails, PeerIdentity};
use crate::validation::{Validation, check_peer};

/// A TLS stream towards a client.
pub type ServerStream<IO> = tokio_rustls::server::TlsStream<IO>;
/// A TLS stream towards a server.
pub type ClientStream<IO> = tokio_rustls::client::TlsStream<IO>;

/// What is known of a TLS connection once it stands.
#[derive(Clone, Debug)]
pub struct TlsInfo {
    /// `None`: the peer presented no certificate and need not, or there are no roots to judge it by.
    pub peer: Option<Arc<PeerIdentity>>,
    /// The peer has shown a certificate, whatever became of it.
    pub presented: bool,
    /// Names in the certificate we presented: `By` in `x-forwarded-client-cert`.
    pub local: Option<Arc<Names>>,
    /// The agreed application protocol.
    pub alpn: Option<Str>,
    /// The server name asked for.
    pub sni: Option<Str>,
    /// `TLSv1.2` or `TLSv1.3`.
    pub version: &'static str,
    /// The cipher suite's name in BoringSSL, which is the one that Envoy's logs and statistics have.
    pub cipher: &'static str,
    /// The group of the key exchange, in BoringSSL's words; empty: nothing was exchanged.
    pub group: &'static str,
    /// No certificates were exchanged: an earlier session was continued.
    pub resumed: bool,
}

impl TlsInfo {
    /// Judges the peer and collects what is known. `protocols` are ours, so that the agreed one
    /// needs no memory of its own. `keep`: the peer's chain with all that it says.
    pub(crate) fn of(
        connection: &CommonState,
        validation: &Validation,
        local: Option<Arc<Names>>,
        sni: Option<Str>,
        protocols: &[Str],
        keep: bool,
    ) -> Result<Self, TlsError> {
        let presented = connection.peer_certificates().is_some_and(|chain| !chain.is_empty());
        let mut peer = check_peer(connection, validation)?;
        if let (Some(peer), Some(chain), true) = (&mut peer, connection.peer_certificates(), keep) {
            peer.details = Some(Box::new(PeerDetails::of(chain)?));
        }
        let alpn = connection.alpn_protocol().map(|agreed| {
            let ours = protocols.iter().find(|ours| ours.as_bytes() == agreed).cloned();
            ours.unwrap_or_else(|| String::from_utf8_lossy(agreed).into_owned().into())
        });
        let version = match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        };
        let cipher = connection.negotiated_cipher_suite().map_or("", |suite| cipher_name(suite.suite()));
        let group = connection.negotiated_key_exchange_group().map_or("", |group| group_name(group.name()));
        let resumed = connection.handshake_kind() == Some(HandshakeKind::Resumed);
        Ok(TlsInfo { peer: peer.map(Arc::new), presented, local, alpn, sni, version, cipher, group, resumed })
    }
}

fn cipher_name(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        other => other.as_str().unwrap_or(""),
    }
}

fn group_name(group: NamedGroup) -> &'static str {
    match group {
        NamedGroup::secp256r1 => "P-256",
        NamedGroup::secp384r1 => "P-384",
        NamedGroup::secp521r1 => "P-521",
        other => other.as_str().unwrap_or(""),
    }
}

/// How long a refused client has to read its alert, and how much it may still send meanwhile.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 64 * 1024;

/// Ends a connection whose handshake we refused. A close while the client's next bytes are
/// unread would become a reset, which can overtake the alert on its way to the client.
pub(crate) async fn refuse<IO: AsyncRead + AsyncWrite + Unpin>(mut io: IO, error: io::Error) -> TlsError {
    let error = TlsError::from_io(error);
    if !matches!(error, TlsError::Io(_)) {
        let _ = tokio::time::timeout(LINGER, drain(&mut io)).await;
    }
    error
}

async fn drain<IO: AsyncRead + AsyncWrite + Unpin>(io: &mut IO) -> io::Result<()> {
    io.shutdown().await?;
    let mut scratch = [0; 1024];
    let mut left = LINGER_BYTES;
    while left > 0 {
        match io.read(&mut scratch).await? {
            0 => break,
            read => left = left.saturating_sub(read),
        }
    }
    Ok(())
}
