//! The corpus of requests and responses that two recipients could read differently, with the
//! verdict for each. Data, for every test that needs it: the engine's own (`tests/corpus.rs`), a hop through
//! the proxy, and the differences from hyper and Envoy.
//!
//! Sources: RFC 9110 and 9112; J. Kettle, "HTTP Desync Attacks" (2019), "HTTP/2: The Sequel is Always
//! Worse" (2021) and "Browser-Powered Desync Attacks" (2022); B. Kallus and others, "The HTTP Garden"
//! (2024); advisories of the proxies named with a case.
// Three test binaries include these files, and each uses a part of them.
#![allow(dead_code, unused_imports)]

mod chunks;
pub mod differences;
mod fields;
mod framing;
mod lines;
mod responses;
pub mod strict;
mod whole;

use http1::Refusal;
pub use responses::{Answer, responses};

/// What a client sends on one connection, and what must become of it.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    pub bytes: Vec<u8>,
    /// The requests that are read whole, in order.
    pub messages: Vec<Message>,
    /// What comes after them.
    pub end: End,
}

/// A request as it must be read by everyone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub method: String,
    pub path: String,
    pub host: String,
    pub body: Vec<u8>,
}

/// How a connection's bytes end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With the last message.
    Clean,
    /// In something that is refused.
    Refused(Refusal),
    /// In the middle of a message.
    Incomplete,
}

/// What becomes of the body in a row of a table.
#[derive(Clone, Copy, Debug)]
pub enum Verdict {
    /// The request is accepted, with this body.
    Body(&'static [u8]),
    Refused(Refusal),
    Incomplete,
}

/// A request that follows what was accepted, to show that the end was found.
const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nHost: n\r\n\r\n";

/// Every case.
pub fn requests() -> Vec<Case> {
    let mut cases = framing::cases();
    cases.extend(lines::cases());
    cases.extend(fields::cases());
    cases.extend(chunks::cases());
    cases.extend(whole::cases());
    cases
}

pub fn message(method: &str, path: &str, host: &str, body: &[u8]) -> Message {
    Message { method: method.into(), path: path.into(), host: host.into(), body: body.into() }
}

impl Case {
    /// One request, and one more if that is accepted.
    fn one(name: &str, bytes: Vec<u8>, read: Message, verdict: Verdict) -> Case {
        let name = name.to_owned();
        match verdict {
            Verdict::Body(body) => {
                let messages = vec![Message { body: body.into(), ..read }, message("GET", "/next", "n", b"")];
                Case { name, bytes: [&bytes, NEXT].concat(), messages, end: End::Clean }
            }
            Verdict::Refused(why) => Case { name, bytes, messages: Vec::new(), end: End::Refused(why) },
            Verdict::Incomplete => Case { name, bytes, messages: Vec::new(), end: End::Incomplete },
        }
    }

    /// Several requests that are accepted.
    fn all(name: &str, bytes: &[u8], messages: Vec<Message>) -> Case {
        Case { name: name.into(), bytes: bytes.into(), messages, end: End::Clean }
    }
}
