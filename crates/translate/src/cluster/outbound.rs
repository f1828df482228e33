//! The clusters of a service: one for each port, and one for each subset of it.

use ir::cluster::{ServiceRef, Thresholds};
use ir::{Cluster, ClusterDiscovery, HttpProtocol, LbPolicy, LoadAssignment};
use istio_api::networking::LoadBalancer;
use model::{NodeType, Origin, Protocol};
use registry::{MergedSubset, Resolution, Service, ServicePort, View};

use super::policy::Effective;
use super::{fixed, transport};
use crate::names;
use crate::settings::Settings;
use crate::unit::ScopeKey;

/// All clusters of a service, ports first.
pub fn clusters(view: &View<'_>, scope: &ScopeKey, settings: &Settings, service: &Service) -> Vec<Cluster> {
    let rule = view.destination_rule(&scope.namespace, service);
    let mut clusters = Vec::new();
    for port in service.ports.iter().filter(|port| port.protocol != Protocol::Udp) {
        let builder = Builder { view, scope, settings, service, port };
        let rule = rule.map(|rule| &**rule);
        clusters.push(builder.build(None, Effective::of(rule, None, port.number)));
        for subset in rule.map(|rule| rule.subsets.as_slice()).unwrap_or_default() {
            clusters.push(builder.build(Some(subset), Effective::of(rule, Some(subset), port.number)));
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
    fn build(&self, subset: Option<&MergedSubset>, effective: Effective<'_>) -> Cluster {
        let subset = subset.map(|merged| merged.subset.name.as_str()).unwrap_or_default();
        let name = names::outbound(self.port.number, subset, self.service.host.as_str());
        let passthrough = effective.load_balancer == Some(LoadBalancer::Passthrough);
        let original_dst = passthrough || self.service.resolution == Resolution::Headless;
        let transport = transport::of(
            effective.tls,
            &transport::Context {
                view: self.view,
                scope: self.scope,
                settings: self.settings,
                service: self.service,
                port: self.port.number,
                protocol: self.port.protocol,
                subset,
                original_dst,
            },
        );
        let discovery = if transport.closed {
            ClusterDiscovery::Static(LoadAssignment { cluster_name: name.clone(), ..Default::default() })
        } else if original_dst {
            ClusterDiscovery::OriginalDst
        } else {
            ClusterDiscovery::Eds { service_name: None }
        };
        let lb_policy = match (&discovery, effective.load_balancer) {
            (ClusterDiscovery::OriginalDst, _) => LbPolicy::ClusterProvided,
            (_, Some(LoadBalancer::RoundRobin)) => LbPolicy::RoundRobin,
            (_, Some(LoadBalancer::Random)) => LbPolicy::Random,
            _ => LbPolicy::LeastRequest,
        };
        Cluster {
            connect_timeout: Some(self.settings.connect_timeout),
            lb_policy,
            protocol: self.protocol(),
            tls: transport.tls,
            transport_matches: transport.matches,
            thresholds: Thresholds::UNLIMITED,
            services: vec![service_ref(self.service)],
            origin: Some(
                effective
                    .origin()
                    .unwrap_or_else(|| Origin { object: self.service.object.clone(), field: "".into() }),
            ),
            ..Cluster::new(name, discovery)
        }
    }

    /// Clients of a gateway choose HTTP/2 for reasons of their own; the service may not speak it.
    fn protocol(&self) -> HttpProtocol {
        match fixed::upstream_protocol(self.port.protocol) {
            HttpProtocol::UseDownstream if self.scope.node_type == NodeType::Router => HttpProtocol::Http1,
            protocol => protocol,
        }
    }
}

/// The service as metrics name it.
pub fn service_ref(service: &Service) -> ServiceRef {
    ServiceRef {
        host: service.host.to_str(),
        name: service.name.clone(),
        namespace: service.namespace.clone(),
    }
}
