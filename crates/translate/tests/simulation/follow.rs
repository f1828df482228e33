//! Calls as cases write them, followed by the engine.

use std::net::{IpAddr, SocketAddr};

use engine::follow::{self, ClientTls, Configuration, Mode, Spoken};
pub use engine::follow::{Call, Followed as Outcome};
use serde_json::Value;

use crate::common::Proxy;

pub fn read(call: &Value) -> Call {
    let text = |field: &str| call[field].as_str().unwrap_or_default().to_owned();
    let address: IpAddr = text("address").parse().expect("address");
    let port = call["port"].as_u64().and_then(|port| u16::try_from(port).ok()).expect("port");
    Call {
        mode: match text("callMode").as_str() {
            "inbound" => Mode::Inbound,
            "gateway" => Mode::Gateway,
            _ => Mode::Outbound,
        },
        destination: SocketAddr::new(address, port),
        spoken: match text("protocol").as_str() {
            "http" => Spoken::Http1,
            "http2" => Spoken::Http2,
            _ => Spoken::Bytes,
        },
        tls: match text("tls").as_str() {
            "tls" => ClientTls::Simple,
            "mtls" => ClientTls::Mutual,
            _ => ClientTls::Plaintext,
        },
        server_name: text("sni").to_ascii_lowercase(),
        alpn: Some(text("alpn")).filter(|alpn| !alpn.is_empty()).into_iter().collect(),
        authority: text("host_header"),
        path: text("path"),
    }
}

pub fn follow(proxy: &Proxy, call: &Call) -> Outcome {
    let configuration = Configuration::new(proxy.0.iter().cloned()).expect("a configuration");
    follow::follow(&configuration, call)
}
