//! What DestinationRules say of one port of a service or subset.

use istio_api::networking::{ClientTls, LoadBalancer, TrafficPolicy};
use model::{ObjectRef, Origin};
use registry::{MergedRule, MergedSubset};

/// The settings in effect.
#[derive(Clone, Copy, Default)]
pub struct Effective<'a> {
    pub load_balancer: Option<LoadBalancer>,
    pub tls: Option<&'a ClientTls>,
    /// Who said something last.
    said_by: Option<(&'a ObjectRef, &'a str)>,
}

impl<'a> Effective<'a> {
    /// A subset's settings go before the rule's, field by field. A port's go before both; where a
    /// rule names the port, its settings for all ports do not count.
    pub fn of(rule: Option<&'a MergedRule>, subset: Option<&'a MergedSubset>, port: u16) -> Self {
        let mut effective = Effective::default();
        if let Some((policy, object)) = rule.and_then(|rule| rule.traffic_policy.as_ref()) {
            effective.replace(policy, object, port);
        }
        if let Some(merged) = subset {
            effective.said_by = Some((&merged.object, &merged.subset.path));
            if let Some(policy) = &merged.subset.traffic_policy {
                effective.lay_over(policy, &merged.object, port);
            }
        }
        effective
    }

    /// Where it was said.
    pub fn origin(&self) -> Option<Origin> {
        self.said_by.map(|(object, field)| Origin { object: object.clone(), field: field.into() })
    }

    fn replace(&mut self, policy: &'a TrafficPolicy, object: &'a ObjectRef, port: u16) {
        let (load_balancer, tls, path) = match policy.ports.iter().find(|settings| settings.port == port) {
            Some(own) => (own.load_balancer, own.tls.as_ref(), &own.path),
            None => (policy.load_balancer, policy.tls.as_ref(), &policy.path),
        };
        *self = Effective { load_balancer, tls, said_by: Some((object, path)) };
    }

    fn lay_over(&mut self, policy: &'a TrafficPolicy, object: &'a ObjectRef, port: u16) {
        self.load_balancer = policy.load_balancer.or(self.load_balancer);
        self.tls = policy.tls.as_ref().or(self.tls);
        self.said_by = Some((object, &policy.path));
        if let Some(own) = policy.ports.iter().find(|settings| settings.port == port) {
            self.load_balancer = own.load_balancer.or(self.load_balancer);
            self.tls = own.tls.as_ref().or(self.tls);
            self.said_by = Some((object, &own.path));
        }
    }
}
