//! Where the services that a sidecar reaches want to be served.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ir::Cidr;
use model::{Host, Node, Protocol};
use registry::{Resolution, Service, ServicePort, ServiceSource, View};

use super::entry::{Bytes, Entry, Key, Proxy, Wish, settle};
use crate::dynamic_dns;
use crate::egress::{Egress, Listener};
use crate::unit::{asks_for_names, is_ipv6, wildcard};

/// The listeners of a sidecar, and what each serves.
pub fn entries(view: &View<'_>, node: &Node, egress: &Egress) -> BTreeMap<Key, Entry> {
    let mut entries = BTreeMap::new();
    let mut wishes = Vec::new();
    for listener in &egress.listeners {
        let mut services = listener.services(view, &node.namespace);
        by_age(&mut services);
        let at = At { view, node, listener };
        if let Some((port, _)) = listener.port.filter(|_| listener.is_proxy) {
            let address = at.bind().unwrap_or(wildcard(is_ipv6(node)));
            entries.entry((address, port)).or_insert(Entry::proxy(Proxy::Sidecar, listener.bound));
            continue;
        }
        if let Some((port, protocol)) = listener.port {
            for service in services {
                at.declared(service, port, protocol, &mut wishes);
            }
            continue;
        }
        // Ports that were named before have what was named, and no more.
        settle(&mut entries, std::mem::take(&mut wishes));
        for service in services {
            let dynamic = dynamic_dns::is_dynamic(service);
            let served = |port: &&ServicePort| !dynamic || dynamic_dns::is_served(port.protocol);
            for port in service.ports.iter().filter(|port| port.protocol != Protocol::Udp).filter(served) {
                at.of_service(service, port, &mut wishes);
            }
        }
    }
    settle(&mut entries, wishes);
    if let Some(port) = view.mesh().proxy_http_port {
        entries.entry((loopback(node), port)).or_insert(Entry::proxy(Proxy::Mesh, true));
    }
    entries
}

fn loopback(node: &Node) -> IpAddr {
    match is_ipv6(node) {
        true => IpAddr::V6(Ipv6Addr::LOCALHOST),
        false => IpAddr::V4(Ipv4Addr::LOCALHOST),
    }
}

/// Where services exclude each other the oldest wins.
pub fn by_age(services: &mut [&std::sync::Arc<Service>]) {
    services.sort_by(|a, b| {
        (a.created, &a.name, &a.namespace, &a.host).cmp(&(b.created, &b.name, &b.namespace, &b.host))
    });
}

struct At<'a, 'v> {
    view: &'a View<'v>,
    node: &'a Node,
    listener: &'a Listener,
}

impl At<'_, '_> {
    /// A port that the Sidecar declares; what the service says of the protocol does not count.
    fn declared(&self, service: &Service, port: u16, protocol: Protocol, wishes: &mut Vec<Wish>) {
        match protocol {
            Protocol::Udp => {}
            _ => self.by_address(service, port, protocol, wishes),
        }
    }

    fn of_service(&self, service: &Service, port: &ServicePort, wishes: &mut Vec<Wish>) {
        let pods = matches!(service.resolution, Resolution::Headless | Resolution::Passthrough)
            && self.bind().is_none()
            && service.addresses.is_empty()
            && service.blocks.is_empty()
            && !port.protocol.is_http();
        if !pods {
            return self.by_address(service, port.number, port.protocol, wishes);
        }
        let endpoints = self.view.endpoints(service, port.number);
        // Without any way to have endpoints, it is every address of the port.
        let never = service.source != ServiceSource::Kubernetes && service.selector.is_none();
        if endpoints.is_empty() && never {
            return self.by_address(service, port.number, port.protocol, wishes);
        }
        // One listener for each pod but the node itself, whose own traffic does not come this way.
        let mut addresses: Vec<IpAddr> = endpoints.iter().map(|endpoint| endpoint.address).collect();
        addresses.dedup();
        for address in addresses.into_iter().filter(|address| !self.node.addresses.contains(address)) {
            wishes.push(self.wish(address, service, port.number, port.protocol, false, Vec::new()));
        }
    }

    fn by_address(&self, service: &Service, port: u16, protocol: Protocol, wishes: &mut Vec<Wish>) {
        let any = wildcard(is_ipv6(self.node));
        if protocol.is_http() {
            let address = self.bind().unwrap_or(any);
            return wishes.push(self.wish(address, service, port, protocol, false, Vec::new()));
        }
        if !service.blocks.is_empty() {
            let block =
                |(address, prefix_len): &(IpAddr, u8)| Cidr { address: *address, prefix_len: *prefix_len };
            let mut blocks: Vec<Cidr> = service.blocks.iter().map(block).map(Cidr::masked).collect();
            blocks.sort();
            blocks.dedup();
            let address = self.bind().unwrap_or(any);
            wishes.push(self.wish(address, service, port, protocol, true, blocks));
        }
        let own = service.addresses_for(asks_for_names(self.view, self.node));
        match (self.bind(), own.as_slice()) {
            (Some(address), addresses) => {
                let by_name = addresses.is_empty();
                wishes.push(self.wish(address, service, port, protocol, by_name, Vec::new()));
            }
            (None, []) if service.blocks.is_empty() => {
                wishes.push(self.wish(any, service, port, protocol, true, Vec::new()));
            }
            (None, addresses) => wishes
                .extend(addresses.iter().map(|a| self.wish(*a, service, port, protocol, false, Vec::new()))),
        }
    }

    /// The address that the Sidecar wants, or where a port of one's own is bound without that.
    fn bind(&self) -> Option<IpAddr> {
        self.listener.bind.or(self.listener.bound.then(|| loopback(self.node)))
    }

    fn wish(
        &self,
        address: IpAddr,
        service: &Service,
        port: u16,
        protocol: Protocol,
        by_name: bool,
        blocks: Vec<Cidr>,
    ) -> Wish {
        let host: Host = service.host.clone();
        let tls = matches!(protocol, Protocol::Tls | Protocol::Https);
        // One address stands for many names.
        let dynamic = dynamic_dns::is_dynamic(service);
        let bytes = Bytes { host, tls, by_name: tls && (by_name || dynamic), blocks };
        Wish { key: (address, port), protocol, bound: self.listener.bound, dynamic, bytes }
    }
}
