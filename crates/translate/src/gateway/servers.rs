//! The servers of all Gateways that select a workload, by the port they are bound to. What excludes
//! each other on a port is the older one's.

use std::collections::BTreeMap;
use std::net::IpAddr;

use istio_api::networking::{Gateway, Server, ServerTlsMode};
use model::{Host, Level, Protocol, Str};
use registry::{Config, View};

use super::ports::InFront;
use crate::findings::{Findings, GATEWAY_CONFLICT, NO_EFFECT};
use crate::unit::ScopeKey;

/// The address (`None`: all) and port of a listener.
pub type Key = (Option<IpAddr>, u16);

/// A server, and the Gateway that has it.
pub struct Bound {
    pub gateway: Config<Gateway>,
    pub index: usize,
}

impl Bound {
    pub fn server(&self) -> Option<&Server> {
        self.gateway.spec.servers.get(self.index)
    }

    /// `NAMESPACE/NAME`.
    pub fn gateway_name(&self) -> String {
        format!("{}/{}", self.gateway.object.namespace, self.gateway.object.name)
    }

    /// The mode of TLS, on a port that has any.
    pub fn tls_mode(&self) -> Option<ServerTlsMode> {
        let server = self.server().filter(|server| !server.port.protocol.is_http())?;
        Some(server.tls.as_ref()?.mode.unwrap_or(ServerTlsMode::Passthrough))
    }

    /// TLS that ends somewhere else.
    pub fn is_passthrough(&self) -> bool {
        matches!(self.tls_mode(), Some(ServerTlsMode::Passthrough | ServerTlsMode::AutoPassthrough))
    }

    pub fn is_plain_http(&self) -> bool {
        self.server().is_some_and(|server| server.port.protocol.is_http())
    }

    /// HTTP inside of TLS that ends here.
    pub fn is_https(&self) -> bool {
        let https = self.server().is_some_and(|server| server.port.protocol == Protocol::Https);
        https && self.tls_mode().is_some() && !self.is_passthrough()
    }

    /// Server names by which it is chosen; empty: all. Without the namespaces that may use them.
    pub fn server_names(&self) -> Vec<Str> {
        let hosts = self.server().into_iter().flat_map(|server| &server.hosts);
        let mut names: Vec<Str> = hosts.map(|written| host_of(written).to_str()).collect();
        if names.iter().any(|name| *name == "*") {
            return Vec::new();
        }
        names.sort();
        names.dedup();
        names
    }
}

/// What is left of `NAMESPACE/HOST` without its namespace.
pub fn host_of(written: &str) -> Host {
    Host::new(written.split_once('/').map_or(written, |(_, host)| host))
}

/// All servers that open a port, older Gateways first, and none that excludes one before it.
pub fn of(view: &View<'_>, scope: &ScopeKey, findings: &Findings) -> BTreeMap<Key, Vec<Bound>> {
    let own_only = view.settings().features.scope_gateways;
    let in_front = InFront::of(view, scope);
    let mut servers: BTreeMap<Key, Vec<Bound>> = BTreeMap::new();
    for gateway in view.gateways(&scope.labels) {
        if own_only && gateway.object.namespace != scope.namespace {
            continue;
        }
        for (index, server) in gateway.spec.servers.iter().enumerate() {
            // Reported where it was read.
            if !server.unsupported.is_empty() || server.port.protocol == Protocol::Udp {
                continue;
            }
            let Some(bind) = bind_of(server, &gateway, findings) else { continue };
            let port = in_front.workload_port(view, scope, server.port.number);
            let there = servers.entry((bind, port)).or_default();
            let bound = Bound { gateway: gateway.clone(), index };
            match there.iter().find_map(|winner| conflict(winner, &bound).map(|why| (winner, why))) {
                Some((winner, why)) => report(&bound, winner, port, why, findings),
                None => there.push(bound),
            }
        }
    }
    report_reserved(view, &servers, findings);
    servers.retain(|_, bound| !bound.is_empty());
    servers
}

/// `None`: no address, so no port.
fn bind_of(server: &Server, gateway: &Config<Gateway>, findings: &Findings) -> Option<Option<IpAddr>> {
    match server.bind.as_deref().map(str::parse::<IpAddr>) {
        None => Some(None),
        Some(Ok(address)) if address.is_unspecified() => Some(None),
        Some(Ok(address)) => Some(Some(address)),
        Some(Err(_)) => {
            let field = format!("{}.bind", server.path);
            let message = "is no IP address: this server opens no port";
            findings.report(Level::Error, NO_EFFECT, &gateway.object, &field, message);
            None
        }
    }
}

/// Why a server cannot be on the same port as one that is there.
fn conflict(there: &Bound, new: &Bound) -> Option<String> {
    let protocol = |bound: &Bound| bound.server().map(|server| server.port.protocol);
    match (there.tls_mode(), new.tls_mode()) {
        (None, None) if there.is_plain_http() && new.is_plain_http() => None,
        (None, None) | (None, Some(_)) | (Some(_), None) => Some(format!(
            "serves {:?} without TLS-based routing, which cannot be told from {:?}",
            protocol(there)?,
            protocol(new)?
        )),
        (Some(_), Some(_)) => {
            // Where rules pass TLS on, their own server names tell them apart.
            if there.is_passthrough() && new.is_passthrough() {
                return None;
            }
            let same = there.server_names() == new.server_names()
                || there.server_names().iter().any(|name| new.server_names().contains(name));
            same.then(|| "serves the same hosts by TLS".to_owned())
        }
    }
}

fn report(loser: &Bound, winner: &Bound, port: u16, why: String, findings: &Findings) {
    let (Some(lost), Some(won)) = (loser.server(), winner.server()) else { return };
    let message = format!(
        "this server is ignored: on port {port}, {} of {} came first, and it {why}",
        won.path, winner.gateway.object
    );
    findings.report(Level::Warning, GATEWAY_CONFLICT, &loser.gateway.object, &lost.path, message);
}

/// The agent and the proxy listen on ports of their own in every pod.
fn report_reserved(view: &View<'_>, servers: &BTreeMap<Key, Vec<Bound>>, findings: &Findings) {
    let proxy = &view.mesh().default_config;
    let reserved = [proxy.admin_port.unwrap_or(15000), proxy.status_port.unwrap_or(15020), 15021, 15090];
    for ((_, port), bound) in servers.iter().filter(|((_, port), _)| reserved.contains(port)) {
        for bound in bound {
            let field =
                bound.server().map(|server| format!("{}.port.number", server.path)).unwrap_or_default();
            let message = format!("port {port} of the gateway is the proxy's own");
            findings.report(Level::Error, GATEWAY_CONFLICT, &bound.gateway.object, &field, message);
        }
    }
}

/// The hosts of a server that a VirtualService of `namespace` may have.
pub fn hosts_for(server: &Server, gateway_namespace: &str, namespace: &str) -> Vec<Host> {
    let allowed = |written: &str| {
        let (owner, host) = written.split_once('/').unwrap_or(("*", written));
        let owner = if owner == "." { gateway_namespace } else { owner };
        (owner == "*" || owner == namespace).then(|| Host::new(host))
    };
    server.hosts.iter().filter_map(|written| allowed(written)).collect()
}
