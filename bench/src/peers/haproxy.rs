//! HAProxy for one hop: one thread, connections to the backend shared as far as they go.

use crate::certificates::Certificates;
use crate::hop::{Hop, Protocol, Tls};

pub fn config(hop: &Hop, certificates: &Certificates) -> String {
    let mode = if hop.protocol == Protocol::Tcp { "tcp" } else { "http" };
    let http = if hop.protocol == Protocol::Tcp {
        ""
    } else {
        // The log is evaluated for every request and written for failures, as in the other peers.
        "log 127.0.0.1:514 local0\n    option httplog\n    option dontlog-normal\n    http-reuse always"
    };
    format!(
        "global
    nbthread 1
    maxconn 8000
    tune.ssl.default-dh-param 2048
defaults
    mode {mode}
    timeout connect 5s
    timeout client 300s
    timeout server 300s
    timeout http-keep-alive 300s
    {http}
frontend hop
    bind 127.0.0.1:{listen}{bind}
    default_backend backend
backend backend
    server backend 127.0.0.1:{upstream}{server}
",
        listen = hop.listen,
        upstream = hop.upstream,
        bind = bind(hop, certificates),
        server = server(hop, certificates),
    )
}

fn bind(hop: &Hop, certificates: &Certificates) -> String {
    let alpn = alpn(hop);
    match hop.downstream_tls {
        Tls::None if hop.protocol == Protocol::Http2 => " proto h2".to_owned(),
        Tls::None => String::new(),
        Tls::Server => format!(" ssl crt {} {alpn}", certificates.server.both.display()),
        Tls::Mutual => format!(
            " ssl crt {} ca-file {} verify required {alpn}",
            certificates.server.both.display(),
            certificates.root.display()
        ),
    }
}

fn server(hop: &Hop, certificates: &Certificates) -> String {
    match hop.upstream_tls {
        Tls::None if hop.protocol == Protocol::Http2 => " proto h2".to_owned(),
        Tls::None => String::new(),
        Tls::Server | Tls::Mutual => format!(
            " ssl crt {} ca-file {} verify required {}",
            certificates.client.both.display(),
            certificates.root.display(),
            alpn(hop)
        ),
    }
}

fn alpn(hop: &Hop) -> &'static str {
    if hop.protocol == Protocol::Http2 { "alpn h2" } else { "alpn http/1.1" }
}
