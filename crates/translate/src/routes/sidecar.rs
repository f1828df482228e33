//! The route configuration of an outbound port: a virtual host for each service on it, by the
//! rules of the VirtualService that names the service, else straight to its cluster.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use ir::{Route, RouteConfig, VirtualHost};
use istio_api::networking::VirtualService;
use model::{Host, ObjectRef, Origin, Protocol};
use registry::{Config, Delta, Key, Resolution, Service, View};
use stdx::Str;

use super::memo::{Making, Memo, Of, Rule, Ruled, Whole};
use super::{change, standard, sticky, virtual_service};
use crate::domains::{self, Claimed};
use crate::egress::Egress;
use crate::names;
use crate::settings::Settings;
use crate::unit::ScopeKey;

/// A VirtualService that sidecars honour.
pub type Rules = Config<VirtualService>;

/// Builds the configuration `PORT`, which all listeners of a port share.
///
/// `again`: what was made before, and what is different since.
pub fn of_port(
    view: &View<'_>,
    scope: &ScopeKey,
    settings: &Settings,
    port: u16,
    again: Again<'_>,
) -> RouteConfig {
    let cx = Context { view, scope, settings, port, egress: &Egress::of(view, scope) };
    // Without a Sidecar they are all services of the port: most changes of it concern one of them.
    let at_once = scope.sidecar.is_none();
    let mut making = Making::new(again.memo, again.delta, &settings.outbound, at_once);
    let mut virtual_hosts = change::made_again(&cx, &mut making).unwrap_or_else(|| {
        let services = cx.egress.services_on_port(view, port);
        let rules = cx.rules(&services, at_once);
        Builder::new(&cx, &services, making).build(&services, &rules)
    });
    virtual_hosts.push(Arc::new(standard::unclaimed(&settings.outbound)));
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
    let cx = Context { view, scope, settings, port, egress: &Egress::of(view, scope) };
    let services: Vec<_> = cx.egress.service(view, host, port).into_iter().collect();
    let mut rules = rules_for(view, scope, &services);
    cx.egress.keep_imported(view, port, &mut rules);
    let mut memo = Memo::default();
    let making = Making::new(&mut memo, None, &settings.outbound, false);
    let builder = Builder::new(&cx, &services, making);
    let own =
        |virtual_host: &Arc<VirtualHost>| virtual_host.domains.iter().any(|domain| *domain == *host.as_str());
    let mut own: Vec<Arc<VirtualHost>> = builder.build(&services, &rules).into_iter().filter(own).collect();
    if let [only] = own.as_mut_slice() {
        Arc::make_mut(only).domains = vec!["*".into()];
    }
    config(names::host_port(host.as_str(), port), own)
}

/// The virtual hosts of a port's services, as a configuration beside others has them.
pub fn hosts_of_port(cx: &Context<'_>) -> Vec<Arc<VirtualHost>> {
    let services = cx.egress.services_on_port(cx.view, cx.port);
    let rules = cx.rules(&services, false);
    let mut memo = Memo::default();
    let making = Making::new(&mut memo, None, &cx.settings.outbound, false);
    Builder::new(cx, &services, making).build(&services, &rules)
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

fn config(name: Str, virtual_hosts: Vec<Arc<VirtualHost>>) -> RouteConfig {
    RouteConfig { name, virtual_hosts, ignore_port_in_host_matching: true, ..RouteConfig::default() }
}

/// What was made of a route configuration before, and what is different since.
pub struct Again<'a> {
    pub memo: &'a mut Memo,
    /// `None`: anything may be.
    pub delta: Option<&'a Delta>,
}

/// What everything here is made from.
pub struct Context<'a> {
    pub view: &'a View<'a>,
    pub scope: &'a ScopeKey,
    pub settings: &'a Settings,
    pub port: u16,
    pub egress: &'a Egress,
}

