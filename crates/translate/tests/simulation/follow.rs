//! What becomes of a call, step by step, as a correct proxy would see it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use engine::chain::{self, Chosen, Connection};
use engine::dice::SplitMix;
use engine::request::PlainRequest;
use engine::route::{self, RouteTable, Selection};
use ir::http::RouteSource;
use ir::listener::{ListenerFilter, TransportProtocol};
use ir::tcp::TcpClusters;
use ir::{FilterChain, Listener, Resource, ResourceType, RouteAction, RouteConfig, Terminal};
use serde_json::Value;

use crate::common::Proxy;

/// A call, as a case writes it.
pub struct Call {
    mode: String,
    destination: SocketAddr,
    /// `http`, `http2` or `tcp`.
    protocol: String,
    /// `plaintext`, `tls` or `mtls`.
    tls: String,
    sni: String,
    alpn: String,
    host: String,
    path: String,
}

impl Call {
    pub fn read(call: &Value) -> Self {
        let text = |field: &str| call[field].as_str().unwrap_or_default().to_owned();
        let address: IpAddr = text("address").parse().expect("address");
        let port = call["port"].as_u64().and_then(|port| u16::try_from(port).ok()).expect("port");
        Call {
            mode: text("callMode"),
            destination: SocketAddr::new(address, port),
            protocol: text("protocol"),
            tls: text("tls"),
            sni: text("sni"),
            alpn: text("alpn"),
            host: text("host_header"),
            path: text("path"),
        }
    }
}

/// Where it ended.
#[derive(Debug, Default)]
pub struct Outcome {
    pub error: Option<&'static str>,
    pub cluster: Option<String>,
    pub listener: Option<String>,
    pub virtual_host: Option<String>,
    pub route: Option<String>,
}

pub fn follow(proxy: &Proxy, call: &Call) -> Outcome {
    let mut outcome = Outcome::default();
    outcome.error = steps(proxy, call, &mut outcome).err();
    outcome
}

fn steps(proxy: &Proxy, call: &Call, outcome: &mut Outcome) -> Result<(), &'static str> {
    let listener = listener(proxy, call).ok_or("no_listener")?;
    outcome.listener = Some(listener.name.to_string());
    let chain = filter_chain(listener, call)?;
    let encrypted = tls(chain, call)?;
    let manager = match &chain.terminal {
        Terminal::Tcp(tcp) => {
            outcome.cluster = match &tcp.clusters {
                TcpClusters::Single(name) => Some(name.to_string()),
                TcpClusters::Weighted(clusters) => clusters.first().map(|(name, _)| name.to_string()),
            };
            return Ok(());
        }
        Terminal::Http(manager) => manager,
    };
    if encrypted || call.protocol == "tcp" {
        return Err("protocol_error");
    }
    let config = match &manager.routes {
        RouteSource::Rds(name) => proxy.routes(name).clone(),
        RouteSource::Inline(config) => (**config).clone(),
    };
    request(config, call, outcome)
}

fn listener<'p>(proxy: &'p Proxy, call: &Call) -> Option<&'p Listener> {
    let find = |name: &str| match proxy.0.get(ResourceType::Listener, name) {
        Some(Resource::Listener(listener)) => Some(&**listener),
        _ => None,
    };
    if call.mode == "inbound" {
        return find("virtualInbound");
    }
    let (address, port) = (call.destination.ip(), call.destination.port());
    find(&format!("{address}_{port}"))
        .or_else(|| find(&format!("0.0.0.0_{port}")))
        .or_else(|| find("virtualOutbound"))
}

fn filter_chain<'l>(listener: &'l Listener, call: &Call) -> Result<&'l FilterChain, &'static str> {
    let port = call.destination.port();
    let looks = |filter: &ListenerFilter| match filter {
        ListenerFilter::TlsInspector { disabled_ports } => (!disabled_ports.contains(&port)).then_some("tls"),
        ListenerFilter::HttpInspector { disabled_ports } => {
            (!disabled_ports.contains(&port)).then_some("http")
        }
        ListenerFilter::OriginalDst | ListenerFilter::ProxyProtocol { .. } => None,
    };
    let inspectors: Vec<&str> = listener.listener_filters.iter().filter_map(looks).collect();
    let tls = call.tls != "plaintext" && inspectors.contains(&"tls");
    let mut protocols: Vec<&str> = Vec::new();
    if tls && !call.alpn.is_empty() {
        protocols.push(&call.alpn);
    } else if call.tls == "plaintext" && inspectors.contains(&"http") {
        match call.protocol.as_str() {
            "http" => protocols.push("http/1.1"),
            "http2" => protocols.push("h2c"),
            _ => {}
        }
    }
    let connection = Connection {
        destination: call.destination,
        source: SocketAddr::from(([10, 9, 9, 9], 40000)),
        transport: if tls { TransportProtocol::Tls } else { TransportProtocol::RawBuffer },
        server_name: if tls { &call.sni } else { "" },
        application_protocols: &protocols,
    };
    let chosen = chain::select(listener, &connection);
    match chosen {
        Chosen::Ambiguous => Err("multiple_filter_chain"),
        chosen => chain::chain(listener, chosen).ok_or("no_filter_chain"),
    }
}

/// Whether the bytes are still encrypted after the chain.
fn tls(chain: &FilterChain, call: &Call) -> Result<bool, &'static str> {
    match (&chain.tls, call.tls.as_str()) {
        (None, tls) => Ok(tls != "plaintext"),
        (Some(_), "plaintext") => Err("tls_error"),
        (Some(tls), client) if tls.require_client_certificate != (client == "mtls") => Err("mtls_error"),
        (Some(_), _) => Ok(false),
    }
}

fn request(config: RouteConfig, call: &Call, outcome: &mut Outcome) -> Result<(), &'static str> {
    let table = RouteTable::compile(Arc::new(config)).expect("routes that compile");
    let request = PlainRequest::get(&call.host, &call.path);
    let mut dice = SplitMix(1);
    let (vhost, route) = match table.select(&request, &mut dice) {
        Selection::NoVirtualHost => return Err("no_virtual_host"),
        Selection::NoRoute { vhost } => {
            outcome.virtual_host = Some(table.vhost(vhost).name.to_string());
            return Err("no_route");
        }
        Selection::Route { vhost, route } => (vhost, route),
    };
    outcome.virtual_host = Some(table.vhost(vhost).name.to_string());
    let route = table.route(vhost, route);
    outcome.route = Some(route.name.to_string());
    if let RouteAction::Forward(forward) = &route.action {
        outcome.cluster = route::cluster(forward, &mut dice).map(|chosen| chosen.name.to_string());
    }
    Ok(())
}
