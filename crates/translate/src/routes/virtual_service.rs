//! The rules of a VirtualService as routes.

use std::time::Duration;

use ir::route::{
    Forward, HostRewrite, MaxStreamDuration, Mirror, PathMatch, RegexRewrite, Route, RouteAction,
    RouteClusters, RouteMatch, WeightedCluster,
};
use ir::{FilterOverrides, Fraction, HashPolicy};
use istio_api::Percent;
use istio_api::networking::{Destination, HttpMatch, HttpRoute, Mirror as WrittenMirror, VirtualService};
use model::{Host, ObjectRef, Origin};
use registry::{Config, View};
use stdx::Str;

use super::delegates::{self, Rule};
use super::headers::{self, Edits};
use super::{actions, conditions, cors, policy, sticky};
use crate::names;
use crate::settings::Settings;
use crate::unit::ScopeKey;

/// What routes are built from besides the VirtualService.
pub struct Context<'a, 'v> {
    pub view: &'a View<'v>,
    /// The proxy that routes.
    pub scope: &'a ScopeKey,
    pub settings: &'a Settings,
    /// The port that requests come for.
    pub port: u16,
    /// `mesh`, or the gateway as `NAMESPACE/NAME`.
    pub gateway: &'a str,
    /// Requests come over TLS that ends here.
    pub tls: bool,
}

/// Routes in order, and whether some rule is missing because it cannot be honoured. Then what it
/// was for must not fall to anything else that would have taken it otherwise.
#[derive(Debug)]
pub struct Routes {
    pub routes: Vec<Route>,
    pub dropped: bool,
}

/// The routes that a VirtualService gives requests through the context's gateway.
pub fn routes(config: &Config<VirtualService>, cx: &Context<'_, '_>) -> Routes {
    let mut built = Routes { routes: Vec::new(), dropped: false };
    for Rule { object, rule } in delegates::rules(cx.view, config) {
        if rule.matches.is_empty() {
            built.routes.extend(route(&object, &rule, RouteMatch::prefix("/"), None, cx));
            return built;
        }
        for written in rule.matches.iter().filter(|written| applies(&object, written, cx)) {
            let Some(matches) = conditions::route_match(written) else {
                built.dropped = true;
                continue;
            };
            let last = conditions::takes_everything(&matches);
            built.routes.extend(route(&object, &rule, matches, Some(written), cx));
            if last {
                return built;
            }
        }
    }
    built
}

