//! JSON web tokens for topics, signed when the test runs: they expire.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// What the topics' `oct` key says in base64.
const KEY: &[u8] = b"a secret of some length, for tests";
/// Where a token names no header.
const HEADER: &str = r#"{"alg":"HS256","kid":"s"}"#;

/// Replaces `@jwt PAYLOAD@` and `@jwt HEADER PAYLOAD@` by tokens with the key's signature, whatever their
/// header says. `now+9` and `now-9` in a payload are seconds since 1970.
pub fn fill(text: &str) -> String {
    let mut parts = text.split("@jwt ");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (inside, rest) = part.split_once('@').expect("the end of a token");
        let (header, payload) = match inside.split_once("} {") {
            Some((header, payload)) => (format!("{header}}}"), format!("{{{payload}")),
            None => (HEADER.to_owned(), inside.to_owned()),
        };
        out.push_str(&token(&header, &times(&payload)));
        out.push_str(rest);
    }
    out
}

fn token(header: &str, payload: &str) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, KEY), signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
}

fn times(payload: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let mut out = payload.to_owned();
    while let Some(at) = out.find("now") {
        let digits = out[at + 4..].find(|c: char| !c.is_ascii_digit()).unwrap_or(out.len() - at - 4);
        let seconds: u64 = out[at + 4..at + 4 + digits].parse().expect("seconds");
        let time = if out[at + 3..].starts_with('-') { now - seconds } else { now + seconds };
        out.replace_range(at..at + 4 + digits, &time.to_string());
    }
    out
}
