//! A call, and the ways in which it can be refused.

use std::fmt;
use std::net::SocketAddr;

/// Somebody's connection, and the request on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub mode: Mode,
    /// The original destination.
    pub destination: SocketAddr,
    pub spoken: Spoken,
    pub tls: ClientTls,
    /// Of the ClientHello, in lower case; empty: none.
    pub server_name: String,
    /// The ALPN of the ClientHello, in order of preference.
    pub alpn: Vec<String>,
    /// Of the request.
    pub authority: String,
    /// Of the request, with its query.
    pub path: String,
}

/// How the connection reaches the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The application's own, redirected to its sidecar.
    Outbound,
    /// Somebody's for the application, redirected to its sidecar.
    Inbound,
    /// To a port of the proxy's own.
    Gateway,
}

/// What is inside of the connection, or of its TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    Http1,
    Http2,
    /// Bytes that are no HTTP.
    Bytes,
}

/// How the client secures the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientTls {
    Plaintext,
    /// Without a client certificate.
    Simple,
    /// With one.
    Mutual,
}

/// Why a call reaches no cluster, in the order in which it is found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    NoListener,
    NoFilterChain,
    MultipleFilterChains,
    /// Plaintext to a chain that terminates TLS.
    Tls,
    /// A client certificate is demanded and missing, or presented and not demanded.
    MutualTls,
    /// HTTP is decoded, and something else comes.
    Protocol,
    NoVirtualHost,
    /// The virtual host sends plaintext requests to https.
    TlsRedirect,
    NoRoute,
}

impl Refusal {
    /// A word for programs.
    pub fn code(self) -> &'static str {
        match self {
            Refusal::NoListener => "no_listener",
            Refusal::NoFilterChain => "no_filter_chain",
            Refusal::MultipleFilterChains => "multiple_filter_chain",
            Refusal::Tls => "tls_error",
            Refusal::MutualTls => "mtls_error",
            Refusal::Protocol => "protocol_error",
            Refusal::NoVirtualHost => "no_virtual_host",
            Refusal::TlsRedirect => "tls_redirect",
            Refusal::NoRoute => "no_route",
        }
    }
}

impl fmt::Display for Refusal {
    /// A sentence for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Refusal::NoListener => "nothing listens there",
            Refusal::NoFilterChain => "no filter chain matches: the connection is closed",
            Refusal::MultipleFilterChains => "several filter chains match: Envoy would refuse the listener",
            Refusal::Tls => "the filter chain terminates TLS, and the call is plaintext",
            Refusal::MutualTls => {
                "the filter chain demands a client certificate of a call without one, or none of a call with one"
            }
            Refusal::Protocol => "the filter chain decodes HTTP, and the call is something else",
            Refusal::NoVirtualHost => "no virtual host has a domain for the host (404)",
            Refusal::TlsRedirect => "the virtual host answers plaintext with a redirect to https (301)",
            Refusal::NoRoute => "no route of the virtual host matches (404)",
        })
    }
}
