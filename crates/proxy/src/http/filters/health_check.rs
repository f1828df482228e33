//! Answering questions about our health.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use engine::Problem;
use engine::balance::Availability;
use engine::matcher::Header;
use ir::filter::HealthCheckFilter;
use upstream::ResponseHead;

use crate::access_log::Flag;
use crate::http::context::Context;
use crate::http::respond::{LocalReply, Stop};

/// A compiled [`HealthCheckFilter`].
pub struct HealthCheck {
    config: HealthCheckFilter,
    headers: Vec<Header>,
    begin: Instant,
    /// The upstream's last answer and until when it holds: milliseconds since `begin` above the status.
    cached: AtomicU64,
}

impl HealthCheck {
    /// # Errors
    /// An expression that is not RE2's.
    pub fn compile(config: &HealthCheckFilter) -> Result<Self, Problem> {
        let one = |(i, it)| Header::compile(it).map_err(|p: Problem| p.inside(format!("headers[{i}]")));
        Ok(HealthCheck {
            headers: config.headers.iter().enumerate().map(one).collect::<Result<_, _>>()?,
            config: config.clone(),
            begin: Instant::now(),
            cached: AtomicU64::new(0),
        })
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX >> 16) << 16
    }

    fn cached(&self) -> Option<u16> {
        let cached = self.cached.load(Ordering::Relaxed);
        (cached > self.now()).then_some(cached as u16)
    }

    fn store(&self, status: u16, limit: Duration) {
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX >> 17).min(u64::MAX >> 17);
        self.cached.store((self.now() + (limit << 16)) | u64::from(status), Ordering::Relaxed);
    }
}

/// Answers what is a question, unless the upstream is to be asked.
pub fn decode(ctx: &mut Context, filter: &HealthCheck) -> Result<(), Stop> {
    if !filter.headers.iter().all(|header| header.matches(&ctx.head)) {
        return Ok(());
    }
    ctx.filter_state().health_checks.push(id(filter));
    let failed = ctx.conn.worker.shared.health_failed.load(Ordering::Relaxed);
    let (status, details) = match (filter.config.pass_through, filter.config.cache_time) {
        // Somebody asked for it (`/healthcheck/fail`): that goes before what the upstream would say.
        _ if failed => (503, "health_check_failed"),
        (true, None) => return Ok(()),
        (true, Some(_)) => match filter.cached() {
            Some(status) => (status, "health_check_cached"),
            None => return Ok(()),
        },
        (false, _) => clusters(ctx, &filter.config),
    };
    let flag = (status != 200).then_some(Flag::LH);
    Err(Stop::Local(Box::new(LocalReply::new(status, flag, details))))
}

/// Whether enough endpoints of each cluster are well.
fn clusters(ctx: &Context, config: &HealthCheckFilter) -> (u16, &'static str) {
    for (name, least) in &config.cluster_min_healthy {
        let Some(cluster) = ctx.snapshot.cluster(name) else {
            return (503, "health_check_failed_no_cluster_found");
        };
        let total = cluster.destinations.len() as u64;
        let well = cluster.destinations.iter().enumerate().filter(|(index, to)| {
            let configured = cluster.endpoints.configured(*index).availability;
            configured == Availability::Healthy && !to.endpoint.is_ejected()
        });
        let least = u64::from(least.parts_per_million);
        if total == 0 && least > 0 {
            return (503, "health_check_failed_cluster_empty");
        }
        if (well.count() as u64) * 1_000_000 < total * least {
            return (503, "health_check_failed_cluster_unhealthy");
        }
    }
    match config.cluster_min_healthy.is_empty() {
        true => (200, "health_check_ok"),
        false => (200, "health_check_ok_cluster_healthy"),
    }
}

/// Which of the filters it is: there may be several, for different questions.
fn id(filter: &HealthCheck) -> usize {
    std::ptr::from_ref(filter).addr()
}

/// Says whose health it is, and remembers the upstream's answer. Whoever asked something else is told
/// not to come back while health checks are to fail, as Envoy does.
pub fn encode(ctx: &mut Context, filter: &HealthCheck, head: &mut ResponseHead) {
    if !ctx.filters.as_ref().is_some_and(|state| state.health_checks.contains(&id(filter))) {
        if ctx.conn.worker.shared.health_failed.load(Ordering::Relaxed) {
            head.set("x-envoy-immediate-health-check-fail", "true");
        }
        return;
    }
    if let (true, Some(limit), None) = (filter.config.pass_through, filter.config.cache_time, filter.cached())
    {
        filter.store(head.status(), limit);
    }
    head.set("x-envoy-upstream-healthchecked-cluster", ctx.conn.worker.shared.local.cluster.as_bytes());
}
