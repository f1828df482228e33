//! `ingress` of a Sidecar: ports of the workload that take the place of those its services expose.

use std::net::{IpAddr, SocketAddr};

use ir::listener::TransportProtocol;
use ir::{Address, Cluster, FilterChain};
use istio_api::networking::sidecar::{CaptureMode, IngressListener};
use istio_api::networking::{ServerTlsMode, Sidecar};
use istio_api::security::MtlsMode;
use model::{Level, Protocol};
use registry::{Config, View};

use super::chains::{self, Context, Port};
use super::matches::{ChainKind, Serves};
use super::pool;
use crate::cluster::fixed;
use crate::findings::{Findings, NO_EFFECT};
use crate::settings::Settings;
use crate::unit::ScopeKey;
use crate::{egress, names, tls};

/// One port.
pub struct Ingress {
    pub config: Config<Sidecar>,
    index: usize,
    pub port: u16,
    pub protocol: Protocol,
    /// Opened by itself, not fed with captured connections.
    pub bound: bool,
}

impl Ingress {
    fn written(&self) -> Option<&IngressListener> {
        self.config.spec.ingress.get(self.index)
    }

    fn field(&self, name: &str) -> String {
        format!("spec.ingress[{}]{name}", self.index)
    }

    /// Where a port of its own is opened.
    pub fn address(&self, scope: &ScopeKey) -> IpAddr {
        let bind = self.written().and_then(|written| written.bind.as_deref()?.parse().ok());
        bind.unwrap_or_else(|| scope.wildcard())
    }
}

/// All of them by port, of several with one port the first; `None` if services decide.
pub fn of(view: &View<'_>, scope: &ScopeKey) -> Option<Vec<Ingress>> {
    let config = egress::sidecar(view, scope).filter(|config| !config.spec.ingress.is_empty())?;
    let mut found: Vec<Ingress> = Vec::new();
    for (index, written) in config.spec.ingress.iter().enumerate() {
        let Some(port) = &written.port else { continue };
        let number = port.number.and_then(|number| u16::try_from(number).ok()).filter(|number| *number != 0);
        let Some(number) = number.filter(|number| found.iter().all(|known| known.port != *number)) else {
            continue;
        };
        let protocol = Protocol::by_name(&port.protocol).unwrap_or(Protocol::Auto);
        let bound = scope.uncaptured || written.capture_mode == Some(CaptureMode::None);
        found.push(Ingress { config: config.clone(), index, port: number, protocol, bound });
    }
    found.sort_by_key(|ingress| ingress.port);
    Some(found)
}

/// The ports that have listeners of their own.
pub fn listeners(view: &View<'_>, scope: &ScopeKey) -> Vec<u16> {
    let bound = of(view, scope).into_iter().flatten().filter(|ingress| ingress.bound);
    bound.map(|ingress| ingress.port).collect()
}

/// The chains of a port. TLS settings of its own hold where mutual TLS is disabled.
pub fn chains(ingress: &Ingress, mode: MtlsMode, cx: &Context<'_>, findings: &Findings) -> Vec<FilterChain> {
    let host = format!("{}.{}", ingress.config.object.name, ingress.config.object.namespace);
    let mut port = Port {
        target: Some(ingress.port),
        service_port: ingress.port,
        protocol: ingress.protocol,
        cluster: names::inbound(ingress.port),
        host: Some(&host),
        origin: Some(ingress.config.origin(&ingress.field(""))),
    };
    let settings = ingress.written().and_then(|written| written.tls.as_ref());
    let Some(settings) =
        settings.filter(|tls| tls.mode.is_some_and(|mode| mode != ServerTlsMode::Passthrough))
    else {
        return chains::build(&port, mode, cx);
    };
    if !cx.settings.features.tls_on_sidecar_ingress {
        let message = "has no effect unless the control plane has ENABLE_TLS_ON_SIDECAR_INGRESS=true";
        findings.report(Level::Warning, NO_EFFECT, &ingress.config.object, &ingress.field(".tls"), message);
        return chains::build(&port, mode, cx);
    }
    port.protocol = behind_tls(port.protocol);
    if mode != MtlsMode::Disable {
        return chains::build(&port, mode, cx);
    }
    let serves = if port.protocol.is_http() { Serves::Http } else { Serves::Tcp };
    let context = match tls::server(settings, serves == Serves::Http, cx.settings) {
        Ok(context) => context,
        Err(problem) => {
            // Without it the port would be open in plaintext.
            let field = ingress.field(&format!(".tls.{}", problem.field));
            findings.report(Level::Error, NO_EFFECT, &ingress.config.object, &field, problem.message);
            return Vec::new();
        }
    };
    let kind = ChainKind { alpn: &[], transport: TransportProtocol::Tls, serves, mutual_tls: false };
    vec![FilterChain { tls: Some(context), ..chains::chain(&port, kind, cx) }]
}

/// What is inside of TLS that ends here.
fn behind_tls(protocol: Protocol) -> Protocol {
    match protocol {
        Protocol::Https => Protocol::Http,
        Protocol::Tls => Protocol::Tcp,
        other => other,
    }
}

/// The cluster of a port: to `defaultEndpoint`, else to wherever the connection was going.
pub fn cluster(ingress: &Ingress, scope: &ScopeKey, settings: &Settings) -> Option<Cluster> {
    let written = ingress.written()?;
    let own = scope.addresses.first().copied();
    let origin = Some(ingress.config.origin(&ingress.field("")));
    let protocol = match settings.features.tls_on_sidecar_ingress && written.tls.is_some() {
        true => behind_tls(ingress.protocol),
        false => ingress.protocol,
    };
    let mut cluster = fixed::inbound(settings, ingress.port, protocol, own, Vec::new(), origin);
    let pool = written.connection_pool.as_ref().or(ingress.config.spec.inbound_connection_pool.as_ref());
    if let Some(pool) = pool {
        pool::apply(pool, &mut cluster);
    }
    let Some(endpoint) = written.default_endpoint.as_deref().filter(|endpoint| !endpoint.is_empty()) else {
        return Some(cluster);
    };
    let (address, to_itself) = match endpoint.strip_prefix("unix://") {
        Some(path) => (Address::Pipe(path.into()), false),
        None => {
            let written: SocketAddr = endpoint.parse().ok()?;
            // Every address of the workload: its own, from where the capture rules let it pass.
            let every = written.ip().is_unspecified();
            let address = if every { SocketAddr::new(own?, written.port()) } else { written };
            (Address::Socket(address), every)
        }
    };
    fixed::send_to(&mut cluster, address);
    if !to_itself {
        cluster.bind_source = None;
    }
    Some(cluster)
}