/// Whether conditions on the proxy and on the port hold, which are settled before any request.
fn applies(object: &ObjectRef, written: &HttpMatch, cx: &Context<'_, '_>) -> bool {
    let port = written.port.filter(|port| *port != 0);
    let namespace = written.source_namespace.as_ref().filter(|namespace| !namespace.is_empty());
    (written.gateways.is_empty() || through(object, &written.gateways, cx.gateway))
        && port.is_none_or(|port| port == u32::from(cx.port))
        && written.source_labels.select(&cx.scope.labels)
        && namespace.is_none_or(|namespace| *namespace == cx.scope.namespace)
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

/// `None`: the rule asks for something that Envoy has not.
fn route(
    object: &ObjectRef,
    rule: &HttpRoute,
    matches: RouteMatch,
    written: Option<&HttpMatch>,
    cx: &Context<'_, '_>,
) -> Option<Route> {
    let rule_name = rule.name.as_deref().unwrap_or_default();
    let name = match written.and_then(|written| written.name.as_deref()) {
        None | Some("") => rule_name.into(),
        Some(match_name) => format!("{rule_name}.{match_name}"),
    };
    let field = written.map_or(&rule.path, |written| &written.path);
    let mut edits = headers::edits(rule.headers.as_ref());
    let mut decorator = None;
    let action = if let Some(redirect) = &rule.redirect {
        actions::redirect(redirect, cx.port, cx.tls)?
    } else if let Some(response) = &rule.direct_response {
        actions::direct(response)
    } else {
        let forward = forward(object, rule, &mut edits, cx);
        decorator = Some(operation(&forward.clusters, &matches, object, cx.port));
        RouteAction::Forward(forward)
    };
    Some(Route {
        name: name.into(),
        filters: FilterOverrides {
            cors: rule.cors_policy.as_ref().map(cors::policy).map(Box::new),
            ..FilterOverrides::fault(rule.fault.as_ref().and_then(policy::fault))
        },
        headers: edits.headers,
        decorator,
        stat_prefix: written.and_then(|it| it.stat_prefix.clone()).filter(|prefix| !prefix.is_empty()),
        origin: Some(Origin { object: object.clone(), field: field.clone() }),
        ..Route::new(matches, action)
    })
}

/// A rule's only destination edits headers as the rule itself does.
fn forward(object: &ObjectRef, rule: &HttpRoute, edits: &mut Edits, cx: &Context<'_, '_>) -> Forward {
    if let [only] = rule.routes.as_slice() {
        let own = headers::edits(only.headers.as_ref());
        headers::extend(&mut edits.headers, own.headers);
        edits.authority = own.authority.or_else(|| edits.authority.take());
    }
    // gRPC clients name a timeout of their own, which is honoured up to the route's. Envoy does not
    // look at a route's timeout beside a maximal stream duration, so that, as in Istio, the field it
    // calls deprecated has to do where there is one.
    let timeout = rule.timeout.unwrap_or(Duration::ZERO);
    let limited = !timeout.is_zero();
    let retry = match &rule.retries {
        Some(written) => policy::retry(written),
        None => cx.settings.retry.clone(),
    };
    let hash_policy = hash_policies(object, rule, cx);
    let rewrite = rule.rewrite.as_ref();
    let some = |text: Option<&Str>| text.filter(|text| !text.is_empty()).cloned();
    let authority = some(rewrite.and_then(|rewrite| rewrite.authority.as_ref()));
    let regex = rewrite.and_then(|rewrite| rewrite.uri_regex_rewrite.as_ref()).map(|rewrite| {
        let (pattern, substitution) = (rewrite.pattern.clone(), rewrite.rewrite.clone());
        Box::new(RegexRewrite { pattern, substitution })
    });
    Forward {
        clusters: clusters(object, rule, cx),
        timeout: Some(timeout),
        max_grpc_timeout: limited.then_some(timeout),
        max_stream_duration: (!limited).then_some(MaxStreamDuration::AS_GRPC_CLIENTS_SAY),
        retry: retry.map(|retry| sticky::retry(retry, !hash_policy.is_empty())),
        hash_policy,
        host_rewrite: authority.or_else(|| edits.authority.take()).map(HostRewrite::Literal),
        prefix_rewrite: some(rewrite.and_then(|rewrite| rewrite.uri.as_ref())).filter(|_| regex.is_none()),
        regex_rewrite: regex,
        mirrors: mirrors(object, rule, cx),
        ..Forward::to("")
    }
}

/// Where requests go as well; without a percentage all of them do.
fn mirrors(object: &ObjectRef, rule: &HttpRoute, cx: &Context<'_, '_>) -> Vec<Mirror> {
    let mirror = |written: &WrittenMirror| {
        let share = written.percentage.unwrap_or(Percent::ALL).millionths();
        let name = cluster(object, written.destination.as_ref()?, cx);
        let fraction = Some(Fraction { parts_per_million: share });
        (share > 0).then(|| Mirror { fraction, ..Mirror::to(name) })
    };
    rule.mirrors.iter().filter_map(mirror).collect()
}

/// Of all destinations, each policy once.
fn hash_policies(object: &ObjectRef, rule: &HttpRoute, cx: &Context<'_, '_>) -> Vec<HashPolicy> {
    let mut policies: Vec<HashPolicy> = Vec::new();
    for route in &rule.routes {
        let (host, port) = target(object, &route.destination, cx);
        let subset = route.destination.subset.as_deref();
        let policy = sticky::hash_policy(cx.view, cx.scope, &host, port, subset);
        policies.extend(policy.filter(|policy| !policies.contains(policy)));
    }
    policies
}

/// A single destination has every request, whatever its weight; of several, those without weight
/// have none.
fn clusters(object: &ObjectRef, rule: &HttpRoute, cx: &Context<'_, '_>) -> RouteClusters {
    if let [only] = rule.routes.as_slice() {
        return RouteClusters::Single(cluster(object, &only.destination, cx));
    }
    let weighted: Vec<WeightedCluster> = rule
        .routes
        .iter()
        .filter_map(|route| {
            let weight = route.weight.filter(|weight| *weight > 0)?;
            let name = cluster(object, &route.destination, cx);
            let headers = headers::edits(route.headers.as_ref()).headers;
            Some(WeightedCluster { headers, ..WeightedCluster::new(name, weight) })
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
fn cluster(object: &ObjectRef, destination: &Destination, cx: &Context<'_, '_>) -> Str {
    let (host, port) = target(object, destination, cx);
    names::outbound(port, destination.subset.as_deref().unwrap_or_default(), host.as_str())
}

/// The service of a destination and its port: what is written, the service's only one, or that which
/// the request came for.
fn target(object: &ObjectRef, destination: &Destination, cx: &Context<'_, '_>) -> (Host, u16) {
    let host = cx.view.resolve(&destination.host, &object.namespace);
    let service = cx.view.service(&cx.scope.namespace, &host);
    let only = service.and_then(|service| match service.ports.as_slice() {
        [only] => Some(only.number),
        _ => None,
    });
    let port = destination.port.or(only).unwrap_or(cx.port);
    (host, port)
}

/// The name of the route in traces: `HOST:PORT/PATH`, or the VirtualService's where the host
/// depends on the dice.
fn operation(clusters: &RouteClusters, matches: &RouteMatch, object: &ObjectRef, port: u16) -> Str {
    let path = match &matches.path {
        PathMatch::Prefix(prefix) => format!("{prefix}*"),
        PathMatch::SeparatedPrefix(_) => "/*".into(),
        PathMatch::Connect => String::new(),
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
