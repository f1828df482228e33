//! Upgrades between HTTP/1, which names them in headers (RFC 6455, RFC 9110 section 7.8), and
//! HTTP/2, which opens a stream for them (RFC 8441).

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;

use super::{RequestHead, ResponseHead};

/// RFC 6455, section 1.3.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// HTTP/2 has no use for the handshake by key: `:protocol` says it (RFC 8441, section 5).
pub(super) fn to_h2(fields: &mut HeaderMap) {
    fields.remove("sec-websocket-key");
}

/// As HTTP/1 asks for an upgrade. A WebSocket server wants a key, and the client sent none.
pub(super) fn to_h1(head: &mut http1::RequestHead, protocol: &str) {
    head.append("connection", "upgrade");
    head.append("upgrade", protocol);
    if protocol.eq_ignore_ascii_case("websocket") {
        if head.get("sec-websocket-key").is_none() {
            head.append("sec-websocket-key", key());
        }
        if head.get("sec-websocket-version").is_none() {
            head.append("sec-websocket-version", "13");
        }
    }
}

/// A nonce, so that no cache in between takes one handshake for another.
fn key() -> String {
    let half = || RandomState::new().build_hasher().finish().to_ne_bytes();
    STANDARD.encode([half(), half()].concat())
}

/// The response to an upgrade that was granted over HTTP/2, as HTTP/1 says it.
pub(crate) fn switched(request: &RequestHead, head: ResponseHead) -> ResponseHead {
    let mut head = ResponseHead::from_h1(head.into_h1());
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
        let request = one.to_h2().unwrap();
        assert_eq!((request.method().as_str(), request.uri().path()), ("CONNECT", "/chat"));
        assert_eq!(request.extensions().get::<h2::ext::Protocol>().unwrap().as_str(), "websocket");
        let names: Vec<_> = request.headers().keys().map(|name| name.as_str()).collect();
        assert_eq!(names, ["sec-websocket-version"]);
        // RFC 6455, section 1.3.
        let answer = switched(&one, ResponseHead::new(200));
        assert_eq!((answer.status(), answer.get("upgrade")), (101, Some(&b"websocket"[..])));
        assert_eq!(answer.get("sec-websocket-accept"), Some(&b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="[..]));

        let two = RequestHead::from_h2(request.into_parts().0);
        assert_eq!(
            (two.method(), two.is_connect(), two.upgrade()),
            (&b"GET"[..], false, Some(&b"websocket"[..]))
        );
        let back = two.to_h1().unwrap();
        assert_eq!((back.method(), back.get("upgrade")), (&b"GET"[..], Some(&b"websocket"[..])));
        assert_eq!(back.get("sec-websocket-key").unwrap().len(), 24);
        assert_eq!(two.to_h2().unwrap().method(), "CONNECT");
    }
}
