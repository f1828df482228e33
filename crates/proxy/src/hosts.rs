//! A cluster's endpoints with all that is known of them, for whoever looks at them from outside.

use ir::{Address, Endpoint, Health};
use model::Locality;
use upstream::EndpointState;

use crate::config::checks;
use crate::config::snapshot::Cluster;

/// One endpoint.
pub struct Host<'a> {
    /// What configuration says: address, weight, host name.
    pub endpoint: &'a Endpoint,
    /// Where a name leads at the moment; else what configuration says.
    pub address: Address,
    /// What is counted.
    pub state: &'a EndpointState,
    pub locality: &'a Locality,
    pub priority: u32,
    pub flags: Vec<Flag>,
}

/// `HostHealthStatus` in words, as `/clusters` has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    FailedActiveHc,
    FailedOutlierCheck,
    FailedEdsHealth,
    DegradedActiveHc,
    DegradedEdsHealth,
    PendingActiveHc,
    ActiveHcTimeout,
    EdsStatusDraining,
}

impl Flag {
    /// Envoy's text, with the slash that begins each.
    pub fn as_str(self) -> &'static str {
        match self {
            Flag::FailedActiveHc => "/failed_active_hc",
            Flag::FailedOutlierCheck => "/failed_outlier_check",
            Flag::FailedEdsHealth => "/failed_eds_health",
            Flag::DegradedActiveHc => "/degraded_active_hc",
            Flag::DegradedEdsHealth => "/degraded_eds_health",
            Flag::PendingActiveHc => "/pending_active_hc",
            Flag::ActiveHcTimeout => "/active_hc_timeout",
            Flag::EdsStatusDraining => "/eds_status_draining",
        }
    }
}

impl Host<'_> {
    /// All flags in one word; `healthy` without any.
    pub fn flags_text(&self) -> String {
        match self.flags.as_slice() {
            [] => "healthy".to_owned(),
            flags => flags.iter().map(|flag| flag.as_str()).collect(),
        }
    }
}

impl Cluster {
    /// Its endpoints, in the order of the configuration.
    pub fn hosts(&self) -> impl Iterator<Item = Host<'_>> {
        let endpoints = self.endpoints.endpoints().iter().zip(&self.destinations).enumerate();
        endpoints.filter_map(|(index, (endpoint, to))| {
            let (locality, priority) = self.endpoints.place(index)?;
            let state = &*to.endpoint;
            Some(Host {
                endpoint,
                address: to.address(),
                state,
                locality,
                priority,
                flags: self.flags(endpoint, state),
            })
        })
    }

    fn flags(&self, endpoint: &Endpoint, state: &EndpointState) -> Vec<Flag> {
        let checked = !self.config.health_checks.is_empty() && checks::is_checked(endpoint);
        let checks = checked.then(|| state.checked());
        let left_out = self.config.common_lb.ignore_new_hosts_until_first_hc;
        let all = [
            (checks.is_some_and(|it| it.failed), Flag::FailedActiveHc),
            (self.config.outlier.is_some() && state.is_ejected(), Flag::FailedOutlierCheck),
            (endpoint.health == Health::Unhealthy, Flag::FailedEdsHealth),
            (checks.is_some_and(|it| it.degraded), Flag::DegradedActiveHc),
            (endpoint.health == Health::Degraded, Flag::DegradedEdsHealth),
            (checks.is_some_and(|it| it.pending && left_out), Flag::PendingActiveHc),
            (checks.is_some_and(|it| it.timed_out), Flag::ActiveHcTimeout),
            (endpoint.health == Health::Draining, Flag::EdsStatusDraining),
        ];
        all.iter().filter(|(set, _)| *set).map(|(_, flag)| *flag).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ir::{ClusterDiscovery, LoadAssignment, LocalityEndpoints, OutlierDetection};

    use super::*;
    use crate::config::compile;
    use crate::config::lazy::Context;

    #[test]
    fn hosts_have_their_place_and_flags() {
        let endpoint =
            |n: u8, health| Endpoint { health, ..Endpoint::new(Address::Socket(([10, 0, 0, n], 80).into())) };
        let locality = |zone: &str, priority, endpoints| LocalityEndpoints {
            locality: Locality { zone: zone.into(), ..Locality::default() },
            weight: None,
            priority,
            endpoints,
        };
        let localities = vec![
            locality("a", 0, vec![endpoint(1, Health::Unknown), endpoint(2, Health::Draining)]),
            locality("b", 1, vec![endpoint(3, Health::Degraded)]),
        ];
        let assignment = LoadAssignment { localities, ..LoadAssignment::default() };
        let config = ir::Cluster {
            outlier: Some(Box::new(OutlierDetection::default())),
            ..ir::Cluster::new("c", ClusterDiscovery::Static(assignment))
        };
        let secrets = identity::SecretStore::new();
        let context = Context { secrets, registry: Arc::default(), caches: Arc::default() };
        let cluster = compile::cluster(&Arc::new(config), &context).unwrap();
        let seen: Vec<_> =
            cluster.hosts().map(|it| (it.locality.zone.to_string(), it.priority, it.flags_text())).collect();
        assert_eq!(
            seen,
            [
                ("a".to_owned(), 0, "healthy".to_owned()),
                ("a".to_owned(), 0, "/eds_status_draining".to_owned()),
                ("b".to_owned(), 1, "/degraded_eds_health".to_owned()),
            ]
        );
    }
}
