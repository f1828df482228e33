//! What a sidecar's own traffic can reach: all that its namespace sees, or what the egress listeners
//! of its Sidecar import.

mod hosts;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use istio_api::networking::sidecar::{CaptureMode, EgressListener as Written, OutboundMode};
use istio_api::networking::{Sidecar, VirtualService};
use model::{Host, ObjectRef, Protocol};
use registry::{Config, Service, View};

use crate::l4;
use crate::settings::{Outbound, Settings};
use crate::unit::ScopeKey;
use hosts::Imports;

/// One egress listener.
pub struct Listener {
    /// Number and protocol; `None`: every port that no listener before it has.
    pub port: Option<(u16, Protocol)>,
    pub bind: Option<IpAddr>,
    /// A port of its own instead of captured connections (`captureMode: NONE`).
    pub bound: bool,
    /// Applications use it as an HTTP proxy: it serves all ports of what it imports.
    pub is_proxy: bool,
    imports: Imports,
}

/// All of them, in order.
pub struct Egress {
    namespace: model::Str,
    pub listeners: Vec<Listener>,
}

/// The Sidecar that a scope names.
pub fn sidecar(view: &View<'_>, scope: &ScopeKey) -> Option<Config<Sidecar>> {
    let named = scope.sidecar.as_ref()?;
    view.sidecars(&named.namespace).into_iter().find(|config| config.object == *named)
}

impl Egress {
    pub fn of(view: &View<'_>, scope: &ScopeKey) -> Self {
        let written = sidecar(view, scope);
        let listeners = written.iter().flat_map(|config| &config.spec.egress);
        let mut listeners: Vec<Listener> =
            listeners.filter_map(|listener| Listener::read(listener, &scope.namespace)).collect();
        if written.is_none_or(|config| config.spec.egress.is_empty()) {
            let imports = Imports::everything();
            listeners.push(Listener { port: None, bind: None, bound: false, is_proxy: false, imports });
        }
        listeners.iter_mut().for_each(|listener| listener.bound |= scope.uncaptured);
        Egress { namespace: scope.namespace.clone(), listeners }
    }

    /// What is reached through the HTTP proxy on this port, of the Sidecar or (`None`) of the mesh: on every
    /// port what that listener imports, or the one for ports that no other has.
    pub fn through_proxy(self, port: Option<u16>) -> Self {
        let is_meant = |listener: &Listener| match (port, listener.port) {
            (Some(port), Some((number, _))) => listener.is_proxy && number == port,
            (None, None) => true,
            _ => false,
        };
        let meant = self.listeners.into_iter().find(is_meant);
        let listeners =
            meant.into_iter().map(|listener| Listener { port: None, is_proxy: false, ..listener });
        Egress { namespace: self.namespace, listeners: listeners.collect() }
    }

    /// The listener whose imports hold for a port.
    pub fn of_port(&self, port: u16) -> Option<&Listener> {
        let mut captured = self.listeners.iter().filter(|listener| !listener.is_proxy);
        captured.find(|listener| listener.port.is_none_or(|(number, _)| number == port))
    }

    /// All services that some listener imports, or that VirtualServices send its traffic to, by host.
    pub fn services<'v>(&self, view: &View<'v>) -> Vec<&'v Arc<Service>> {
        let mut found: BTreeMap<&Host, &'v Arc<Service>> = BTreeMap::new();
        for listener in &self.listeners {
            for service in listener.services(view, &self.namespace) {
                found.entry(&service.host).or_insert(service);
            }
        }
        if self.listeners.iter().any(|listener| !listener.imports.is_everything()) {
            let named =
                self.listeners.iter().flat_map(|listener| listener.virtual_services(view, &self.namespace));
            for host in named.flat_map(|rule| l4::destinations(view, &rule)) {
                if let Some(service) = view.service(&self.namespace, &host) {
                    found.entry(&service.host).or_insert(service);
                }
            }
        }
        found.into_values().collect()
    }

    /// The services of a port, as requests on it may reach them.
    pub fn services_on_port<'v>(&self, view: &View<'v>, port: u16) -> Vec<&'v Arc<Service>> {
        match self.of_port(port) {
            Some(listener) => {
                view.services_on_port_where(&self.namespace, port, &|service| listener.imports.has(service))
            }
            None => Vec::new(),
        }
    }

    /// The service with exactly this host, as connections to a port may reach it.
    pub fn service<'v>(&self, view: &View<'v>, host: &Host, port: u16) -> Option<&'v Arc<Service>> {
        let listener = self.of_port(port)?;
        view.service_where(&self.namespace, host, &|service| listener.imports.has(service))
    }

    /// Keeps the VirtualServices that are imported for a port.
    pub fn keep_imported(&self, view: &View<'_>, port: u16, rules: &mut Vec<Config<VirtualService>>) {
        match self.of_port(port) {
            Some(listener) => rules.retain(|rule| listener.imports.has_rules(view, rule)),
            None => rules.clear(),
        }
    }
}

impl Listener {
    /// `None`: it cannot be opened, which was reported where it was read.
    fn read(written: &Written, namespace: &str) -> Option<Self> {
        if written.unsupported() {
            return None;
        }
        let port = match &written.port {
            Some(port) => {
                let number = u16::try_from(port.number?).ok().filter(|number| *number != 0)?;
                Some((number, Protocol::by_name(&port.protocol).unwrap_or(Protocol::Auto)))
            }
            None => None,
        };
        let bind = match &written.bind {
            Some(bind) if !bind.is_empty() => Some(bind.parse().ok()?),
            _ => None,
        };
        let bound = written.capture_mode == Some(CaptureMode::None);
        let is_proxy = written.is_http_proxy();
        Some(Listener { port, bind, bound, is_proxy, imports: Imports::read(&written.hosts, namespace) })
    }

    /// The services that this listener serves, by host.
    pub fn services<'v>(&self, view: &View<'v>, namespace: &str) -> Vec<&'v Arc<Service>> {
        let mut found = view.services_where(namespace, &|service| self.imports.has(service));
        if let Some((port, _)) = self.port.filter(|_| !self.is_proxy) {
            found.retain(|service| service.port(port).is_some());
        }
        found
    }

    fn virtual_services(&self, view: &View<'_>, namespace: &str) -> Vec<Config<VirtualService>> {
        let mut rules = view.mesh_virtual_services(namespace);
        rules.retain(|rule| self.imports.has_rules(view, rule));
        rules
    }
}

/// What becomes of traffic that nothing claims, as the Sidecar says, else the mesh.
pub fn policy(view: &View<'_>, scope: &ScopeKey, settings: &Settings) -> Outbound {
    let Some(config) = sidecar(view, scope) else { return settings.outbound.clone() };
    let Some(policy) = &config.spec.outbound_traffic_policy else { return settings.outbound.clone() };
    // Absent, the mode is the first of Istio's.
    match policy.mode.unwrap_or(OutboundMode::RegistryOnly) {
        OutboundMode::RegistryOnly => Outbound::RegistryOnly,
        OutboundMode::AllowAny => match &policy.egress_proxy {
            None => Outbound::AllowAny,
            Some(proxy) => Outbound::Through(l4::cluster(view, scope, &config.object, proxy, 0)),
        },
    }
}

/// Which Sidecar the node's traffic is subject to, if any.
pub fn governing(view: &View<'_>, namespace: &str, labels: &model::Labels) -> Option<ObjectRef> {
    view.sidecar(namespace, labels).map(|config| config.object)
}
