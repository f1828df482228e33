//! Response heads from any bytes, to any method.

#![no_main]

use http1::{BodyKind, Limits, ResponseHead};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits::default();
    for method in [&b"GET"[..], b"HEAD", b"CONNECT"] {
        let Ok(Some((head, len))) = ResponseHead::parse(bytes, method, &limits) else { continue };
        assert!(len <= bytes.len() && bytes[..len].ends_with(b"\r\n\r\n"));
        for cut in len.saturating_sub(200)..len {
            assert!(matches!(ResponseHead::parse(&bytes[..cut], method, &limits), Ok(None)));
        }
        assert!((100..1000).contains(&head.status()));
        let bodiless = head.status() < 200 || [204, 304].contains(&head.status()) || method == b"HEAD";
        assert!(!bodiless || head.body_kind() == BodyKind::None);
        if let BodyKind::Length(_) = head.body_kind() {
            assert_eq!(head.get_all("content-length").count(), 1);
        }
        if head.body_kind() != BodyKind::None {
            assert!(head.get("content-length").is_none() || head.get("transfer-encoding").is_none());
        }
        assert!(head.body_kind() != BodyKind::UntilClose || !head.keep_alive());
    }
});
