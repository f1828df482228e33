//! How an inbound port tells mutual TLS from plaintext and HTTP from TCP: Istio's filter chain
//! matches for each pair of mode and protocol.

use ir::listener::TransportProtocol;
use model::Protocol;

use crate::names::{ALL_MTLS_ALPN, MTLS_HTTP_ALPN, MTLS_TCP_ALPN, PLAINTEXT_HTTP_ALPN};
use istio_api::security::MtlsMode as Mtls;

/// What a chain serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serves {
    Http,
    Tcp,
}

/// One chain of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainKind {
    pub alpn: &'static [&'static str],
    pub transport: TransportProtocol,
    pub serves: Serves,
    /// Whether the chain ends the TLS, with a client certificate required.
    pub mutual_tls: bool,
}

const fn mtls(serves: Serves, alpn: &'static [&'static str]) -> ChainKind {
    ChainKind { alpn, transport: TransportProtocol::Tls, serves, mutual_tls: true }
}

const fn plain(serves: Serves, alpn: &'static [&'static str]) -> ChainKind {
    ChainKind { alpn, transport: TransportProtocol::RawBuffer, serves, mutual_tls: false }
}

/// TLS that is the application's own affair. Under DISABLE a port has no such chain: there the
/// TLS inspector is off, and TLS is bytes like any other.
pub const FOREIGN_TLS: ChainKind =
    ChainKind { alpn: &[], transport: TransportProtocol::Tls, serves: Serves::Tcp, mutual_tls: false };

/// The chains of a port with this protocol under this mode.
pub fn chains(mode: Mtls, protocol: Protocol) -> &'static [ChainKind] {
    use Serves::{Http, Tcp};
    if protocol.is_http() {
        return match mode {
            Mtls::Strict => const { &[mtls(Http, &[])] },
            Mtls::Permissive => const { &[mtls(Http, &ALL_MTLS_ALPN), plain(Http, &[])] },
            Mtls::Disable => const { &[plain(Http, &[])] },
        };
    }
    if protocol == Protocol::Auto {
        return match mode {
            Mtls::Strict => const { &[mtls(Http, &MTLS_HTTP_ALPN), mtls(Tcp, &[])] },
            Mtls::Permissive => {
                const {
                    &[
                        mtls(Http, &MTLS_HTTP_ALPN),
                        plain(Http, &PLAINTEXT_HTTP_ALPN),
                        mtls(Tcp, &MTLS_TCP_ALPN),
                        plain(Tcp, &[]),
                        FOREIGN_TLS,
                    ]
                }
            }
            Mtls::Disable => const { &[plain(Http, &PLAINTEXT_HTTP_ALPN), plain(Tcp, &[])] },
        };
    }
    match mode {
        Mtls::Strict => const { &[mtls(Tcp, &[])] },
        Mtls::Permissive => const { &[mtls(Tcp, &ALL_MTLS_ALPN), FOREIGN_TLS, plain(Tcp, &[])] },
        Mtls::Disable => const { &[plain(Tcp, &[])] },
    }
}

/// What a chain with mutual TLS offers by ALPN.
pub fn server_alpn(serves: Serves) -> &'static [&'static str] {
    match serves {
        Serves::Http => &["h2", "http/1.1"],
        Serves::Tcp => &["istio-peer-exchange", "h2", "http/1.1"],
    }
}
