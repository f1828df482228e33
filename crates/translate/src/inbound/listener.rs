//! `virtualInbound`: the one listener that everything for the workload arrives at.

use std::net::SocketAddr;

use ir::filter::Reporter;
use ir::listener::ListenerFilter;
use ir::{Address, Cluster, Direction, FilterChain, Listener};
use istio_api::security::MtlsMode;
use model::Protocol;
use registry::View;

use super::chains::{self, Context, Port};
use super::ingress::{self, Ingress};
use super::matches::FOREIGN_TLS;
use super::targets::{self, Target};
use super::{inspectors, pool};
use crate::cluster::{fixed, outbound::service_ref};
use crate::egress;
use crate::findings::Findings;
use crate::names;
use crate::settings::Settings;
use crate::unit::ScopeKey;

/// The listener of a workload.
pub fn build(view: &View<'_>, scope: &ScopeKey, settings: &Settings, findings: &Findings) -> Listener {
    let mtls = view.mtls(&scope.namespace, &scope.labels);
    let policies = view.authorization(&scope.namespace, &scope.labels);
    let policies: Vec<_> = policies.iter().map(|config| (&config.object, &*config.spec)).collect();
    let cx = Context { settings, data_plane: scope.data_plane, policies: &policies };
    let ingress = ingress::of(view, scope);
    let targets = targets(view, scope, settings, ingress.as_deref(), findings);

    let stats = crate::chains::tcp_stats(scope.data_plane, Reporter::Destination);
    let port = settings.inbound_port;
    let mut chains = vec![crate::chains::blackhole(names::VIRTUAL_INBOUND_BLACKHOLE, port, settings, stats)];
    chains.extend(chains::build(&rest(None), mtls.mode, &cx));
    // Ports that no service exposes can have a mode of their own too.
    let ingress: Vec<Ingress> = ingress.into_iter().flatten().filter(|port| !port.bound).collect();
    let exposes = |port: u16| {
        targets.iter().any(|target| target.port == port) || ingress.iter().any(|own| own.port == port)
    };
    let unexposed = mtls.ports.iter().filter(|(port, _)| !exposes(**port));
    for (port, mode) in unexposed {
        chains.extend(chains::build(&rest(Some(*port)), *mode, &cx));
    }
    for target in &targets {
        chains.extend(chains::build(&exposed(target), mtls.on_port(target.port), &cx));
    }
    for port in &ingress {
        chains.extend(ingress::chains(port, mtls.on_port(port.port), &cx, findings));
    }
    let mut listener_filters = vec![ListenerFilter::OriginalDst];
    let inspectors = inspectors::of(&chains);
    // Where TLS is looked for on all other ports, it has to be let through on them too.
    let looks = inspectors.iter().any(|filter| matches!(filter, ListenerFilter::TlsInspector { .. }));
    if looks && mtls.mode == MtlsMode::Disable {
        chains.push(chains::chain(&rest(None), FOREIGN_TLS, &cx));
    }
    listener_filters.extend(inspectors);
    listener(scope, settings, listener_filters, chains)
}

/// The ports that services expose. A Sidecar with ports of its own takes their place, as a whole if
/// not told otherwise.
fn targets<'v>(
    view: &View<'v>,
    scope: &ScopeKey,
    settings: &Settings,
    ingress: Option<&[Ingress]>,
    findings: &Findings,
) -> Vec<Target<'v>> {
    match ingress {
        // A port of the proxy's own would be the application's.
        None if scope.uncaptured => Vec::new(),
        None => targets::of(view, scope, findings),
        Some(_) if !settings.features.merge_sidecar_ingress => Vec::new(),
        Some(own) => {
            let mut targets = targets::of(view, scope, findings);
            targets.retain(|target| own.iter().all(|own| own.port != target.port));
            targets
        }
    }
}

/// The listener of a port that a Sidecar opens without capture.
pub fn bound(
    view: &View<'_>,
    scope: &ScopeKey,
    settings: &Settings,
    findings: &Findings,
    port: u16,
) -> Option<Listener> {
    let ingress = ingress::of(view, scope)?.into_iter().find(|own| own.bound && own.port == port)?;
    let mtls = view.mtls(&scope.namespace, &scope.labels);
    let policies = view.authorization(&scope.namespace, &scope.labels);
    let policies: Vec<_> = policies.iter().map(|config| (&config.object, &*config.spec)).collect();
    let cx = Context { settings, data_plane: scope.data_plane, policies: &policies };
    let chains = ingress::chains(&ingress, mtls.on_port(port), &cx, findings);
    let address = ingress.address(scope);
    let filters = inspectors::of(&chains);
    Some(Listener {
        name: names::listener(address, port),
        address: Address::Socket(SocketAddr::new(address, port)),
        origin: Some(ingress.config.origin("")),
        ..listener(scope, settings, filters, chains)
    })
    .filter(|listener| !listener.filter_chains.is_empty())
}

fn listener(
    scope: &ScopeKey,
    settings: &Settings,
    filters: Vec<ListenerFilter>,
    chains: Vec<FilterChain>,
) -> Listener {
    Listener {
        name: names::VIRTUAL_INBOUND.into(),
        address: Address::Socket(SocketAddr::new(scope.wildcard(), settings.inbound_port)),
        additional_addresses: Vec::new(),
        bind_to_port: true,
        use_original_dst: false,
        direction: Direction::Inbound,
        listener_filters: filters,
        listener_filters_timeout: Some(settings.protocol_detection_timeout),
        continue_on_listener_filters_timeout: true,
        filter_chains: chains,
        default_filter_chain: None,
        access_log: settings.listener_access_log(),
        origin: None,
    }
}

fn exposed<'a>(target: &Target<'a>) -> Port<'a> {
    Port {
        target: Some(target.port),
        service_port: target.service_port.number,
        protocol: target.service_port.protocol,
        cluster: names::inbound(target.port),
        host: Some(target.service.host.as_str()),
        origin: Some(target.origin()),
    }
}

fn rest(port: Option<u16>) -> Port<'static> {
    Port {
        target: port,
        service_port: 0,
        protocol: Protocol::Auto,
        cluster: names::INBOUND_PASSTHROUGH_CLUSTER.into(),
        host: None,
        origin: None,
    }
}

/// The clusters towards the application's exposed ports.
pub fn clusters(view: &View<'_>, scope: &ScopeKey, settings: &Settings) -> Vec<Cluster> {
    // The listener reports what is to be said of the targets.
    let ingress = ingress::of(view, scope);
    let targets = targets(view, scope, settings, ingress.as_deref(), &Findings::default());
    let address = scope.addresses.first().copied();
    let pool = egress::sidecar(view, scope).and_then(|config| config.spec.inbound_connection_pool.clone());
    let of_ingress = ingress.iter().flatten().filter_map(|own| ingress::cluster(own, scope, settings));
    let of_services = targets.iter().map(|target| {
        let services = target.services.iter().map(|service| service_ref(service)).collect();
        let protocol = target.service_port.protocol;
        let origin = Some(target.origin());
        let mut cluster = fixed::inbound(settings, target.port, protocol, address, services, origin);
        if settings.inbound_to_localhost {
            fixed::send_to_localhost(&mut cluster, target.port, address);
        }
        if let Some(pool) = &pool {
            pool::apply(pool, &mut cluster);
        }
        cluster
    });
    of_services.chain(of_ingress).collect()
}
