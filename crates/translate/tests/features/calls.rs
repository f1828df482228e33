//! What becomes of calls, told as short as can be.

use engine::follow::{Call, ClientTls, Configuration, Mode, Spoken, follow};

use crate::common::Proxy;

/// `MODE ADDRESS:PORT [http|tcp] [HOST[/PATH]] [tls=SNI|mtls=SNI]`: the cluster that it reaches, or the
/// code of the refusal, or `answered`.
pub fn reaches(proxy: &Proxy, words: &str) -> String {
    let configuration = Configuration::new(proxy.0.iter().cloned()).expect("a configuration");
    let mut parts = words.split_whitespace();
    let mode = match parts.next() {
        Some("in") => Mode::Inbound,
        Some("gateway") => Mode::Gateway,
        _ => Mode::Outbound,
    };
    let destination = parts.next().expect("a destination").parse().expect("an address");
    let mut call = Call {
        mode,
        destination,
        spoken: Spoken::Bytes,
        tls: ClientTls::Plaintext,
        server_name: String::new(),
        alpn: Vec::new(),
        authority: String::new(),
        path: "/".into(),
    };
    for part in parts {
        if let Some(name) = part.strip_prefix("tls=") {
            (call.tls, call.server_name) = (ClientTls::Simple, name.to_owned());
        } else if let Some(name) = part.strip_prefix("mtls=") {
            (call.tls, call.server_name) = (ClientTls::Mutual, name.to_owned());
            call.alpn = vec!["istio".into()];
        } else if part == "http" {
            call.spoken = Spoken::Http1;
        } else if part != "tcp" {
            let (host, path) = part.split_once('/').unwrap_or((part, ""));
            (call.authority, call.path) = (host.to_owned(), format!("/{path}"));
        }
    }
    let found = follow(&configuration, &call);
    match (found.refusal, found.cluster) {
        (Some(refusal), _) => refusal.code().to_owned(),
        (None, Some(cluster)) => cluster.to_string(),
        (None, None) => "answered".to_owned(),
    }
}

/// Each call beside where it ends.
#[track_caller]
pub fn check(proxy: &Proxy, calls: &[(&str, &str)]) {
    for (words, expected) in calls {
        assert_eq!(reaches(proxy, words), *expected, "{words}");
    }
}
