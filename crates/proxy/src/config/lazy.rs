//! Clusters that are compiled when the first request wants them.

use std::sync::{Arc, OnceLock};

use engine::balance::Availability;
use engine::names::Answers;
use identity::SecretStore;
use ir::tls::{CertificateSource, CommonTls, RootsSource, SdsRef};
use ir::{ClusterDiscovery, ConfigSource, LoadAssignment};
use stdx::Str;

use super::kept::Kept;
use super::snapshot::Cluster;
use super::{compile, refuse};
use crate::forward_proxy::Caches;

/// What compiling takes besides the cluster.
pub struct Context {
    pub secrets: SecretStore,
    pub registry: Arc<upstream::Registry>,
    pub caches: Arc<Caches>,
}

/// What is known of a cluster before anybody uses it: it was compiled once to see that it can be.
pub struct Checked {
    /// There are active health checks.
    pub has_checks: bool,
    /// Its endpoints are found by resolving names.
    pub has_names: bool,
    /// What its endpoints are kept under, if they come by discovery.
    pub eds: Option<Str>,
    /// Where they come from and how they are called there, if it is not the aggregated stream.
    pub eds_from: Option<Box<(ConfigSource, Str)>>,
    pub needs: Arc<Needs>,
    own: Membership,
    /// As it was compiled, where that cannot be repeated: a file may be another one later.
    prepared: Option<Arc<Cluster>>,
}

/// How many endpoints there are, for statistics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    pub total: u32,
    pub healthy: u32,
    pub degraded: u32,
    /// New, and not checked yet, where such endpoints are left out of account.
    pub excluded: u32,
}

impl Membership {
    pub fn of(assignment: &LoadAssignment) -> Self {
        let mut members = Membership::default();
        for endpoint in assignment.localities.iter().flat_map(|locality| &locality.endpoints) {
            members.count(Availability::of(endpoint.health));
        }
        members
    }

    /// Counts one more.
    pub fn count(&mut self, availability: Availability) {
        self.total += 1;
        match availability {
            Availability::Healthy => self.healthy += 1,
            Availability::Degraded => self.degraded += 1,
            Availability::Excluded => self.excluded += 1,
            Availability::Unhealthy => {}
        }
    }
}

/// The secrets that a cluster names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Needs {
    certificates: Vec<SdsRef>,
    roots: Vec<SdsRef>,
}

impl Needs {
    fn of(config: &ir::Cluster) -> Self {
        let mut needs = Needs::default();
        for common in contexts(config) {
            for source in common.certificate.iter().chain(&common.alternative) {
                if let CertificateSource::Sds(secret) = source {
                    needs.certificates.push(secret.clone());
                }
            }
            if let Some(RootsSource::Sds(secret)) = common.validation.as_ref().map(|it| &it.roots) {
                needs.roots.push(secret.clone());
            }
        }
        for list in [&mut needs.certificates, &mut needs.roots] {
            list.sort();
            list.dedup();
        }
        needs
    }

    pub fn all(&self) -> impl Iterator<Item = &SdsRef> {
        self.certificates.iter().chain(&self.roots)
    }

    /// Names of those that are not there yet.
    pub fn missing(&self, secrets: &SecretStore) -> Vec<Str> {
        let certificates = self.certificates.iter().map(SdsRef::key);
        let certificates = certificates.filter(|name| secrets.certificate_slot(name).generation() == 0);
        let roots = self.roots.iter().map(SdsRef::key);
        let roots = roots.filter(|name| secrets.roots_slot(name).generation() == 0);
        certificates.chain(roots).collect()
    }
}

fn contexts(config: &ir::Cluster) -> impl Iterator<Item = &CommonTls> {
    let of_matches = config.transport_matches.iter().filter_map(|it| it.tls.as_ref());
    of_matches.chain(&config.tls).map(|tls| &tls.common)
}

/// Whether compiling again, later, gives the same, and nothing has to be done for the cluster before
/// somebody uses it.
fn can_wait(config: &ir::Cluster) -> bool {
    let resolved = match &config.discovery {
        ClusterDiscovery::Static(_) | ClusterDiscovery::Eds { .. } | ClusterDiscovery::OriginalDst => true,
        ClusterDiscovery::StrictDns(_) | ClusterDiscovery::LogicalDns(_) => false,
        ClusterDiscovery::DynamicForwardProxy(it) => it.cache.preresolve.is_empty(),
    };
    // Checks run without requests, and endpoints warm up from when they came.
    let passive = resolved && config.health_checks.is_empty() && config.slow_start.is_none();
    let by_name = |common: &CommonTls| {
        !matches!(common.certificate, Some(CertificateSource::Inline(_)))
            && !matches!(common.validation.as_ref().map(|it| &it.roots), Some(RootsSource::Inline(_)))
            && common.validation.as_ref().is_none_or(|it| it.crl.is_none())
    };
    // What is left of their limits is in the statistics from the beginning.
    let tracked = [Some(&config.thresholds), config.high_thresholds.as_ref()];
    let tracked = tracked.into_iter().flatten().any(|thresholds| thresholds.track_remaining);
    passive && !tracked && contexts(config).all(by_name)
}

