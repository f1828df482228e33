//! What host names of clusters resolve to: answers come from [`crate::resolve`], and each that is
//! another one makes its clusters' endpoints anew. Addresses stay until there are others.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use engine::names::{self, Answers};
use ir::{ClusterDiscovery, Dns, LoadAssignment};
use stdx::Str;

use super::Config;

/// The names of one cluster.
pub struct Names {
    discovery: ClusterDiscovery,
    dns: Dns,
    answers: Arc<Answers>,
    /// Never answered, well or badly.
    open: BTreeSet<Str>,
}

/// Names that are to be resolved for a cluster from now on; without any, nothing is.
pub struct Lookup {
    pub cluster: Str,
    pub hosts: BTreeSet<Str>,
    pub dns: Dns,
}

impl Config {
    /// What has to be resolved in another way than before.
    pub fn take_lookups(&mut self) -> Vec<Lookup> {
        std::mem::take(&mut self.lookups)
    }

    /// Takes what a name has resolved to; `None`: it could not be resolved. Whether that changes
    /// anything.
    pub fn resolved(&mut self, cluster: &Str, host: &Str, found: Option<Vec<IpAddr>>) -> bool {
        let Some(names) = self.names.get_mut(cluster) else { return false };
        let first = names.open.remove(host);
        let before = names.answers.get(host);
        let strict = matches!(names.discovery, ClusterDiscovery::StrictDns(_));
        let same = |before: &[IpAddr], found: &[IpAddr]| match strict {
            // Answers come in any order.
            true => before.iter().collect::<HashSet<_>>() == found.iter().collect::<HashSet<_>>(),
            false => before == found,
        };
        let new = found.filter(|found| !before.is_some_and(|before| same(before, found)));
        let changed = new.is_some();
        if let Some(new) = new {
            Arc::make_mut(&mut names.answers).insert(host.clone(), new.into());
        }
        if first || changed {
            self.clusters.open.insert(cluster.clone());
        }
        first || changed
    }

    /// The endpoints behind a cluster's names, with the answers; `None`: there is no answer yet.
    pub(super) fn of_names(
        &mut self,
        cluster: &Str,
        config: &ir::Cluster,
    ) -> Option<(LoadAssignment, Arc<Answers>)> {
        let hosts = names::hosts(&config.discovery);
        let known = self.names.get(cluster);
        if known.is_none_or(|it| it.dns != config.dns || it.discovery != config.discovery) {
            let answers = known.map(|it| it.answers.clone()).unwrap_or_default();
            let open = hosts.iter().filter(|host| !answers.contains_key(*host)).cloned().collect();
            let names = Names { discovery: config.discovery.clone(), dns: config.dns.clone(), answers, open };
            self.names.insert(cluster.clone(), names);
            let lookup = Lookup { cluster: cluster.clone(), hosts, dns: config.dns.clone() };
            self.lookups.push(lookup);
        }
        let names = self.names.get(cluster).filter(|names| names.open.is_empty())?;
        Some((names::endpoints(&config.discovery, &names.answers), names.answers.clone()))
    }

    /// Its names are not resolved any more, if it had some.
    pub(super) fn forget_names(&mut self, cluster: &Str) {
        if self.names.remove(cluster).is_some() {
            let (hosts, dns) = Default::default();
            self.lookups.push(Lookup { cluster: cluster.clone(), hosts, dns });
        }
    }
}
