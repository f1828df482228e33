//! From `ir` to what runs: expressions, chains, TLS settings, access log formats.

mod cluster;
mod http;
mod references;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use engine::Problem;
use identity::{SecretStore, ServerTls};
use ir::listener::ListenerFilter;
use ir::{Address, Direction, FilterChain};

pub use self::cluster::{carry_over, check_cluster, cluster, with_endpoints, without_endpoints};
pub use self::references::{clusters_of, has_routes_elsewhere, names_of, route_sources};
use super::snapshot::{
    Chain, Inspect, Listener, NetworkFilter, ProxyProtocolFilter, Tcp, Terminal, chain_name,
};
use crate::access_log;
use crate::config::body;
use crate::connection::ConnectionLimit;
use crate::format::Asks;

/// Compiles a listener.
///
/// # Errors
/// What cannot be compiled, by field.
pub fn listener(config: &Arc<ir::Listener>, secrets: &SecretStore) -> Result<Listener, Problem> {
    engine::chain::check(config)?;
    let numbered = config.filter_chains.iter().enumerate();
    let mut chains: Vec<Arc<Chain>> = numbered
        .map(|(i, chain)| {
            self::chain(chain, i, config.direction, secrets)
                .map_err(|p| p.inside(format!("filter_chains[{i}]")))
        })
        .collect::<Result<_, _>>()?;
    if let Some(default) = &config.default_filter_chain {
        let index = config.filter_chains.len();
        let chain = self::chain(default, index, config.direction, secrets);
        chains.push(chain.map_err(|p| p.inside("default_filter_chain"))?);
    }
    let stat_prefix = match &config.address {
        Address::Socket(address) => address.to_string().replace(':', "_"),
        other => other.to_string().replace([':', '/'], "_"),
    };
    let access_log = access_log::compile(&config.access_log)?;
    access_log::asks(&access_log).tell(secrets);
    chains.iter().for_each(|chain| asks(&chain.terminal).tell(secrets));
    Ok(Listener {
        inspect: inspect(config),
        access_log,
        stat_prefix: stat_prefix.into(),
        chains,
        config: config.clone(),
    })
}

/// What is told of certificates, to logs, clients and upstreams.
fn asks(terminal: &Terminal) -> Asks {
    match terminal {
        Terminal::Tcp(tcp) => access_log::asks(&tcp.access_log),
        Terminal::Direct(_) => Asks::default(),
        Terminal::Http(hcm) => {
            let details = &hcm.config.client_cert_details;
            let mut asks = Asks::of_clients(details.cert || details.chain);
            asks |= hcm.asks;
            asks
        }
    }
}

fn inspect(config: &ir::Listener) -> Inspect {
    let mut inspect = Inspect {
        timeout: match config.listener_filters_timeout {
            None => Some(Duration::from_secs(15)),
            Some(Duration::ZERO) => None,
            some => some,
        },
        continue_on_timeout: config.continue_on_listener_filters_timeout,
        original_dst: config.use_original_dst,
        ..Inspect::default()
    };
    for filter in &config.listener_filters {
        match filter {
            ListenerFilter::OriginalDst => inspect.original_dst = true,
            ListenerFilter::TlsInspector { disabled_ports } => inspect.tls = Some(disabled_ports.clone()),
            ListenerFilter::HttpInspector { disabled_ports } => inspect.http = Some(disabled_ports.clone()),
            ListenerFilter::ProxyProtocol { optional, disallowed } => {
                let disallowed = disallowed.clone();
                inspect.proxy_protocol = Some(ProxyProtocolFilter { optional: *optional, disallowed });
            }
        }
    }
    inspect
}

fn chain(
    config: &FilterChain,
    index: usize,
    direction: Direction,
    secrets: &SecretStore,
) -> Result<Arc<Chain>, Problem> {
    let tls = match &config.tls {
        Some(tls) => Some(Arc::new(
            ServerTls::new(tls, secrets).map_err(|e| Problem::new("transport_socket", e.to_string()))?,
        )),
        None => None,
    };
    let mut filters = Vec::new();
    let (mut istio_stats, mut forward_proxy) = (None, None);
    for (i, filter) in config.filters.iter().enumerate() {
        filters.push(match filter {
            ir::NetworkFilter::Rbac(it) => {
                NetworkFilter::Rbac(http::rbac(it).map_err(|p| p.inside(format!("filters[{i}]")))?)
            }
            ir::NetworkFilter::ConnectionLimit(it) => {
                NetworkFilter::ConnectionLimit(Arc::new(ConnectionLimit::new(it.clone())))
            }
            ir::NetworkFilter::IstioStats { reporter } => {
                istio_stats = Some(*reporter);
                NetworkFilter::IstioStats(*reporter)
            }
            ir::NetworkFilter::SniDynamicForwardProxy(it) => {
                if !matches!(config.terminal, ir::Terminal::Tcp(_)) {
                    let field = format!("filters[{i}]");
                    return Err(Problem::new(field, "goes with envoy.filters.network.tcp_proxy only"));
                }
                forward_proxy = Some(it.clone());
                continue;
            }
        });
    }
    let terminal = match &config.terminal {
        ir::Terminal::Http(http) => Terminal::Http(Arc::new(http::manager(http, direction)?)),
        ir::Terminal::Tcp(tcp) => Terminal::Tcp(Arc::new(Tcp {
            access_log: access_log::compile(&tcp.access_log)?,
            config: tcp.clone(),
            istio_stats,
            direction,
            forward_proxy,
        })),
        ir::Terminal::Direct(source) => {
            let field = || format!("filters[{}].response", config.filters.len());
            let read = body::read(source, None).map_err(|problem| problem.inside(field()))?;
            Terminal::Direct(Bytes::from_owner(read))
        }
    };
    Ok(Arc::new(Chain {
        name: chain_name(config, index),
        tls,
        handshake_timeout: config.transport_socket_connect_timeout,
        filters,
        terminal,
    }))
}