impl Checked {
    /// Compiles, and keeps what has to be kept. `like` is of another cluster: most of a mesh name
    /// the same secrets, which are shared then.
    ///
    /// # Errors
    /// What cannot be compiled, by field.
    pub fn new(
        config: &Arc<ir::Cluster>,
        context: &Context,
        like: &Arc<Needs>,
    ) -> Result<Self, engine::Problem> {
        let prepared = if can_wait(config) {
            compile::check_cluster(config, &context.secrets)?;
            None
        } else {
            Some(Arc::new(compile::cluster(config, context)?))
        };
        refuse::report_checks(config);
        let needs = Needs::of(config);
        let needs = if needs == **like { like.clone() } else { Arc::new(needs) };
        let own = config.discovery.assignment().map(Membership::of).unwrap_or_default();
        let has_checks = !config.health_checks.is_empty();
        let has_names = !engine::names::hosts(&config.discovery).is_empty();
        let (eds, eds_from) = match (&config.discovery, eds_name(config)) {
            (ClusterDiscovery::Eds { source, .. }, Some(name)) => {
                let from = (*source != ConfigSource::Ads).then(|| Box::new((source.clone(), name.clone())));
                (Some(source.key(name)), from)
            }
            _ => (None, None),
        };
        Ok(Checked { has_checks, has_names, eds, eds_from, needs, own, prepared })
    }
}

/// The name under which a cluster's endpoints are asked for.
fn eds_name(config: &ir::Cluster) -> Option<&Str> {
    match &config.discovery {
        ClusterDiscovery::Eds { service_name, .. } => Some(service_name.as_ref().unwrap_or(&config.name)),
        _ => None,
    }
}

/// A cluster of a snapshot.
pub struct LazyCluster {
    settings: Arc<Kept<ir::Cluster>>,
    checked: Arc<Checked>,
    /// Endpoints that are not part of the settings.
    assignment: Option<Arc<Kept<LoadAssignment>>>,
    /// What names have resolved to.
    answers: Option<Arc<Answers>>,
    members: Membership,
    context: Arc<Context>,
    compiled: OnceLock<Arc<Cluster>>,
}

impl LazyCluster {
    /// `before` is the one of this name until now. If that is in use, so will this one be: it is
    /// compiled at once, with the TLS sessions of the other where TLS did not change.
    pub fn new(
        settings: Arc<Kept<ir::Cluster>>,
        checked: Arc<Checked>,
        assignment: Option<(Arc<Kept<LoadAssignment>>, Membership)>,
        answers: Option<Arc<Answers>>,
        context: Arc<Context>,
        before: Option<&LazyCluster>,
    ) -> Self {
        let (assignment, members) = match assignment {
            Some((assignment, members)) => (Some(assignment), members),
            None => (None, checked.own),
        };
        let compiled = OnceLock::new();
        let cluster = LazyCluster { settings, checked, assignment, answers, members, context, compiled };
        let prepared = cluster.checked.prepared.is_some();
        if let Some((before, used)) = before.and_then(|before| Some((before, before.used()?))) {
            let _ = cluster.compiled.set(cluster.compile(Some((before, used))));
        } else if prepared {
            cluster.get();
        }
        cluster
    }

    /// The cluster, compiled at the first call.
    pub fn get(&self) -> &Arc<Cluster> {
        self.compiled.get_or_init(|| self.compile(None))
    }

    /// The cluster, if somebody has used it.
    pub fn used(&self) -> Option<&Arc<Cluster>> {
        self.compiled.get()
    }

    /// The cluster for somebody who looks at all of them: it does not stay compiled for that.
    pub fn look(&self) -> Arc<Cluster> {
        self.used().cloned().unwrap_or_else(|| self.compile(None))
    }

    /// How many there are, and are well at the moment.
    pub fn membership(&self) -> Membership {
        self.used().map_or(self.members, |used| used.membership())
    }

    pub fn has_checks(&self) -> bool {
        self.checked.has_checks
    }

    fn compile(&self, before: Option<(&LazyCluster, &Arc<Cluster>)>) -> Arc<Cluster> {
        let settings = match (before, &self.checked.prepared) {
            (Some((before, used)), _) if Arc::ptr_eq(&before.settings, &self.settings) => used.clone(),
            (_, Some(prepared)) => prepared.clone(),
            _ => Arc::new(self.compile_settings()),
        };
        let carried = match before {
            Some((before, used)) if !Arc::ptr_eq(&before.settings, &self.settings) => {
                Arc::new(compile::carry_over((*settings).clone(), used))
            }
            _ => settings,
        };
        match &self.assignment {
            Some(assignment) => {
                Arc::new(compile::with_endpoints(&carried, &assignment.value(), self.answers.as_deref()))
            }
            None => carried,
        }
    }

    fn compile_settings(&self) -> Cluster {
        let config = self.settings.value();
        compile::cluster(&config, &self.context).unwrap_or_else(|problem| {
            // It compiled when it came, and what it takes has no files that could have changed.
            tracing::error!(cluster = %config.name, "cannot be compiled any more: {problem}");
            compile::without_endpoints(&config, &self.context.registry)
        })
    }
}
