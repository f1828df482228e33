//! The names Istio gives to what it generates. Dashboards, `istioctl` and access logs know them.

use std::net::IpAddr;

use stdx::Str;

pub const PASSTHROUGH_CLUSTER: &str = "PassthroughCluster";
/// Requests to unknown hosts under `ALLOW_ANY_DYNAMIC_DNS`.
pub const DYNAMIC_DNS_CLUSTER: &str = "AllowAnyDynamicDNSCluster";
pub const BLACK_HOLE_CLUSTER: &str = "BlackHoleCluster";
pub const INBOUND_PASSTHROUGH_CLUSTER: &str = "InboundPassthroughCluster";

pub const VIRTUAL_OUTBOUND: &str = "virtualOutbound";
pub const VIRTUAL_OUTBOUND_BLACKHOLE: &str = "virtualOutbound-blackhole";
pub const VIRTUAL_OUTBOUND_CATCH_ALL: &str = "virtualOutbound-catchall-tcp";
/// Under `ALLOW_ANY_DYNAMIC_DNS`.
pub const VIRTUAL_OUTBOUND_CATCH_ALL_HTTP: &str = "virtualOutbound-catchall-tcp-http";
pub const DYNAMIC_DNS_STAT_PREFIX: &str = "outbound_virtualOutbound_allow_any_dynamic_dns";
pub const VIRTUAL_INBOUND: &str = "virtualInbound";
pub const VIRTUAL_INBOUND_BLACKHOLE: &str = "virtualInbound-blackhole";
pub const VIRTUAL_INBOUND_CATCH_ALL_HTTP: &str = "virtualInbound-catchall-http";
/// The default chain of an outbound listener.
pub const PASSTHROUGH_CHAIN: &str = "PassthroughFilterChain";

/// The virtual hosts that take what no service claims.
pub const ALLOW_ANY: &str = "allow_any";
pub const ALLOW_ANY_DYNAMIC_DNS: &str = "allow_any_dynamic_dns";
pub const BLOCK_ALL: &str = "block_all";
/// The name of a route that Istio made itself.
pub const DEFAULT_ROUTE: &str = "default";

/// What HTTP inspectors report for plaintext.
pub const PLAINTEXT_HTTP_ALPN: [&str; 3] = ["http/1.0", "http/1.1", "h2c"];
/// What an Istio client offers when HTTP is inside its mutual TLS.
pub const MTLS_HTTP_ALPN: [&str; 3] = ["istio-http/1.0", "istio-http/1.1", "istio-h2"];
/// What an Istio client offers when anything else is.
pub const MTLS_TCP_ALPN: [&str; 2] = ["istio-peer-exchange", "istio"];
/// All of them.
pub const ALL_MTLS_ALPN: [&str; 5] =
    ["istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"];

/// `outbound|PORT|SUBSET|HOST`.
pub fn outbound(port: u16, subset: &str, host: &str) -> Str {
    format!("outbound|{port}|{subset}|{host}").into()
}

/// `outbound_.PORT_.SUBSET_.HOST`: the cluster's name in a form that is a server name.
pub fn outbound_sni(port: u16, subset: &str, host: &str) -> Str {
    format!("outbound_.{port}_.{subset}_.{host}").into()
}

/// `inbound|TARGET-PORT||`.
pub fn inbound(target_port: u16) -> Str {
    format!("inbound|{target_port}||").into()
}

/// `ADDRESS_PORT`.
pub fn listener(address: IpAddr, port: u16) -> Str {
    format!("{address}_{port}").into()
}

/// `HOST:PORT`, with brackets around IPv6 addresses.
pub fn host_port(host: &str, port: u16) -> Str {
    match host.parse::<std::net::Ipv6Addr>() {
        Ok(_) => format!("[{host}]:{port}").into(),
        Err(_) => format!("{host}:{port}").into(),
    }
}

/// The route configuration of an HTTP proxy: the mesh's, or the one on a port of a Sidecar.
pub fn proxy_routes(port: Option<u16>) -> Str {
    port.map_or_else(|| "http_proxy".into(), |port| format!("http_proxy:{port}").into())
}

/// Strings as [`Str`]s.
pub fn strs(texts: &[&str]) -> Vec<Str> {
    texts.iter().map(|text| Str::from(*text)).collect()
}
