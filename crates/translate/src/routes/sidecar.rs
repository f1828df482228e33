//! The route configuration of an outbound port: a virtual host for each service on it, by the
//! rules of the VirtualService that names the service, else straight to its cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ir::{Route, RouteConfig, VirtualHost};
use istio_api::networking::VirtualService;
use model::{Host, ObjectRef, Origin, Protocol};
use registry::{Config, Resolution, Service, View};
use stdx::Str;

use super::{standard, sticky, virtual_service};
use crate::domains::{self, Claimed};
use crate::egress::Egress;
use crate::names;
use crate::settings::Settings;
use crate::unit::ScopeKey;

/// A VirtualService that sidecars honour.
type Rules = Config<VirtualService>;

/// Builds the configuration `PORT`, which all listeners of a port share.
pub fn of_port(view: &View<'_>, scope: &ScopeKey, settings: &Settings, port: u16) -> RouteConfig {
    let egress = Egress::of(view, scope);
    let services = egress.services_on_port(view, port);
    // On port 80 Istio routes hosts that no service stands for too.
    let mut rules = match port {
        80 => view.mesh_virtual_services(&scope.namespace),
        _ => rules_for(view, scope, &services),
    };
    egress.keep_imported(view, port, &mut rules);
    let builder = Builder::new(view, scope, settings, port, &services);
    let mut virtual_hosts = builder.build(&services, &rules);
    virtual_hosts.push(standard::unclaimed(settings));
    config(port.to_string().into(), virtual_hosts)
}

/// Builds the configuration `HOST:PORT` of a listener that has one service only: whatever a request
/// calls it.
pub fn of_service(
    view: &View<'_>,
    scope: &ScopeKey,
    settings: &Settings,
    host: &Host,
    port: u16,
) -> RouteConfig {
    let egress = Egress::of(view, scope);
    let services: Vec<_> = egress.service(view, host, port).into_iter().collect();
    let mut rules = rules_for(view, scope, &services);
    egress.keep_imported(view, port, &mut rules);
    let builder = Builder::new(view, scope, settings, port, &services);
    let own =
        |virtual_host: &VirtualHost| virtual_host.domains.iter().any(|domain| *domain == *host.as_str());
    let mut own: Vec<VirtualHost> = builder.build(&services, &rules).into_iter().filter(own).collect();
    if let [only] = own.as_mut_slice() {
        only.domains = vec!["*".into()];
    }
    config(names::host_port(host.as_str(), port), own)
}

/// The VirtualServices that route these services, each once, in order of precedence.
fn rules_for(view: &View<'_>, scope: &ScopeKey, services: &[&Arc<Service>]) -> Vec<Rules> {
    let mut rules: Vec<Rules> = services
        .iter()
        .flat_map(|service| view.virtual_services_for(&scope.namespace, &service.host))
        .collect();
    let order = |rules: &Rules| (rules.created, rules.object.name.clone(), rules.object.namespace.clone());
    rules.sort_by_cached_key(order);
    rules.dedup_by(|a, b| a.object == b.object);
    rules
}

fn config(name: Str, virtual_hosts: Vec<VirtualHost>) -> RouteConfig {
    RouteConfig { name, virtual_hosts, ignore_port_in_host_matching: true, ..RouteConfig::default() }
}

struct Builder<'a> {
    port: u16,
    scope: &'a ScopeKey,
    settings: &'a Settings,
    view: &'a View<'a>,
    names: BTreeSet<Str>,
    claimed: Claimed,
    built: Vec<VirtualHost>,
}

impl<'a> Builder<'a> {
    fn new(
        view: &'a View<'_>,
        scope: &'a ScopeKey,
        settings: &'a Settings,
        port: u16,
        services: &[&Arc<Service>],
    ) -> Self {
        let full_names = services.iter().map(|service| service.host.to_str());
        let claimed = Claimed::new(full_names);
        Builder { port, scope, settings, view, names: BTreeSet::new(), claimed, built: Vec::new() }
    }

