//! When a container counts as ready: a probe's results over time. Pure; the clock is an argument.

use std::time::{Duration, Instant};

use crate::wire::Check;

/// Before the first success a probe looks at least this often: nobody wants to wait for a period
/// of 10 s because the application needed 11 ms.
const EAGER: Duration = Duration::from_millis(250);
/// And a proxy, which everything else waits for, even more often.
const EAGER_PROXY: Duration = Duration::from_millis(25);

/// A probe, with everything resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbePlan {
    pub check: Check,
    pub initial_delay: Duration,
    pub period: Duration,
    pub timeout: Duration,
    pub success_threshold: u32,
    pub failure_threshold: u32,
    /// The period before the first success.
    pub eager: Duration,
}

impl ProbePlan {
    /// The proxy's own readiness, as Istio's injector probes it but more often.
    pub fn of_proxy(address: std::net::Ipv4Addr) -> ProbePlan {
        let port = crate::options::ports::PROXY_HEALTH;
        ProbePlan {
            check: Check::Http { address, port, path: "/healthz/ready".to_owned(), headers: Vec::new() },
            initial_delay: Duration::ZERO,
            period: Duration::from_secs(2),
            timeout: Duration::from_secs(3),
            success_threshold: 1,
            failure_threshold: 4,
            eager: EAGER_PROXY,
        }
    }

    /// From what the container declares; `check` is its action, resolved.
    pub fn of(probe: &istio_api::k8s::Probe, check: Check) -> ProbePlan {
        ProbePlan {
            check,
            initial_delay: probe.initial_delay,
            period: probe.period,
            timeout: probe.timeout,
            success_threshold: probe.success_threshold,
            failure_threshold: probe.failure_threshold,
            eager: probe.period.min(EAGER),
        }
    }
}

/// Where a running container's probe stands.
#[derive(Clone, Debug)]
pub struct Prober {
    plan: ProbePlan,
    /// When to look next; `None` while a look is under way.
    next: Option<Instant>,
    successes: u32,
    failures: u32,
    was_ready: bool,
    ready: bool,
    last_failure: Option<String>,
}

impl Prober {
    /// For a container that has just been started.
    pub fn new(plan: ProbePlan, now: Instant) -> Prober {
        let next = Some(now + plan.initial_delay);
        Prober { plan, next, successes: 0, failures: 0, was_ready: false, ready: false, last_failure: None }
    }

    pub fn ready(&self) -> bool {
        self.ready
    }

    /// Why it is not ready, if it has failed.
    pub fn last_failure(&self) -> Option<&str> {
        self.last_failure.as_deref()
    }

    /// When something is to be done, if not now under way.
    pub fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// The look to take now, if one is due; it is under way then.
    pub fn due(&mut self, now: Instant) -> Option<(Check, Duration)> {
        self.next.filter(|next| *next <= now)?;
        self.next = None;
        Some((self.plan.check.clone(), self.plan.timeout))
    }

    /// A look has come back.
    pub fn result(&mut self, failure: Option<String>, now: Instant) {
        match failure {
            None => {
                self.failures = 0;
                self.successes = self.successes.saturating_add(1);
                if self.successes >= self.plan.success_threshold {
                    self.ready = true;
                    self.was_ready = true;
                    self.last_failure = None;
                }
            }
            Some(reason) => {
                self.successes = 0;
                self.failures = self.failures.saturating_add(1);
                self.last_failure = Some(reason);
                if self.failures >= self.plan.failure_threshold {
                    self.ready = false;
                }
            }
        }
        self.next = Some(now + if self.was_ready { self.plan.period } else { self.plan.eager });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prober(success_threshold: u32, failure_threshold: u32, now: Instant) -> Prober {
        let plan = ProbePlan {
            check: Check::Tcp { address: [127, 0, 0, 1].into(), port: 1 },
            initial_delay: Duration::from_secs(5),
            period: Duration::from_secs(10),
            timeout: Duration::from_secs(1),
            success_threshold,
            failure_threshold,
            eager: EAGER,
        };
        Prober::new(plan, now)
    }

    /// Results (`+` or `-`) and the readiness after each (`r` or `.`).
    #[track_caller]
    fn check(thresholds: (u32, u32), results: &str, expected: &str) {
        let mut now = Instant::now();
        let mut prober = prober(thresholds.0, thresholds.1, now);
        let mut got = String::new();
        for result in results.chars() {
            now += Duration::from_secs(10);
            assert!(prober.due(now).is_some());
            assert!(prober.due(now).is_none(), "one look at a time");
            prober.result((result == '-').then(|| "no".to_owned()), now);
            got.push(if prober.ready() { 'r' } else { '.' });
        }
        assert_eq!(got, expected, "{results}");
    }

    #[test]
    fn thresholds_are_counted_in_a_row() {
        check((1, 3), "--+--+---+", "..rrrrrr.r");
        check((2, 1), "+-++-+", "...r..");
    }

    #[test]
    fn times_are_kept() {
        let start = Instant::now();
        let mut prober = prober(1, 1, start);
        assert!(prober.due(start + Duration::from_secs(4)).is_none());
        let now = start + Duration::from_secs(5);
        assert!(prober.due(now).is_some());
        prober.result(Some("refused".into()), now);
        assert_eq!(prober.last_failure(), Some("refused"));
        assert_eq!(prober.deadline(), Some(now + EAGER));
        assert!(prober.due(now + EAGER).is_some());
        prober.result(None, now);
        assert_eq!(prober.deadline(), Some(now + Duration::from_secs(10)));
    }
}
