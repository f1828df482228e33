//! The filter chains of one inbound port.

use std::sync::Arc;
use std::time::Duration;

use ir::filter::Reporter;
use ir::route::{Forward, MaxStreamDuration, Route, RouteAction, RouteMatch};
use ir::{FilterChain, FilterChainMatch, RouteConfig, Terminal, VirtualHost};
use model::{DataPlane, Origin, Protocol};
use stdx::Str;

use super::matches::{self, ChainKind, Serves};
use crate::authz::{self, Selected};
use crate::names;
use crate::routes::policy;
use crate::settings::Settings;
use crate::{chains, hcm, tls};
use istio_api::security::MtlsMode as Mtls;

/// What chains are built from.
pub struct Context<'a> {
    pub settings: &'a Settings,
    pub data_plane: DataPlane,
    pub policies: &'a [Selected<'a>],
}

/// A port of the workload, or (passthrough) what is left of them.
pub struct Port<'a> {
    /// `None`: every port that no other chain names.
    pub target: Option<u16>,
    /// The service's port, in virtual host names.
    pub service_port: u16,
    pub protocol: Protocol,
    pub cluster: Str,
    /// The service that exposes it; `None` for passthrough.
    pub host: Option<&'a str>,
    pub origin: Option<Origin>,
}

/// All chains of a port under a mode.
pub fn build(port: &Port<'_>, mode: Mtls, cx: &Context<'_>) -> Vec<FilterChain> {
    matches::chains(mode, port.protocol).iter().map(|kind| chain(port, *kind, cx)).collect()
}

/// One chain of a port.
pub fn chain(port: &Port<'_>, kind: ChainKind, cx: &Context<'_>) -> FilterChain {
    let matches = FilterChainMatch {
        destination_port: port.target,
        transport_protocol: Some(kind.transport),
        application_protocols: names::strs(kind.alpn),
        ..FilterChainMatch::default()
    };
    let (filters, terminal) = match kind.serves {
        Serves::Http => (Vec::new(), Terminal::Http(Box::new(http(port, cx)))),
        Serves::Tcp => {
            let mut filters = authz::tcp(cx.policies);
            filters.extend(chains::tcp_stats(cx.data_plane, Reporter::Destination));
            (
                filters,
                Terminal::Tcp(chains::tcp_proxy(cx.settings, port.cluster.clone(), port.cluster.clone())),
            )
        }
    };
    let tls = kind.mutual_tls.then(|| tls::inbound(matches::server_alpn(kind.serves), cx.settings));
    let name = chain_name(port, kind.serves);
    FilterChain {
        name,
        matches,
        tls,
        transport_socket_connect_timeout: None,
        filters,
        terminal,
        origin: port.origin.clone(),
    }
}

fn chain_name(port: &Port<'_>, serves: Serves) -> Str {
    match (port.host, port.target, serves) {
        (Some(_), Some(target), _) => format!("0.0.0.0_{target}").into(),
        (_, _, Serves::Http) => names::VIRTUAL_INBOUND_CATCH_ALL_HTTP.into(),
        (_, _, Serves::Tcp) => names::VIRTUAL_INBOUND.into(),
    }
}

fn http(port: &Port<'_>, cx: &Context<'_>) -> ir::HttpConnectionManager {
    let stat_prefix = match (port.host, port.target) {
        (Some(_), Some(target)) => format!("inbound_0.0.0.0_{target}").into(),
        _ => port.cluster.clone(),
    };
    hcm::inbound(cx.settings, cx.data_plane, stat_prefix, route_config(port), authz::http(cx.policies))
}

/// Everything to the application, without a limit in time.
fn route_config(port: &Port<'_>) -> RouteConfig {
    // Resets before the request are no sign of that with gRPC's long streams.
    let retry = (!matches!(port.protocol, Protocol::Grpc | Protocol::GrpcWeb)).then(policy::inbound_retry);
    let forward = Forward {
        timeout: Some(Duration::ZERO),
        max_stream_duration: Some(MaxStreamDuration::AS_GRPC_CLIENTS_SAY),
        retry,
        ..Forward::to(port.cluster.clone())
    };
    let route = Route {
        name: names::DEFAULT_ROUTE.into(),
        decorator: Some(format!("{}:{}/*", port.host.unwrap_or_default(), port.service_port).into()),
        origin: port.origin.clone(),
        ..Route::new(RouteMatch::prefix("/"), RouteAction::Forward(forward))
    };
    let virtual_host = VirtualHost {
        name: format!("inbound|http|{}", port.service_port).into(),
        domains: vec!["*".into()],
        routes: vec![route],
        origin: port.origin.clone(),
        ..VirtualHost::default()
    };
    RouteConfig {
        name: port.cluster.clone(),
        virtual_hosts: vec![Arc::new(virtual_host)],
        ..RouteConfig::default()
    }
}
