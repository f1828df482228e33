//! Active health checks: asking endpoints whether they are well. What an answer means is decided by
//! [`engine::health_check`]; here are the tasks that ask, one per endpoint, on one thread of the process.
//! What they find is in the endpoint's state, where every worker sees it.

mod ask;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use engine::Dice;
use engine::health_check::{self as decide, Change, Checker, Outcome, ResponseRules};
use ir::HealthCheck;
use stdx::{Digest, Str};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::{CheckedState, ClusterState, Destination, EndpointState, Upstream};

/// `cluster.<name>.health_check.…`
#[derive(Debug, Default)]
pub struct CheckStats {
    pub attempt: AtomicU64,
    pub success: AtomicU64,
    pub failure: AtomicU64,
    /// Of the failures: no connection, or no answer in time.
    pub network_failure: AtomicU64,
    /// Of the failures: it was another service that answered.
    pub verify_cluster: AtomicU64,
}

/// How the endpoints of a cluster are checked.
#[derive(Debug)]
pub struct Check {
    pub config: HealthCheck,
    /// Of HTTP.
    pub rules: Option<ResponseRules>,
}

/// The checks of one endpoint.
pub struct Probe {
    pub check: Arc<Check>,
    pub cluster: Arc<ClusterState>,
    pub endpoint: Arc<EndpointState>,
    /// Where it is asked, with counts that are not the cluster's.
    pub to: Destination,
    /// The host of requests.
    pub host: Str,
    /// Of everything above: a task whose probe stays the same goes on.
    pub key: Digest,
}

/// The tasks. Needs a `tokio::task::LocalSet` around it.
pub struct Prober {
    shared: Rc<Asking>,
    tasks: RefCell<HashMap<Str, HashMap<(u64, Digest), Task>>>,
}

/// What the tasks share.
struct Asking {
    upstream: Upstream,
    dice: RefCell<Box<dyn Dice>>,
    /// Told when an endpoint was checked for the first time.
    first: Arc<Notify>,
}

struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Prober {
    /// `first` is told whenever the first check of an endpoint has ended.
    pub fn new(first: Arc<Notify>, dice: Box<dyn Dice>) -> Self {
        let shared = Asking { upstream: Upstream::new(), dice: RefCell::new(dice), first };
        Prober { shared: Rc::new(shared), tasks: RefCell::default() }
    }

    /// From now on these endpoints of a cluster are checked, and no others.
    pub fn watch(&self, cluster: &Str, probes: Vec<Probe>) {
        let mut tasks = self.tasks.borrow_mut();
        if probes.is_empty() {
            tasks.remove(cluster);
            return;
        }
        let of_cluster = tasks.entry(cluster.clone()).or_default();
        let mut before = std::mem::take(of_cluster);
        for probe in probes {
            let key = (probe.endpoint.id, probe.key);
            let task = before.remove(&key);
            let start = || Task(tokio::task::spawn_local(run(self.shared.clone(), probe)));
            of_cluster.insert(key, task.unwrap_or_else(start));
        }
    }

    /// Endpoints that are checked.
    pub fn len(&self) -> usize {
        self.tasks.borrow().values().map(HashMap::len).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Checks an endpoint until the task is dropped.
async fn run(asking: Rc<Asking>, probe: Probe) {
    let config = &probe.check.config;
    let mut checker = Checker::new(!probe.endpoint.checked().failed);
    let mut kept = None;
    let wait = decide::first_wait(config, &mut **asking.dice.borrow_mut());
    tokio::time::sleep(wait).await;
    loop {
        let stats = probe.cluster.checks();
        stats.attempt.fetch_add(1, Ordering::Relaxed);
        // Whatever it held is dropped with it: nothing of a check that took too long is used again.
        let asked = tokio::time::timeout(config.timeout, ask::once(&asking.upstream, &probe, kept.take()));
        let outcome = match Box::pin(asked).await {
            Ok((outcome, connection)) => {
                kept = connection;
                outcome
            }
            Err(_) => Outcome::Timeout,
        };
        let change = checker.note(config, outcome);
        probe.tell(&checker, outcome, change, &asking.first);
        let used = probe.cluster.was_used();
        let wait = decide::next_wait(config, outcome, change, used, &mut **asking.dice.borrow_mut());
        tokio::time::sleep(wait).await;
    }
}

impl Probe {
    /// Lets everybody know.
    fn tell(&self, checker: &Checker, outcome: Outcome, change: Change, first: &Notify) {
        let stats = self.cluster.checks();
        let counters: &[&AtomicU64] = match outcome {
            Outcome::Success { .. } => &[&stats.success],
            Outcome::Failure { .. } => &[&stats.failure],
            Outcome::NetworkFailure | Outcome::Timeout => &[&stats.failure, &stats.network_failure],
        };
        for counter in counters {
            counter.fetch_add(1, Ordering::Relaxed);
        }
        let was_pending = self.endpoint.checked().pending;
        let found = CheckedState {
            pending: false,
            failed: !checker.healthy,
            degraded: checker.degraded,
            timed_out: checker.timed_out,
        };
        if self.endpoint.set_checked(found) {
            self.cluster.note_checked();
        }
        if change == Change::Changed {
            let (endpoint, healthy) = (&self.endpoint.address, checker.healthy);
            tracing::debug!(cluster = %self.cluster.name, %endpoint, healthy, ?outcome, "health check");
        }
        let succeeded = matches!(outcome, Outcome::Success { .. }) && checker.healthy;
        if succeeded
            && self.endpoint.is_ejected()
            && let Some(health) = self.cluster.health()
        {
            health.found_healthy(&self.endpoint);
        }
        if was_pending {
            first.notify_one();
        }
    }
}
