//! Questions to a snapshot, recorded.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use istio_api::k8s::{ConfigMap, Secret};
use istio_api::networking::{Gateway, Sidecar, VirtualService};
use istio_api::security::{AuthorizationPolicy, PeerAuthentication};
use istio_api::{Document, Kind, MeshConfig};
use model::{Host, Labels, ObjectRef, Str};

use crate::config::{self, Spec};
use crate::policies::{self, Mtls};
use crate::snapshot::OfPort;
use crate::{
    Config, Endpoint, GatewayRef, Key, MergedRule, NamedEndpoint, Service, Settings, Snapshot, Workload,
};
use crate::{client_labels, destination_rules, sidecars, virtual_services};

/// A snapshot that writes down what it is asked. Each accessor names the [`Key`]s it records; an
/// answer can only change when a [`Delta`](crate::Delta) touches one of them. (What depends on the
/// mesh configuration besides needs no key of its own: when that changes, every answer may.)
#[derive(Debug)]
pub struct View<'a> {
    snapshot: &'a Snapshot,
    asked: RefCell<BTreeSet<Key>>,
}

impl<'a> View<'a> {
    pub fn new(snapshot: &'a Snapshot) -> Self {
        View { snapshot, asked: RefCell::default() }
    }

    /// A view of the same snapshot that records by itself.
    pub fn apart(&self) -> View<'a> {
        View::new(self.snapshot)
    }

    /// What has been asked, and forgets it.
    pub fn take_keys(&self) -> BTreeSet<Key> {
        self.asked.take()
    }

    /// Records questions that were answered from elsewhere, as from a cache.
    pub fn record<'k>(&self, keys: impl IntoIterator<Item = &'k Key>) {
        self.asked.borrow_mut().extend(keys.into_iter().cloned());
    }

    pub(crate) fn ask(&self, key: Key) {
        self.asked.borrow_mut().insert(key);
    }

    pub(crate) fn snapshot(&self) -> &'a Snapshot {
        self.snapshot
    }

    /// Never changes, so nothing is recorded.
    pub fn settings(&self) -> &'a Settings {
        &self.snapshot.settings
    }

    /// A host as written in an object of `namespace`. Records nothing.
    pub fn resolve(&self, text: &str, namespace: &str) -> Host {
        self.snapshot.resolve(text, namespace)
    }

    /// Records [`Key::Mesh`].
    pub fn mesh(&self) -> &'a Arc<MeshConfig> {
        self.ask(Key::Mesh);
        &self.snapshot.mesh
    }

    /// A namespace's object, with labels and annotations. Records [`Key::Namespace`].
    pub fn namespace(&self, name: &str) -> Option<&'a Arc<Document>> {
        self.ask(Key::Namespace(name.into()));
        self.snapshot.object(&ObjectRef::new("Namespace", "", name))
    }

    /// All services that proxies of `client` see, by host. Records [`Key::Services`].
    pub fn services(&self, client: &str) -> Vec<&'a Arc<Service>> {
        self.ask(Key::Services);
        self.snapshot.services.values().filter_map(|all| preferred(all, client)).collect()
    }

    /// As [`services`](View::services), of those that `counts` accepts: the choice between services
    /// with the same host is made among them. Records [`Key::Services`].
    pub fn services_where(&self, client: &str, counts: &dyn Fn(&Service) -> bool) -> Vec<&'a Arc<Service>> {
        self.ask(Key::Services);
        self.snapshot.services.values().filter_map(|all| preferred_of(all, client, counts)).collect()
    }

    /// Likewise, as [`services_on_port`](View::services_on_port). Records [`Key::ServicesOnPort`].
    pub fn services_on_port_where(
        &self,
        client: &str,
        port: u16,
        counts: &dyn Fn(&Service) -> bool,
    ) -> Vec<&'a Arc<Service>> {
        self.ask(Key::ServicesOnPort(port));
        let hosts = self.snapshot.hosts_by_port.get(&port).into_iter().flatten();
        let services =
            hosts.filter_map(|host| preferred_of(self.snapshot.services.get(host)?, client, counts));
        services.filter(|service| service.port(port).is_some()).collect()
    }

    /// Likewise, as [`service`](View::service). Records [`Key::Service`].
    pub fn service_where(
        &self,
        client: &str,
        host: &Host,
        counts: &dyn Fn(&Service) -> bool,
    ) -> Option<&'a Arc<Service>> {
        self.ask(Key::Service(host.clone()));
        preferred_of(self.snapshot.services.get(host)?, client, counts)
    }

    /// Whether there are several services with this host. Records [`Key::Service`].
    pub fn is_ambiguous(&self, host: &Host) -> bool {
        self.ask(Key::Service(host.clone()));
        self.snapshot.services.get(host).is_some_and(|all| all.len() > 1)
    }

    /// Of [`services`](View::services), those with this port. Records [`Key::ServicesOnPort`].
    pub fn services_on_port(&self, client: &str, port: u16) -> Vec<&'a Arc<Service>> {
        self.ask(Key::ServicesOnPort(port));
        let hosts = self.snapshot.hosts_by_port.get(&port).into_iter().flatten();
        let services = hosts.filter_map(|host| preferred(self.snapshot.services.get(host)?, client));
        services.filter(|service| service.port(port).is_some()).collect()
    }

    /// All services of a namespace, whoever sees them. For the inbound side: filter with
    /// [`Service::selects`]. Records [`Key::ServicesIn`].
    pub fn services_in(&self, namespace: &str) -> Vec<&'a Arc<Service>> {
        self.ask(Key::ServicesIn(namespace.into()));
        let hosts = self.snapshot.hosts_by_namespace.get(namespace).into_iter().flatten();
        let services = hosts.filter_map(|host| self.snapshot.services.get(host)).flat_map(|all| all.iter());
        services.filter(|service| service.namespace == *namespace).collect()
    }

    /// The service with exactly this host that proxies of `client` see. Of several: Kubernetes' own,
    /// then the client's namespace's, then the oldest. Records [`Key::Service`].
    pub fn service(&self, client: &str, host: &Host) -> Option<&'a Arc<Service>> {
        self.ask(Key::Service(host.clone()));
        preferred(self.snapshot.services.get(host)?, client)
    }

    /// Endpoints of a service's port, ready or not, sorted by address and port. Empty if it has no
    /// such port. Records [`Key::Endpoints`].
    pub fn endpoints(&self, service: &Service, port: u16) -> Arc<Vec<Endpoint>> {
        self.ask(Key::Endpoints(service.host.clone()));
        self.of_port(service, port).map(|found| found.addressed.clone()).unwrap_or_default()
    }

    /// As [`endpoints`](View::endpoints), those that have a name or a path instead of an IP address,
    /// in the order they are written in. Records [`Key::Endpoints`].
    pub fn named_endpoints(&self, service: &Service, port: u16) -> Arc<Vec<NamedEndpoint>> {
        self.ask(Key::Endpoints(service.host.clone()));
        self.of_port(service, port).map(|found| found.named.clone()).unwrap_or_default()
    }

    fn of_port(&self, service: &Service, port: u16) -> Option<&'a OfPort> {
        let key = (service.namespace.clone(), service.host.clone());
        self.snapshot.endpoints.get(&key)?.iter().find(|found| found.number == port)
    }

    /// Records [`Key::Workload`].
    pub fn workload(&self, namespace: &str, name: &str) -> Option<&'a Arc<Workload>> {
        let key = (Str::from(namespace), Str::from(name));
        self.ask(Key::Workload(key.0.clone(), key.1.clone()));
        self.snapshot.workloads.get(&key)
    }

    /// The workload with an address; if several claim it, one that is ready, then the first by name.
    /// Records [`Key::WorkloadAt`].
    pub fn workload_at(&self, address: IpAddr) -> Option<&'a Arc<Workload>> {
        self.ask(Key::WorkloadAt(address));
        let keys = self.snapshot.workloads_by_address.get(&address)?;
        let all = || keys.iter().filter_map(|key| self.snapshot.workloads.get(key));
        all().find(|workload| workload.ready).or_else(|| all().next())
    }

    /// All VirtualServices on `mesh` that proxies of `client` see, in order of precedence. Records
    /// [`Key::MeshVirtualServices`].
    pub fn mesh_virtual_services(&self, client: &str) -> Vec<Config<VirtualService>> {
        self.ask(Key::MeshVirtualServices);
        virtual_services::on_mesh(self.snapshot, client)
    }

    /// The VirtualService on `mesh` that routes a host for proxies of `client`: the one with the most
    /// specific host, of several the oldest. Records [`Key::VirtualService`].
    pub fn virtual_service(&self, client: &str, host: &Host) -> Option<Config<VirtualService>> {
        self.ask(Key::VirtualService(host.clone()));
        virtual_services::for_host(self.snapshot, client, host)
    }

    /// The VirtualServices bound to a gateway, in order of precedence, whoever sees them. Records
    /// [`Key::GatewayVirtualServices`].
    pub fn gateway_virtual_services(&self, namespace: &str, name: &str) -> Vec<Config<VirtualService>> {
        self.ask(Key::GatewayVirtualServices(namespace.into(), name.into()));
        virtual_services::on_gateway(self.snapshot, namespace, name)
    }

    /// The VirtualService without hosts that rules of `root`'s namespace may refer to by this name:
    /// it must be exported there. Records [`Key::Delegate`].
    pub fn delegate(&self, root: &str, namespace: &str, name: &str) -> Option<Config<VirtualService>> {
        self.ask(Key::Delegate(namespace.into(), name.into()));
        let document = self.snapshot.object(&ObjectRef::new(VirtualService::KIND, namespace, name))?;
        let config: Config<VirtualService> = Config::of(document)?;
        let visible = virtual_services::export(self.snapshot, &config).sees(root);
        (config.spec.hosts.is_empty() && visible).then_some(config)
    }

    /// Of a client's labels, those that some rule looks at. Records [`Key::ClientLabels`].
    pub fn client_labels(&self, labels: &Labels) -> Labels {
        self.ask(Key::ClientLabels);
        client_labels::relevant(self.snapshot, labels)
    }

    /// The gateways that a VirtualService names, resolved. Records nothing.
    pub fn gateways_of(&self, config: &Config<VirtualService>) -> Vec<GatewayRef> {
        virtual_services::gateways_of(&config.spec, &config.object.namespace)
    }

    /// What DestinationRules say about a service to proxies of `client`: of the client's namespace,
    /// else the service's, else the root namespace; there the one with the most specific host.
    /// Records [`Key::DestinationRule`].
    pub fn destination_rule(&self, client: &str, service: &Service) -> Option<&'a Arc<MergedRule>> {
        self.destination_rule_for(client, &Labels::default(), service)
    }

    /// As [`destination_rule`](View::destination_rule), of a client with these labels, for which there
    /// may be rules of its own.
    pub fn destination_rule_for(
        &self,
        client: &str,
        labels: &Labels,
        service: &Service,
    ) -> Option<&'a Arc<MergedRule>> {
        self.ask(Key::DestinationRule(service.host.clone()));
        destination_rules::lookup(self.snapshot, client, labels, &service.namespace, &service.host)
    }

    /// The Sidecar that holds for a workload: of its namespace the oldest that selects it, else the
    /// oldest without a selector, else that of the root namespace. Records [`Key::Sidecars`] of both
    /// namespaces, and [`Key::Mesh`].
    pub fn sidecar(&self, namespace: &str, labels: &Labels) -> Option<Config<Sidecar>> {
        sidecars::of(self, namespace, labels)
    }

    /// The content of a Secret. Records [`Key::Secret`].
    pub fn secret(&self, namespace: &str, name: &str) -> Option<&'a Arc<Secret>> {
        self.ask(Key::Secret(namespace.into(), name.into()));
        match &self.snapshot.object(&ObjectRef::new("Secret", namespace, name))?.body {
            Kind::Secret(secret) => Some(secret),
            _ => None,
        }
    }

    /// The content of a ConfigMap. Records [`Key::ConfigMap`].
    pub fn config_map(&self, namespace: &str, name: &str) -> Option<&'a Arc<ConfigMap>> {
        self.ask(Key::ConfigMap(namespace.into(), name.into()));
        match &self.snapshot.object(&ObjectRef::new("ConfigMap", namespace, name))?.body {
            Kind::ConfigMap(map) => Some(map),
            _ => None,
        }
    }

    /// The Sidecars of a namespace, in order of precedence. Records [`Key::Sidecars`].
    pub fn sidecars(&self, namespace: &str) -> Vec<Config<Sidecar>> {
        self.ask(Key::Sidecars(namespace.into()));
        let mut found = configs(self.snapshot.objects_in(Sidecar::KIND, namespace));
        config::sort(&mut found);
        found
    }

    /// The VirtualServices on `mesh` with a host that stands for this one, or for a part of it, as
    /// proxies of `client` see them, in order of precedence. Records [`Key::VirtualService`].
    pub fn virtual_services_for(&self, client: &str, host: &Host) -> Vec<Config<VirtualService>> {
        self.ask(Key::VirtualService(host.clone()));
        virtual_services::all_for_host(self.snapshot, client, host)
    }

    /// As [`virtual_services_for`](View::virtual_services_for) of all these services of a port, in order of
    /// their hosts; each once. Records [`Key::VirtualServicesOnPort`].
    pub fn virtual_services_on_port(
        &self,
        client: &str,
        port: u16,
        services: &[&Arc<Service>],
    ) -> Vec<Config<VirtualService>> {
        self.ask(Key::VirtualServicesOnPort(port));
        virtual_services::all_for_services(self.snapshot, client, services)
    }

    /// The Gateways that configure a gateway workload with these labels, in order of precedence.
    /// Records [`Key::Gateways`].
    pub fn gateways(&self, labels: &Labels) -> Vec<Config<Gateway>> {
        self.ask(Key::Gateways);
        let mut found = configs(self.snapshot.objects_of(Gateway::KIND));
        found.retain(|config: &Config<Gateway>| config.spec.selector.select(labels));
        config::sort(&mut found);
        found
    }

    /// The PeerAuthentications of a namespace, in order of precedence. Records
    /// [`Key::PeerAuthentications`].
    pub fn peer_authentications(&self, namespace: &str) -> Vec<Config<PeerAuthentication>> {
        self.ask(Key::PeerAuthentications(namespace.into()));
        let mut found = configs(self.snapshot.objects_in(PeerAuthentication::KIND, namespace));
        config::sort(&mut found);
        found
    }

    /// What a workload accepts, all its PeerAuthentications considered. Records
    /// [`Key::PeerAuthentications`] of its namespace and of the root namespace, and [`Key::Mesh`].
    pub fn mtls(&self, namespace: &str, labels: &Labels) -> Mtls {
        policies::mtls(self, namespace, labels)
    }

    /// The AuthorizationPolicies of a namespace, in order of precedence. Records
    /// [`Key::AuthorizationPolicies`].
    pub fn authorization_policies(&self, namespace: &str) -> Vec<Config<AuthorizationPolicy>> {
        self.ask(Key::AuthorizationPolicies(namespace.into()));
        let mut found = configs(self.snapshot.objects_in(AuthorizationPolicy::KIND, namespace));
        config::sort(&mut found);
        found
    }

    /// The policies to be enforced at a workload, the root namespace's first: neither dry runs, nor
    /// AUDIT, nor attached by `targetRef`. A broken one among them refuses every request. Records
    /// [`Key::AuthorizationPolicies`] of both namespaces, and [`Key::Mesh`].
    pub fn authorization(&self, namespace: &str, labels: &Labels) -> Vec<Config<AuthorizationPolicy>> {
        policies::authorization(self, namespace, labels)
    }
}

fn configs<'d, T: Spec>(documents: impl Iterator<Item = &'d Arc<Document>>) -> Vec<Config<T>> {
    documents.filter_map(|document| Config::of(document)).collect()
}

/// Of services with one host, in order of preference, the one a client sees.
fn preferred<'s>(all: &'s [Arc<Service>], client: &str) -> Option<&'s Arc<Service>> {
    preferred_of(all, client, &|_| true)
}

fn preferred_of<'s>(
    all: &'s [Arc<Service>],
    client: &str,
    counts: &dyn Fn(&Service) -> bool,
) -> Option<&'s Arc<Service>> {
    let mut visible = all.iter().filter(|service| service.export_to.sees(client) && counts(service));
    let first = visible.next()?;
    let own = |service: &&Arc<Service>| service.namespace == *client && service.source == first.source;
    if own(&first) { Some(first) } else { Some(visible.find(own).unwrap_or(first)) }
}
