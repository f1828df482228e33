//! `tls` and `tcp` rules of VirtualServices: which connections go to which clusters. Conditions on the
//! proxy and on its port are settled here; those on the connection become filter chain matches.

use ir::tcp::TcpClusters;
use ir::{Cidr, FilterChainMatch};
use istio_api::networking::{Destination, L4Destination, TcpRoute, TlsRoute, VirtualService};
use model::{Host, Labels, ObjectRef, Origin};
use registry::{Config, View};
use stdx::Str;

use crate::names;
use crate::routes::virtual_service::through;
use crate::unit::ScopeKey;

/// Where rules are applied.
pub struct At<'a, 'v> {
    pub view: &'a View<'v>,
    pub scope: &'a ScopeKey,
    /// `mesh`, or the gateway as `NAMESPACE/NAME`.
    pub gateway: &'a str,
    /// As conditions on the port name it.
    pub port: u16,
}

/// Connections of one kind, and their clusters.
pub struct Rule {
    /// Server names and ranges; no more.
    pub matches: FilterChainMatch,
    pub clusters: TcpClusters,
    pub origin: Origin,
}

/// The `tls` rules for connections to any of the addresses in `blocks` (empty: to all), in order. Of
/// several for the same connections the first counts.
pub fn tls(rules: &[Config<VirtualService>], blocks: &[Cidr], at: &At<'_, '_>) -> Vec<Rule> {
    let mut found: Vec<Rule> = Vec::new();
    for config in rules {
        for (index, rule) in config.spec.tls.iter().enumerate().filter(|(_, rule)| !rule.route.is_empty()) {
            let field = format!("spec.tls[{index}]");
            for matches in tls_matches(config, rule, blocks, at) {
                if found.iter().all(|known| known.matches != matches) {
                    found.push(at.rule(config, matches, &rule.route, &field));
                }
            }
        }
    }
    found
}

fn tls_matches<'r>(
    config: &'r Config<VirtualService>,
    rule: &'r TlsRoute,
    blocks: &'r [Cidr],
    at: &'r At<'_, '_>,
) -> impl Iterator<Item = FilterChainMatch> + 'r {
    rule.matches.iter().filter_map(move |written| {
        let conditions = Conditions {
            gateways: &written.gateways,
            port: written.port,
            labels: &written.source_labels,
            namespace: &written.source_namespace,
        };
        let prefix_ranges = ranges(&written.destination_subnets, blocks)?;
        let server_names = server_names(&written.sni_hosts);
        at.holds(config, &conditions).then(|| FilterChainMatch {
            prefix_ranges,
            server_names,
            ..FilterChainMatch::default()
        })
    })
}

/// The `tcp` rules, likewise. The second part of the answer: whether they leave no connection over.
pub fn tcp(rules: &[Config<VirtualService>], blocks: &[Cidr], at: &At<'_, '_>) -> (Vec<Rule>, bool) {
    let mut found: Vec<Rule> = Vec::new();
    for config in rules {
        for (index, rule) in config.spec.tcp.iter().enumerate().filter(|(_, rule)| !rule.route.is_empty()) {
            let field = format!("spec.tcp[{index}]");
            let whole =
                FilterChainMatch { prefix_ranges: sorted(blocks.to_vec()), ..FilterChainMatch::default() };
            for matches in tcp_matches(config, rule, blocks, at) {
                let last = matches == whole;
                if found.iter().all(|known| known.matches != matches) {
                    found.push(at.rule(config, matches, &rule.route, &field));
                }
                if last {
                    return (found, true);
                }
            }
        }
    }
    (found, false)
}

fn tcp_matches(
    config: &Config<VirtualService>,
    rule: &TcpRoute,
    blocks: &[Cidr],
    at: &At<'_, '_>,
) -> Vec<FilterChainMatch> {
    if rule.matches.is_empty() {
        let prefix_ranges = sorted(blocks.to_vec());
        return vec![FilterChainMatch { prefix_ranges, ..FilterChainMatch::default() }];
    }
    let applies = rule.matches.iter().filter_map(|written| {
        let conditions = Conditions {
            gateways: &written.gateways,
            port: written.port,
            labels: &written.source_labels,
            namespace: &written.source_namespace,
        };
        let source: Vec<Str> = written.source_subnet.iter().filter(|s| !s.is_empty()).cloned().collect();
        let prefix_ranges = ranges(&written.destination_subnets, blocks)?;
        let source_prefix_ranges = ranges(&source, &[])?;
        at.holds(config, &conditions).then(|| FilterChainMatch {
            prefix_ranges,
            source_prefix_ranges,
            ..FilterChainMatch::default()
        })
    });
    applies.collect()
}

struct Conditions<'a> {
    gateways: &'a [Str],
    port: Option<u32>,
    labels: &'a Labels,
    namespace: &'a Option<Str>,
}

