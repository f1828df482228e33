//! Who is ejected, shared by all workers. Made for clusters with outlier detection only.
//!
//! Nothing runs by itself: a worker that finds an interval over judges it, on behalf of all. The lock
//! is taken then, and when a row of failures is too long; never to pick an endpoint.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use engine::Dice;
use engine::outlier::{Cause, Change, Detector, Outcome, Tally, Verdict};
use ir::OutlierDetection;

use crate::{ClusterState, EndpointState};

/// Since the process began: what [`engine::outlier`] counts time in.
pub fn now() -> Duration {
    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    BEGIN.elapsed()
}

/// The detector of a cluster.
#[derive(Debug)]
pub struct Health {
    /// Another one whenever somebody was ejected or has returned.
    version: AtomicU32,
    /// When the interval ends, in nanoseconds of [`now`].
    interval_end: AtomicU64,
    detector: Mutex<Detector>,
    pub stats: OutlierStats,
}

/// `cluster.<name>.outlier_detection.…`
#[derive(Debug, Default)]
pub struct OutlierStats {
    pub active: AtomicU64,
    pub enforced_total: AtomicU64,
    pub overflow: AtomicU64,
    /// By [`Cause::ALL`].
    pub enforced: [AtomicU64; Cause::ALL.len()],
    pub detected: [AtomicU64; Cause::ALL.len()],
}

impl Health {
    pub(crate) fn new(config: OutlierDetection) -> Self {
        let detector = Detector::new(config, now());
        Health {
            version: AtomicU32::new(0),
            interval_end: AtomicU64::new(nanos(detector.next_interval())),
            detector: Mutex::new(detector),
            stats: OutlierStats::default(),
        }
    }

    /// Differs from before whenever an endpoint's state does.
    pub fn version(&self) -> u32 {
        self.version.load(Ordering::Acquire)
    }

    /// Mean and threshold of success rates, as [`Detector::averages`].
    pub fn averages(&self) -> [Option<(f64, f64)>; 2] {
        self.lock().averages()
    }

    fn lock(&self) -> MutexGuard<'_, Detector> {
        self.detector.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the settings and the endpoints of a new configuration.
    pub(crate) fn update<'e>(
        &self,
        config: OutlierDetection,
        endpoints: impl Iterator<Item = &'e EndpointState> + Clone,
    ) {
        let mut detector = self.lock();
        detector.update(config, endpoints.clone().map(|endpoint| endpoint.id));
        for endpoint in endpoints {
            endpoint.tally.get_or_init(Box::default);
            endpoint.set_ejected(detector.is_ejected(endpoint.id));
        }
        self.changed(&detector);
    }

    /// Counts how a request at an endpoint ended.
    pub fn report(
        &self,
        config: &OutlierDetection,
        endpoint: &EndpointState,
        outcome: Outcome,
        dice: &mut dyn Dice,
    ) {
        let Some(tally) = endpoint.tally.get() else { return };
        let Some(cause) = tally.note(config, outcome) else { return };
        let mut detector = self.lock();
        let verdict = detector.eject(endpoint.id, cause, now(), dice);
        self.judged(endpoint, cause, verdict);
        if verdict == Verdict::Ejected {
            self.changed(&detector);
        }
    }

    /// An active health check was successful.
    pub(crate) fn found_healthy(&self, endpoint: &EndpointState) {
        let mut detector = self.lock();
        if detector.found_healthy(endpoint.id) {
            endpoint.set_ejected(false);
            self.changed(&detector);
        }
    }

    /// Judges an interval that is over, unless another worker is about it.
    pub fn tick(&self, cluster: &ClusterState, dice: &mut dyn Dice) {
        let now = now();
        if nanos(now) < self.interval_end.load(Ordering::Relaxed) {
            return;
        }
        let Ok(mut detector) = self.detector.try_lock() else { return };
        let endpoints = cluster.endpoints();
        let tallies = endpoints.iter().filter_map(|it| Some((it.id, &**it.tally.get()?)));
        let tallies: Vec<(u64, &Tally)> = tallies.collect();
        let changes = detector.interval(now, tallies.into_iter(), dice);
        self.interval_end.store(nanos(detector.next_interval()), Ordering::Relaxed);
        for (id, change) in &changes {
            let Some(endpoint) = endpoints.iter().find(|endpoint| endpoint.id == *id) else { continue };
            match change {
                Change::Returned => endpoint.set_ejected(false),
                Change::Judged(cause, verdict) => self.judged(endpoint, *cause, *verdict),
            }
        }
        if !changes.is_empty() {
            self.changed(&detector);
        }
    }

    fn judged(&self, endpoint: &EndpointState, cause: Cause, verdict: Verdict) {
        let at = Cause::ALL.iter().position(|it| *it == cause).unwrap_or(0);
        let count = |counter: &AtomicU64| counter.fetch_add(1, Ordering::Relaxed);
        match verdict {
            Verdict::Nothing => return,
            Verdict::Overflow => drop(count(&self.stats.overflow)),
            Verdict::NotEnforced => {}
            Verdict::Ejected => {
                endpoint.set_ejected(true);
                count(&self.stats.enforced_total);
                count(&self.stats.enforced[at]);
            }
        }
        count(&self.stats.detected[at]);
    }

    fn changed(&self, detector: &Detector) {
        self.stats.active.store(detector.ejected() as u64, Ordering::Relaxed);
        self.version.fetch_add(1, Ordering::Release);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
