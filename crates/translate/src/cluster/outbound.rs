//! The clusters of a service: one for each port, and one for each subset of it.

use ir::cluster::{ServiceRef, Thresholds};
use ir::{Cluster, ClusterDiscovery, HttpProtocol, LoadAssignment};
use istio_api::MeshConfig;
use istio_api::networking::{ConnectionPool, LoadBalancer};
use model::{NodeType, Origin, Protocol};
use registry::{MergedSubset, Service, ServicePort, ServiceSource, View};
use std::sync::Arc;
use stdx::Str;

use super::policy::Effective;
use super::{balance, dns, fixed, pool, transport};
use crate::dynamic_dns;
use crate::names;
use crate::settings::Settings;
use crate::unit::ScopeKey;

/// All clusters of a service, ports first.
pub fn clusters(view: &View<'_>, scope: &ScopeKey, settings: &Settings, service: &Service) -> Vec<Cluster> {
    let mesh = view.mesh();
    let rule = view.destination_rule_for(&scope.namespace, &scope.labels, service);
    let mut clusters = Vec::new();
    let dynamic = dynamic_dns::is_dynamic(service);
    let served = |port: &&ServicePort| {
        port.protocol != Protocol::Udp && (!dynamic || dynamic_dns::is_served(port.protocol))
    };
    for port in service.ports.iter().filter(served) {
        let builder = Builder { view, scope, settings, service, port };
        let rule = rule.map(|rule| &**rule);
        clusters.push(builder.build(None, Effective::of(mesh, rule, None, port.number)));
        // Of names that nobody has listed there are no subsets.
        let subsets = rule.filter(|_| !dynamic).map(|rule| rule.subsets.as_slice());
        for subset in subsets.unwrap_or_default() {
            clusters.push(builder.build(Some(subset), Effective::of(mesh, rule, Some(subset), port.number)));
        }
    }
    clusters
}

struct Builder<'a, 'v> {
    view: &'a View<'v>,
    scope: &'a ScopeKey,
    settings: &'a Settings,
    service: &'a Service,
    port: &'a ServicePort,
}

impl Builder<'_, '_> {
    fn build(&self, merged: Option<&MergedSubset>, effective: Effective<'_>) -> Cluster {
        let subset = merged.map(|merged| merged.subset.name.as_str()).unwrap_or_default();
        let name = names::outbound(self.port.number, subset, self.service.host.as_str());
        let mesh = self.view.mesh();
        let pool = effective.connection_pool;
        let upgraded = pool::upgrades(pool, mesh, self.port.protocol);
        let protocol = if upgraded { Protocol::Http2 } else { self.port.protocol };
        let original_dst =
            effective.simple() == Some(LoadBalancer::Passthrough) || self.service.is_original_dst();
        let transport = transport::of(
            effective.tls,
            &transport::Context {
                view: self.view,
                scope: self.scope,
                settings: self.settings,
                service: self.service,
                port: self.port.number,
                protocol,
                subset,
                original_dst,
            },
        );
        let resolved = dns::discovery(self.view, self.scope, self.service, self.port, merged, effective);
        let discovery = if transport.closed {
            ClusterDiscovery::Static(LoadAssignment { cluster_name: name.clone(), ..Default::default() })
        } else if dynamic_dns::is_dynamic(self.service) {
            let cache = dynamic_dns::of_service(&self.service.host, self.scope);
            dynamic_dns::discovery(cache, transport.names.as_ref())
        } else if original_dst {
            ClusterDiscovery::OriginalDst
        } else {
            resolved.unwrap_or(ClusterDiscovery::Eds { service_name: None, source: Default::default() })
        };
        let mut cluster = Cluster {
            alt_stat_name: self.stat_name(subset, mesh),
            connect_timeout: Some(self.settings.connect_timeout),
            protocol: self.protocol(protocol, pool),
            tls: transport.tls,
            transport_matches: transport.matches,
            tls_from_request: transport.names.map(Box::new),
            thresholds: Thresholds::UNLIMITED,
            services: vec![service_ref(self.service)],
            origin: Some(
                effective
                    .origin()
                    .unwrap_or_else(|| Origin { object: self.service.object.clone(), field: "".into() }),
            ),
            ..Cluster::new(name, discovery)
        };
        pool::apply(&mut cluster, pool, mesh);
        balance::apply(&mut cluster, effective, mesh);
        dns::settings(&mut cluster, mesh, self.scope);
        cluster
    }

    /// Clients of a gateway choose HTTP/2 for reasons of their own; the service may not speak it.
    fn protocol(&self, protocol: Protocol, pool: Option<&ConnectionPool>) -> HttpProtocol {
        if pool::follows_client(pool) {
            return HttpProtocol::UseDownstream;
        }
        match fixed::upstream_protocol(protocol) {
            HttpProtocol::UseDownstream if self.scope.node_type == NodeType::Router => HttpProtocol::Http1,
            protocol => protocol,
        }
    }

    /// The name in statistics, where the mesh has a pattern for it. See
    /// <https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/> (`outboundClusterStatName`).
    fn stat_name(&self, subset: &str, mesh: &MeshConfig) -> Option<Str> {
        let pattern = Some(&mesh.outbound_cluster_stat_name).filter(|pattern| !pattern.is_empty())?;
        let service = self.service;
        let short = match service.source {
            ServiceSource::Kubernetes => format!("{}.{}", service.name, service.namespace),
            ServiceSource::ServiceEntry => service.host.to_string(),
        };
        let name = pattern
            .replace("%SERVICE%", &short)
            .replace("%SERVICE_NAME%", &service.name)
            .replace("%SERVICE_FQDN%", service.host.as_str())
            .replace("%SUBSET_NAME%", subset)
            .replace("%SERVICE_PORT%", &self.port.number.to_string())
            .replace("%SERVICE_PORT_NAME%", &self.port.name)
            .replace("%TARGET_PORT%", &self.port.target_port.to_string());
        Some(name.into())
    }
}

/// The service as metrics name it.
pub fn service_ref(service: &Service) -> Arc<ServiceRef> {
    Arc::new(ServiceRef {
        host: service.host.to_str(),
        name: service.name.clone(),
        namespace: service.namespace.clone(),
    })
}
