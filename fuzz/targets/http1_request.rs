//! Request heads from any bytes: no panic, no acceptance of a part, none that could be read in two
//! ways.

#![no_main]

use http1::{BodyKind, Limits, RequestHead, Version};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits::default();
    let Ok(Some((mut head, len))) = RequestHead::parse(bytes, &limits) else { return };
    assert!(len <= bytes.len() && bytes[..len].ends_with(b"\r\n\r\n"));
    for cut in len.saturating_sub(200)..len {
        assert!(matches!(RequestHead::parse(&bytes[..cut], &limits), Ok(None)));
    }
    let count = |name: &str| head.get_all(name).count();
    assert!(count("host") == 1 || (count("host") == 0 && head.version() == Version::Http10));
    match head.body_kind() {
        BodyKind::None => assert_eq!((count("content-length"), count("transfer-encoding")), (0, 0)),
        BodyKind::Length(_) => assert_eq!((count("content-length"), count("transfer-encoding")), (1, 0)),
        BodyKind::Chunked => assert_eq!(count("content-length"), 0),
        BodyKind::UntilClose => panic!("requests have an end"),
    }
    let plain = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_graphic);
    assert!(!head.method().is_empty() && plain(head.method()));
    assert!(!head.path().is_empty() && plain(head.path()) && plain(head.authority()));
    for (name, value) in head.iter() {
        assert!(!name.is_empty() && plain(name) && !name.contains(&b':'));
        assert!(value.iter().all(|b| *b == b'\t' || !b.is_ascii_control()));
    }
    head.strip_hop_by_hop(true);
    assert!(head.get("transfer-encoding").is_none() && head.get("keep-alive").is_none());
    head.strip_hop_by_hop(false);
    assert!(head.get("connection").is_none() && head.get("upgrade").is_none());
});
