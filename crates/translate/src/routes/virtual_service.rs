//! The rules of a VirtualService as routes.

use std::time::Duration;

use ir::route::{
    Forward, HeaderEdits, MaxStreamDuration, PathMatch, Route, RouteAction, RouteClusters, RouteMatch,
    WeightedCluster,
};
use istio_api::networking::{Destination, HttpRoute, VirtualService};
use model::{Host, ObjectRef, Origin};
use stdx::Str;

use super::{conditions, policy};
use crate::names;
use crate::settings::Settings;

/// What routes are built from besides the VirtualService.
pub struct Context<'a> {
    pub settings: &'a Settings,
    /// DNS domain of the mesh.
    pub domain: &'a str,
    /// The port that requests come for.
    pub port: u16,
    /// `mesh`, or the gateway as `NAMESPACE/NAME`.
    pub gateway: &'a str,
    /// The ports of a service by its host; `None`: there is no such service.
    pub service_ports: &'a dyn Fn(&Host) -> Option<Vec<u16>>,
}

/// Routes in order, and whether some rule is missing because it cannot be honoured. Then what it
/// was for must not fall to anything else that would have taken it otherwise.
pub struct Routes {
    pub routes: Vec<Route>,
    pub dropped: bool,
}

/// The routes that `virtual_service` gives requests through the context's gateway.
pub fn routes(object: &ObjectRef, virtual_service: &VirtualService, cx: &Context<'_>) -> Routes {
    let mut built = Routes { routes: Vec::new(), dropped: false };
    for rule in &virtual_service.http {
        let applies = rule.matches.is_empty()
            || rule.matches.iter().any(|m| m.gateways.is_empty() || through(object, &m.gateways, cx.gateway));
        if !applies {
            continue;
        }
        if rule.unsupported_action.is_some() {
            built.dropped = true;
            continue;
        }
        if rule.matches.is_empty() {
            built.routes.push(route(object, rule, RouteMatch::prefix("/"), "", &rule.path, cx));
            return built;
        }
        for written in &rule.matches {
            if !written.gateways.is_empty() && !through(object, &written.gateways, cx.gateway) {
                continue;
            }
            let Some(matches) = conditions::route_match(written) else {
                built.dropped = true;
                continue;
            };
            let last = conditions::takes_everything(&matches);
            let name = written.name.as_deref().unwrap_or_default();
            built.routes.push(route(object, rule, matches, name, &written.path, cx));
            if last {
                return built;
            }
        }
    }
    built
}

/// Whether one of the gateways named in an object is this one.
pub fn through(object: &ObjectRef, gateways: &[Str], gateway: &str) -> bool {
    gateways.iter().any(|named| match (named.as_str(), named.split_once('/')) {
        ("mesh", _) => gateway == "mesh",
        (_, Some((".", name))) => gateway == format!("{}/{name}", object.namespace),
        (_, Some(_)) => gateway == named.as_str(),
        (name, None) => gateway == format!("{}/{name}", object.namespace),
    })
}

fn route(
    object: &ObjectRef,
    rule: &HttpRoute,
    matches: RouteMatch,
    match_name: &str,
    field: &str,
    cx: &Context<'_>,
) -> Route {
    let rule_name = rule.name.as_deref().unwrap_or_default();
    let name = if match_name.is_empty() { rule_name.into() } else { format!("{rule_name}.{match_name}") };
    let clusters = clusters(object, rule, cx);
    let decorator = operation(&clusters, &matches, object, cx.port);
    // gRPC clients name a timeout of their own, which is honoured up to the route's. Envoy does not
    // look at a route's timeout beside a maximal stream duration, so that, as in Istio, the field it
    // calls deprecated has to do where there is one.
    let timeout = rule.timeout.unwrap_or(Duration::ZERO);
    let limited = !timeout.is_zero();
    let retry = match &rule.retries {
        Some(written) => policy::retry(written),
        None => cx.settings.retry.clone(),
    };
    Route {
        name: name.into(),
        matches,
        action: RouteAction::Forward(Forward {
            clusters,
            timeout: Some(timeout),
            max_grpc_timeout: limited.then_some(timeout),
            max_stream_duration: (!limited).then_some(MaxStreamDuration::AS_GRPC_CLIENTS_SAY),
            retry,
            ..Forward::to("")
        }),
        fault: rule.fault.as_ref().and_then(policy::fault),
        headers: HeaderEdits::default(),
        decorator: Some(decorator),
        origin: Some(Origin { object: object.clone(), field: field.into() }),
    }
}

/// A single destination has every request, whatever its weight; of several, those without weight
/// have none.
fn clusters(object: &ObjectRef, rule: &HttpRoute, cx: &Context<'_>) -> RouteClusters {
    if let [only] = rule.routes.as_slice() {
        return RouteClusters::Single(cluster(object, &only.destination, cx));
    }
    let weighted: Vec<WeightedCluster> = rule
        .routes
        .iter()
        .filter_map(|route| {
            let weight = route.weight.filter(|weight| *weight > 0)?;
            let name = cluster(object, &route.destination, cx);
            let headers = HeaderEdits::default();
            Some(WeightedCluster { name, weight, headers, metadata_match: Default::default() })
        })
        .collect();
    match weighted.as_slice() {
        // Only a broken object comes to this. A cluster nobody has: requests are refused.
        [] => RouteClusters::Single("UnknownService".into()),
        [_] | [_, _, ..] => RouteClusters::Weighted(weighted),
    }
}

/// The cluster of a destination, named even if there is no such service: it may come later, and
/// until then requests fail. The registry reports it.
fn cluster(object: &ObjectRef, destination: &Destination, cx: &Context<'_>) -> Str {
    let host = Host::resolve(&destination.host, &object.namespace, cx.domain);
    let ports = (cx.service_ports)(&host);
    let only = ports.as_deref().and_then(|ports| if let [only] = ports { Some(*only) } else { None });
    let port = destination.port.or(only).unwrap_or(cx.port);
    names::outbound(port, destination.subset.as_deref().unwrap_or_default(), host.as_str())
}

/// The name of the route in traces: `HOST:PORT/PATH`, or the VirtualService's where the host
/// depends on the dice.
fn operation(clusters: &RouteClusters, matches: &RouteMatch, object: &ObjectRef, port: u16) -> Str {
    let path = match &matches.path {
        PathMatch::Prefix(prefix) => format!("{prefix}*"),
        PathMatch::SeparatedPrefix(_) => "/*".into(),
        PathMatch::Exact(path) | PathMatch::Regex(path) => path.to_string(),
    };
    if let RouteClusters::Single(name) = clusters {
        let parts: Vec<&str> = name.split('|').collect();
        if let [_, port, _, host] = parts.as_slice() {
            return format!("{host}:{port}{path}").into();
        }
    }
    format!("{}:{port}{path}", object.name).into()
}