impl At<'_, '_> {
    fn holds(&self, config: &Config<VirtualService>, it: &Conditions<'_>) -> bool {
        let port = it.port.filter(|port| *port != 0);
        let namespace = it.namespace.as_ref().filter(|namespace| !namespace.is_empty());
        (it.gateways.is_empty() || through(&config.object, it.gateways, self.gateway))
            && port.is_none_or(|port| port == u32::from(self.port))
            && it.labels.select(&self.scope.labels)
            && namespace.is_none_or(|namespace| *namespace == self.scope.namespace)
    }

    fn rule(
        &self,
        config: &Config<VirtualService>,
        matches: FilterChainMatch,
        route: &[L4Destination],
        field: &str,
    ) -> Rule {
        Rule { matches, clusters: self.clusters(&config.object, route), origin: config.origin(field) }
    }

    /// A single destination has every connection, whatever its weight; of several, those without
    /// weight have none.
    fn clusters(&self, object: &ObjectRef, route: &[L4Destination]) -> TcpClusters {
        let name = |to: &Destination| cluster(self.view, self.scope, object, to, self.port);
        let destinations = || route.iter().filter_map(|to| Some((to.destination.as_ref()?, to.weight)));
        let mut all = destinations();
        if let (Some((only, _)), None) = (all.next(), all.next()) {
            return TcpClusters::Single(name(only));
        }
        let weighted = destinations().filter_map(|(to, weight)| {
            let weight = weight.and_then(|weight| u32::try_from(weight).ok()).filter(|weight| *weight > 0)?;
            Some((name(to), weight))
        });
        let weighted: Vec<(Str, u32)> = weighted.collect();
        match weighted.as_slice() {
            // Only a broken object comes to this. Connections are refused.
            [] => TcpClusters::Single(names::BLACK_HOLE_CLUSTER.into()),
            _ => TcpClusters::Weighted(weighted),
        }
    }
}

/// The cluster of a destination, named even if there is no such service. Without a port it is the
/// service's only one, else the one that is listened on.
pub fn cluster(view: &View<'_>, scope: &ScopeKey, object: &ObjectRef, to: &Destination, listens: u16) -> Str {
    let host = view.resolve(&to.host, &object.namespace);
    let service = view.service(&scope.namespace, &host);
    let only = service.and_then(|service| match service.ports.as_slice() {
        [only] => Some(only.number),
        _ => None,
    });
    let port = to.port.or(only).unwrap_or(listens);
    names::outbound(port, to.subset.as_deref().unwrap_or_default(), host.as_str())
}

/// The target that a DestinationRule has its host asked for: connections to a single cluster go through
/// it, an HTTP proxy. A subset's cluster heeds the subset alone, as in Istio.
pub fn tunnel(view: &View<'_>, scope: &ScopeKey, clusters: &TcpClusters) -> Option<Str> {
    let TcpClusters::Single(name) = clusters else { return None };
    let mut parts = name.splitn(4, '|');
    let (Some("outbound"), Some(_), Some(subset), Some(host)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let service = view.service(&scope.namespace, &Host::new(host))?;
    let rule = view.destination_rule_for(&scope.namespace, &scope.labels, service)?;
    let policy = match subset {
        "" => rule.traffic_policy.as_ref().map(|(policy, _)| policy),
        name => rule.subset(name)?.subset.traffic_policy.as_ref(),
    };
    let tunnel = policy?.tunnel.as_ref().filter(|tunnel| !tunnel.is_post())?;
    let (host, port) = (&tunnel.target_host, tunnel.target_port?);
    Some(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }.into())
}

/// The hosts that a VirtualService sends to.
pub fn destinations(view: &View<'_>, config: &Config<VirtualService>) -> Vec<Host> {
    let spec = &config.spec;
    let http = spec.http.iter().flat_map(|rule| {
        let mirrors = rule.mirrors.iter().filter_map(|mirror| mirror.destination.as_ref());
        rule.routes.iter().map(|route| &route.destination).chain(mirrors)
    });
    let tls = spec.tls.iter().flat_map(|rule| &rule.route);
    let tcp = spec.tcp.iter().flat_map(|rule| &rule.route);
    let below = tls.chain(tcp).filter_map(|to| to.destination.as_ref());
    http.chain(below).map(|to| view.resolve(&to.host, &config.object.namespace)).collect()
}

/// The wildcard that stands for every name is no condition.
fn server_names(written: &[Str]) -> Vec<Str> {
    if written.iter().any(|name| *name == "*") {
        return Vec::new();
    }
    let mut names: Vec<Str> = written.iter().map(|name| Host::new(name).to_str()).collect();
    names.sort();
    names.dedup();
    names
}

/// What is written, else `blocks`. `None`: something that is no range, so nothing matches.
fn ranges(written: &[Str], blocks: &[Cidr]) -> Option<Vec<Cidr>> {
    if written.is_empty() {
        return Some(sorted(blocks.to_vec()));
    }
    let read: Option<Vec<Cidr>> = written.iter().map(|text| Cidr::parse(text)).collect();
    Some(sorted(read?))
}

fn sorted(blocks: Vec<Cidr>) -> Vec<Cidr> {
    let mut blocks: Vec<Cidr> = blocks.into_iter().map(Cidr::masked).collect();
    blocks.sort();
    blocks.dedup();
    blocks
}
