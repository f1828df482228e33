//! Upgrades between HTTP/1, which names them in headers (RFC 6455, RFC 9110 section 7.8), and
//! HTTP/2, which opens a stream for them (RFC 8441).

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{RequestHead, ResponseHead};

/// RFC 6455, section 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A WebSocket server wants a key, and a client that speaks HTTP/2 sent none.
pub(super) fn add_handshake(head: &mut http1::RequestHead) {
    if !head.contains("sec-websocket-key") {
        head.append("sec-websocket-key", key());
    }
    if !head.contains("sec-websocket-version") {
        head.append("sec-websocket-version", "13");
    }
}

/// A nonce, so that no cache in between takes one handshake for another.
fn key() -> String {
    let half = || RandomState::new().build_hasher().finish().to_ne_bytes();
    STANDARD.encode([half(), half()].concat())
}

/// The response to an upgrade that was granted over HTTP/2, as HTTP/1 says it.
pub(crate) fn switched(request: &RequestHead, mut head: ResponseHead) -> ResponseHead {
    head.set_status(101);
    head.set("connection", "upgrade");
    head.set("upgrade", request.upgrade().unwrap_or_default());
    if let Some(key) = request.get("sec-websocket-key") {
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &[key, GUID].concat());
        head.set("sec-websocket-accept", STANDARD.encode(hash));
    }
    head
}

#[cfg(test)]
mod tests {
    use super::*;
    use http1::Limits;

    #[test]
    fn a_handshake_crosses_both_ways() {
        let text = "GET /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
        let (head, _) = http1::RequestHead::parse(text.as_bytes(), &Limits::default()).unwrap().unwrap();
        let mut one = RequestHead::from_h1(head, false);
        one.strip_hop_by_hop(true);
        // RFC 6455, section 1.3.
        let answer = switched(&one, ResponseHead::new(200));
        assert_eq!((answer.status(), answer.get("upgrade")), (101, Some(&b"websocket"[..])));
        assert_eq!(answer.get("sec-websocket-accept"), Some(&b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="[..]));
        assert_eq!(one.to_h1().get("sec-websocket-key"), Some(&b"dGhlIHNhbXBsZSBub25jZQ=="[..]));

        let mut two = http1::Assembly::new();
        two.field(b"host", b"h", true, false).unwrap();
        two.headers().append("connection", "upgrade");
        two.headers().append("upgrade", "websocket");
        let (method, path) = (two.store(b"GET"), two.store(b"/chat"));
        let two = two.request(method, Some(path), http1::BodyKind::None).unwrap();
        let mut two = RequestHead::from_h2(two, false);
        two.strip_hop_by_hop(true);
        assert_eq!((two.is_connect(), two.upgrade()), (false, Some(&b"websocket"[..])));
        assert_eq!(two.to_h1().get("sec-websocket-key").unwrap().len(), 24);
        assert_eq!(two.get("sec-websocket-key"), None);
    }
}