impl Context<'_> {
    /// The VirtualServices that have to do with the port, in order of precedence.
    pub fn rules(&self, services: &[&Arc<Service>], at_once: bool) -> Vec<Rules> {
        let (view, namespace) = (self.view, &self.scope.namespace);
        let mut rules = match self.port {
            // Here Istio routes hosts that no service stands for too.
            80 => view.mesh_virtual_services(namespace),
            port if at_once => view.virtual_services_on_port(namespace, port, services),
            _ => rules_for(view, self.scope, services),
        };
        if at_once {
            view.record(&[Key::DestinationRulesOnPort(self.port)]);
        }
        self.egress.keep_imported(view, self.port, &mut rules);
        rules
    }

    /// The routes of a VirtualService.
    pub fn ruled(&self, making: &mut Making<'_>, rule: &Rules) -> Arc<Ruled> {
        let (scope, settings, port) = (self.scope, self.settings, self.port);
        making.ruled(rule, self.view, |view| {
            let context =
                virtual_service::Context { view, scope, settings, port, gateway: "mesh", tls: false };
            virtual_service::routes(rule, &context)
        })
    }

    pub fn virtual_host(
        &self,
        of: &Of<'_>,
        domains: Vec<Str>,
        rules: Option<(&Arc<Ruled>, Origin)>,
        at_once: bool,
    ) -> VirtualHost {
        let (routes, origin) = match (rules, of.service) {
            (Some((ruled, origin)), _) => (ruled.routes.routes.clone(), Some(origin)),
            (None, Some(service)) => {
                let origin = Origin { object: service.object.clone(), field: Str::default() };
                let apart = self.view.apart();
                let view = if at_once { &apart } else { self.view };
                (vec![self.to_service(view, service, &origin)], Some(origin))
            }
            (None, None) => (Vec::new(), None),
        };
        VirtualHost {
            name: of.name.clone(),
            domains,
            routes,
            include_request_attempt_count: true,
            origin,
            ..VirtualHost::default()
        }
    }

    /// What this asks, a [memo](super::memo::Making::known) asks again, or all of the port was asked about.
    fn to_service(&self, view: &View<'_>, service: &Service, origin: &Origin) -> Route {
        let sticks = sticky::hash_policy(view, self.scope, &service.host, self.port, None);
        standard::to_service(service.host.as_str(), self.port, sticks, origin, self.settings)
    }

    /// All names of a host.
    fn domains(&self, host: &Host, service: Option<&Arc<Service>>) -> Vec<Str> {
        let Some(service) = service else { return vec![host.to_str()] };
        let headless = service.resolution == Resolution::Headless;
        let (namespace, domain) = (&self.scope.namespace, &self.scope.domain);
        let addresses = service.addresses_for(self.scope.dns);
        let mut domains = domains::of_service(host.as_str(), &addresses, headless, namespace, domain);
        for alias in &service.aliases {
            domains.extend(domains::of_service(alias.as_str(), &[], false, namespace, domain));
        }
        domains
    }
}

struct Builder<'a> {
    cx: &'a Context<'a>,
    names: HashSet<Str>,
    claimed: Claimed,
    /// Some domain is wanted by several.
    contested: bool,
    making: Making<'a>,
    built: Vec<Arc<VirtualHost>>,
}

impl<'a> Builder<'a> {
    fn new(cx: &'a Context<'a>, services: &[&Arc<Service>], making: Making<'a>) -> Self {
        let full_names = services.iter().map(|service| service.host.to_str());
        let claimed = Claimed::new(full_names);
        Builder { cx, names: HashSet::new(), claimed, contested: false, making, built: Vec::new() }
    }

    fn build(mut self, services: &[&Arc<Service>], rules: &[Rules]) -> Vec<Arc<VirtualHost>> {
        let port = self.cx.port;
        let by_host: BTreeMap<&Host, &Arc<Service>> = services.iter().map(|s| (&s.host, *s)).collect();
        let best = MostSpecific::new(self.cx.view, rules);
        let mut routed: HashSet<&Host> = HashSet::new();
        let mut all: Vec<Rule> = Vec::with_capacity(rules.len());
        for rule in rules {
            let found = self.cx.ruled(&mut self.making, rule);
            all.push((rule.clone(), found.clone()));
            if !found.routes_something() {
                continue;
            }
            let named = self.named_by(rule, &by_host, &best);
            let http: Vec<_> = named.services.into_iter().filter(|s| speaks_http(s, port)).collect();
            // Elsewhere than on port 80, a VirtualService is about services of the port.
            if http.is_empty() && port != 80 {
                continue;
            }
            for host in &named.others {
                self.add(host, None, Some((&found, rule.origin(""))));
            }
            for service in http {
                routed.insert(&service.host);
                self.add(&service.host, Some(service), Some((&found, rule.origin(""))));
            }
        }
        for service in services.iter().filter(|s| speaks_http(s, port) && !routed.contains(&s.host)) {
            self.add(&service.host, Some(service), None);
        }
        self.built.sort_by(|a, b| a.name.cmp(&b.name));
        let wild = || all.iter().any(|(_, ruled)| ruled.hosts.iter().any(Host::is_wildcard));
        if self.making.asks_at_once() && !self.contested && !wild() {
            let services = services.iter().map(|service| Arc::clone(service)).collect();
            self.making.keep_whole(Whole { services, rules: all, built: self.built.clone() });
        }
        self.built
    }