    fn build(mut self, services: &[&Arc<Service>], rules: &[Rules]) -> Vec<VirtualHost> {
        let by_host: BTreeMap<&Host, &Service> = services.iter().map(|s| (&s.host, &***s)).collect();
        let mut routed: BTreeSet<&Host> = BTreeSet::new();
        for rule in rules {
            let found = self.routes(rule);
            if found.routes.is_empty() && !found.dropped {
                continue;
            }
            let named = self.named_by(rule, &by_host, rules);
            let http: Vec<_> = named.services.into_iter().filter(|s| speaks_http(s, self.port)).collect();
            // Elsewhere than on port 80, a VirtualService is about services of the port.
            if http.is_empty() && self.port != 80 {
                continue;
            }
            for host in &named.others {
                self.add(host.as_str(), vec![host.to_str()], &found.routes, rule.origin(""));
            }
            for service in http {
                routed.insert(&service.host);
                self.add_service(service, &found.routes, rule.origin(""));
            }
        }
        let port = self.port;
        for service in services.iter().filter(|s| speaks_http(s, port) && !routed.contains(&s.host)) {
            let origin = Origin { object: service.object.clone(), field: Str::default() };
            let sticks = sticky::hash_policy(self.view, self.scope, &service.host, port, None);
            let route = standard::to_service(service.host.as_str(), port, sticks, &origin, self.settings);
            self.add_service(service, &[route], origin);
        }
        self.built.sort_by(|a, b| a.name.cmp(&b.name));
        self.built
    }

    fn routes(&self, rule: &Rules) -> virtual_service::Routes {
        let context = virtual_service::Context {
            view: self.view,
            scope: self.scope,
            settings: self.settings,
            port: self.port,
            gateway: "mesh",
            tls: false,
        };
        virtual_service::routes(rule, &context)
    }

    /// The services of the port that a VirtualService routes: those it names, and those that it has
    /// the most specific wildcard for.
    fn named_by<'s>(
        &self,
        rule: &Rules,
        by_host: &BTreeMap<&Host, &'s Service>,
        rules: &[Rules],
    ) -> Named<'s> {
        let mut named = Named { services: Vec::new(), others: Vec::new() };
        for host in hosts(self.view, rule) {
            if !host.is_wildcard() {
                match by_host.get(&host) {
                    Some(service) => named.services.push(service),
                    None => named.others.push(host),
                }
                continue;
            }
            let mut any = false;
            for service in by_host.values().filter(|service| host.covers(&service.host)) {
                any = true;
                if most_specific(self.view, &service.host, rules) == Some(&rule.object) {
                    named.services.push(service);
                }
            }
            if !any {
                named.others.push(host);
            }
        }
        named
    }

    fn add_service(&mut self, service: &Service, routes: &[Route], origin: Origin) {
        let host = service.host.as_str();
        let headless = service.resolution == Resolution::Headless;
        let (namespace, domain) = (&self.scope.namespace, &self.scope.domain);
        let addresses = service.addresses_for(self.scope.dns);
        let mut domains = domains::of_service(host, &addresses, headless, namespace, domain);
        for alias in &service.aliases {
            domains.extend(domains::of_service(alias.as_str(), &[], false, namespace, domain));
        }
        self.add(host, domains, routes, origin);
    }

    /// The first to name a host or domain has it.
    fn add(&mut self, host: &str, domains: Vec<Str>, routes: &[Route], origin: Origin) {
        let name = names::host_port(host, self.port);
        if !self.names.insert(name.clone()) {
            return;
        }
        let domains = self.claimed.claim(host, domains);
        if !domains.is_empty() {
            self.built.push(VirtualHost {
                name,
                domains,
                routes: routes.to_vec(),
                include_request_attempt_count: true,
                origin: Some(origin),
                ..VirtualHost::default()
            });
        }
    }
}

/// What the hosts of a VirtualService stand for.
struct Named<'s> {
    services: Vec<&'s Service>,
    /// Hosts that no service of the port has.
    others: Vec<Host>,
}

fn hosts(view: &View<'_>, rule: &Rules) -> Vec<Host> {
    rule.spec.hosts.iter().map(|host| view.resolve(host, &rule.object.namespace)).collect()
}

fn speaks_http(service: &Service, port: u16) -> bool {
    service.port(port).is_some_and(|port| port.protocol.is_http() || port.protocol == Protocol::Auto)
}

/// Of all VirtualServices the one whose host fits best: the exact host, else the longest wildcard;
/// of equals the first.
fn most_specific<'r>(view: &View<'_>, host: &Host, rules: &'r [Rules]) -> Option<&'r ObjectRef> {
    let mut best: Option<(usize, &ObjectRef)> = None;
    for rule in rules {
        for candidate in hosts(view, rule) {
            if candidate == *host {
                return Some(&rule.object);
            }
            let length = candidate.as_str().len();
            if candidate.is_wildcard()
                && candidate.covers(host)
                && best.is_none_or(|(longest, _)| length > longest)
            {
                best = Some((length, &rule.object));
            }
        }
    }
    best.map(|(_, object)| object)
}
