//! Heads from any bytes: no panic, no acceptance of a part, and what is written is read back as
//! the same message.

#![no_main]

use bytes::BytesMut;
use http1::{Limits, RequestHead, ResponseHead};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits::default();
    request(bytes, &limits);
    for method in [&b"GET"[..], b"HEAD", b"CONNECT"] {
        response(bytes, method, &limits);
    }
});

fn request(bytes: &[u8], limits: &Limits) {
    let Ok(Some((mut head, len))) = RequestHead::parse(bytes, limits) else { return };
    assert!(matches!(RequestHead::parse(&bytes[..len - 1], limits), Ok(None)));
    let kind = head.body_kind();
    let mut out = BytesMut::new();
    head.write(kind, &mut out);
    // A rewritten head may have become longer than the limits by a few bytes.
    let roomy = Limits { max_headers_kb: 128, max_headers_count: 200 };
    if head.version() == http1::Version::Http11 {
        let (again, end) = RequestHead::parse(&out, &roomy).expect("valid").expect("complete");
        assert_eq!(end, out.len());
        assert_eq!(again.body_kind(), kind);
        assert_eq!(
            (again.method(), again.path(), again.authority()),
            (head.method(), head.path(), head.authority())
        );
    }
    head.strip_hop_by_hop(true);
    head.strip_hop_by_hop(false);
    assert!(head.get("connection").is_none() && head.get("transfer-encoding").is_none());
}

fn response(bytes: &[u8], method: &[u8], limits: &Limits) {
    let Ok(Some((head, len))) = ResponseHead::parse(bytes, method, limits) else { return };
    assert!(matches!(ResponseHead::parse(&bytes[..len - 1], method, limits), Ok(None)));
    let mut out = BytesMut::new();
    head.write(head.body_kind(), &mut out);
    let roomy = Limits { max_headers_kb: 128, max_headers_count: 200 };
    let (again, _) = ResponseHead::parse(&out, method, &roomy).expect("valid").expect("complete");
    assert_eq!(again.status(), head.status());
}