    /// The services of the port that a VirtualService routes: those it names, and those that it has
    /// the most specific wildcard for.
    fn named_by<'s>(
        &self,
        rule: &Rules,
        by_host: &BTreeMap<&Host, &'s Arc<Service>>,
        best: &MostSpecific<'_>,
    ) -> Named<'s> {
        let mut named = Named { services: Vec::new(), others: Vec::new() };
        for host in hosts(self.cx.view, rule) {
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
                if best.of(&service.host) == Some(&rule.object) {
                    named.services.push(service);
                }
            }
            if !any {
                named.others.push(host);
            }
        }
        named
    }

    /// A virtual host; the first to name a host or domain has it. Without a VirtualService it leads to the
    /// service.
    fn add(&mut self, host: &Host, service: Option<&Arc<Service>>, rules: Option<(&Arc<Ruled>, Origin)>) {
        let name = names::host_port(host.as_str(), self.cx.port);
        if !self.names.insert(name.clone()) {
            return;
        }
        let of = Of { name, host, service, ruled: rules.as_ref().map(|(ruled, _)| *ruled) };
        let known = self.making.known(&of, self.cx.view);
        let (made, wanted) = match known {
            Some((made, wanted)) => (Some(made), wanted),
            None => (None, self.cx.domains(host, service)),
        };
        let domains = self.claimed.claim(host.as_str(), &wanted);
        self.contested |= domains.len() < wanted.len();
        if domains.is_empty() {
            return;
        }
        let made = match made {
            Some(made) if made.domains == domains => made,
            Some(made) => Arc::new(VirtualHost { domains, ..(*made).clone() }),
            None => Arc::new(self.cx.virtual_host(&of, domains, rules, self.making.asks_at_once())),
        };
        self.built.push(made.clone());
        self.making.keep(of, wanted, made);
    }
}

/// What the hosts of a VirtualService stand for.
struct Named<'s> {
    services: Vec<&'s Arc<Service>>,
    /// Hosts that no service of the port has.
    others: Vec<Host>,
}

fn hosts(view: &View<'_>, rule: &Rules) -> Vec<Host> {
    rule.spec.hosts.iter().map(|host| view.resolve(host, &rule.object.namespace)).collect()
}

pub fn speaks_http(service: &Service, port: u16) -> bool {
    service.port(port).is_some_and(|port| port.protocol.is_http() || port.protocol == Protocol::Auto)
}

/// Of all VirtualServices the one whose host fits best: the exact host, else the longest wildcard;
/// of equals the first.
struct MostSpecific<'r> {
    exact: HashMap<Host, &'r ObjectRef>,
    wildcards: Vec<(Host, &'r ObjectRef)>,
}

impl<'r> MostSpecific<'r> {
    fn new(view: &View<'_>, rules: &'r [Rules]) -> Self {
        let mut all = MostSpecific { exact: HashMap::new(), wildcards: Vec::new() };
        for rule in rules {
            for host in hosts(view, rule) {
                if host.is_wildcard() {
                    all.wildcards.push((host, &rule.object));
                } else {
                    all.exact.entry(host).or_insert(&rule.object);
                }
            }
        }
        // Stable: of equals the first stays the first.
        all.wildcards.sort_by_key(|(host, _)| std::cmp::Reverse(host.as_str().len()));
        all
    }

    fn of(&self, host: &Host) -> Option<&'r ObjectRef> {
        let covers = || self.wildcards.iter().find(|(wildcard, _)| wildcard.covers(host));
        self.exact.get(host).copied().or_else(|| covers().map(|(_, object)| *object))
    }
}
