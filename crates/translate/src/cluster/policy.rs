//! What DestinationRules say of one port of a service or subset.

use istio_api::MeshConfig;
use istio_api::networking::load_balancer::LocalityLbSetting;
use istio_api::networking::{
    ClientTls, ConnectionPool, LoadBalancer, LoadBalancerSettings, OutlierDetection, PortTrafficPolicy,
    ProxyProtocol, RetryBudget, TrafficPolicy,
};
use model::{ObjectRef, Origin};
use registry::{MergedRule, MergedSubset};

use crate::locality;

/// The settings in effect.
#[derive(Clone, Copy, Default)]
pub struct Effective<'a> {
    pub load_balancer: Option<&'a LoadBalancerSettings>,
    pub connection_pool: Option<&'a ConnectionPool>,
    pub outlier: Option<&'a OutlierDetection>,
    pub tls: Option<&'a ClientTls>,
    pub proxy_protocol: Option<&'a ProxyProtocol>,
    pub retry_budget: Option<&'a RetryBudget>,
    /// Who said something last.
    said_by: Option<(&'a ObjectRef, &'a str)>,
}

impl<'a> Effective<'a> {
    /// A subset's settings go before the rule's, field by field. A port's go before both: where a
    /// policy names the port, nothing that is said for all ports counts in their place. What nobody
    /// says the mesh says.
    pub fn of(
        mesh: &'a MeshConfig,
        rule: Option<&'a MergedRule>,
        subset: Option<&'a MergedSubset>,
        port: u16,
    ) -> Self {
        let mut effective = Effective::default();
        if let Some((policy, object)) = rule.and_then(|rule| rule.traffic_policy.as_ref()) {
            effective.lay_over(policy, object, port);
        }
        if let Some(merged) = subset {
            effective.said_by = Some((&merged.object, &merged.subset.path));
            if let Some(policy) = &merged.subset.traffic_policy {
                effective.lay_over(policy, &merged.object, port);
            }
        }
        let defaults = &mesh.default_traffic_policy;
        effective.connection_pool = effective.connection_pool.or(defaults.connection_pool.as_ref());
        effective.outlier = effective.outlier.or(defaults.outlier_detection.as_ref());
        effective
    }

    /// Where it was said.
    pub fn origin(&self) -> Option<Origin> {
        self.said_by.map(|(object, field)| Origin { object: object.clone(), field: field.into() })
    }

    /// `loadBalancer.simple`.
    pub fn simple(&self) -> Option<LoadBalancer> {
        self.load_balancer.and_then(|settings| settings.simple)
    }

    /// What holds of localities.
    pub fn locality(&self, mesh: &'a MeshConfig) -> Option<&'a LocalityLbSetting> {
        let own = self.load_balancer.and_then(|settings| settings.locality_lb_setting.as_ref());
        locality::effective(mesh.locality_lb_setting.as_ref(), own)
    }

    fn lay_over(&mut self, policy: &'a TrafficPolicy, object: &'a ObjectRef, port: u16) {
        self.load_balancer = policy.load_balancer_settings.as_ref().or(self.load_balancer);
        self.connection_pool = policy.connection_pool.as_ref().or(self.connection_pool);
        self.outlier = policy.outlier_detection.as_ref().or(self.outlier);
        self.tls = policy.tls.as_ref().or(self.tls);
        self.proxy_protocol = policy.proxy_protocol.as_ref().or(self.proxy_protocol);
        self.retry_budget = policy.retry_budget.as_ref().or(self.retry_budget);
        self.said_by = Some((object, &policy.path));
        if let Some(own) = policy.ports.iter().find(|settings| settings.port == port) {
            self.replace(own, object);
        }
    }

    fn replace(&mut self, own: &'a PortTrafficPolicy, object: &'a ObjectRef) {
        self.load_balancer = own.load_balancer_settings.as_ref();
        self.connection_pool = own.connection_pool.as_ref();
        self.outlier = own.outlier_detection.as_ref();
        self.tls = own.tls.as_ref();
        self.said_by = Some((object, &own.path));
    }
}
