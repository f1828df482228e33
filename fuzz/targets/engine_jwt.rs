//! Any bytes as a token, and as a set of keys: read or refused by name, and nothing that was not signed is
//! verified.

#![no_main]

use engine::jwt::{Keys, Token};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let keys = Keys::parse(bytes);
    let text = String::from_utf8_lossy(bytes);
    let Ok(token) = Token::parse(&text) else { return };
    assert_eq!(token.signed.matches('.').count(), 1);
    let _ = token.holds(1_700_000_000, 60);
    // A secret that no input has.
    let set =
        br#"{"keys":[{"kty":"oct","k":"bm9ib2R5IGtub3dzIHRoaXMgc2VjcmV0LCBub3QgZXZlbiB0aGUgZnV6emVy"}]}"#;
    let secret = Keys::parse(set).expect("a key");
    assert!(secret.verify(&token).is_err());
    if let Ok(keys) = keys {
        let _ = keys.verify(&token);
    }
});
