//! The overload manager: what is done when memory or connections run out.
//! See <https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/operations/overload_manager/overload_manager>.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use ir::{Overload, OverloadAction};
use lifecycle::{DrainGuard, DrainWatch};
use tokio::time::Instant;

use crate::admin::process;
use crate::proxy::State;
use crate::telemetry::{Kind, Sample, Scope};
use crate::worker::Command;

/// What workers heed. They read only; it is written when an action begins or ends.
#[derive(Debug, Default)]
pub struct Pressure {
    /// Actions that are on, by [`bit`].
    active: AtomicU8,
    /// All connections of clients together; `None`: any number.
    max_connections: Option<usize>,
    /// Percent of the heap's maximum.
    heap_percent: AtomicU64,
}

fn bit(action: OverloadAction) -> u8 {
    1 << action as u8
}

impl Pressure {
    pub fn new(config: Option<&Overload>) -> Self {
        let max = config.and_then(|it| it.max_connections);
        let max_connections = max.map(|max| usize::try_from(max).unwrap_or(usize::MAX));
        Pressure { max_connections, ..Pressure::default() }
    }

    pub fn is_active(&self, action: OverloadAction) -> bool {
        self.active.load(Ordering::Relaxed) & bit(action) != 0
    }

    /// What a new connection holds while it lives, unless there are too many already.
    pub fn admit(&self, connections: &DrainWatch) -> Option<DrainGuard> {
        match self.max_connections {
            Some(max) => connections.try_guard(max),
            None => Some(connections.guard()),
        }
    }

    /// Weighs memory and sets actions on or off.
    fn weigh(&self, config: &Overload, bytes: u64) {
        let Some(max) = config.max_heap_bytes.filter(|max| *max > 0) else { return };
        let share = u128::from(bytes) * 1_000_000 / u128::from(max);
        let on = config.actions.iter().filter(|rule| share >= u128::from(rule.threshold));
        let active = on.fold(0, |all, rule| all | bit(rule.action));
        self.heap_percent.store(u64::try_from(share / 10_000).unwrap_or(u64::MAX), Ordering::Relaxed);
        let before = self.active.load(Ordering::Relaxed);
        if before == active {
            return;
        }
        self.active.store(active, Ordering::Relaxed);
        for action in OverloadAction::ALL.into_iter().filter(|it| (before ^ active) & bit(*it) != 0) {
            let on = active & bit(action) != 0;
            tracing::warn!(action = action.name(), on, bytes, max, "overload");
        }
    }
}

/// Envoy's default.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);
/// How often the heap is shrunk while that action is on, as in Envoy.
const SHRINK_INTERVAL: Duration = Duration::from_secs(10);

/// Looks at memory again and again. Ends at once where nothing depends on it.
pub async fn watch(state: Arc<State>) {
    let Some(config) = state.overload.clone().filter(|it| it.max_heap_bytes.is_some()) else { return };
    let interval = config.refresh_interval.unwrap_or(REFRESH_INTERVAL).max(Duration::from_millis(1));
    let (mut scales, mut next_shrink) = (Scales::default(), Instant::now());
    loop {
        if let Some(bytes) = scales.read(Path::new(process::STATUS), &mut |said| tracing::error!("{said}")) {
            state.pressure.weigh(&config, bytes);
        }
        let now = Instant::now();
        if state.pressure.is_active(OverloadAction::ShrinkHeap) && now >= next_shrink {
            next_shrink = now + SHRINK_INTERVAL;
            net::memory::collect();
            state.manager.lock().tell(|| Command::Shrink);
        }
        tokio::time::sleep(interval).await;
    }
}

/// Reads how much memory there is in use.
#[derive(Default)]
struct Scales {
    broken: bool,
}

impl Scales {
    /// `None`: it cannot be read, which is said once. What was on before stays on.
    fn read(&mut self, status: &Path, say: &mut dyn FnMut(String)) -> Option<u64> {
        let read = process::anonymous(status);
        let was_broken = std::mem::replace(&mut self.broken, read.is_err());
        if let Err(error) = &read
            && !was_broken
        {
            say(format!(
                "overload_manager: max_heap_size_bytes is WITHOUT EFFECT, nothing limits the memory of this process: \
                 {}: {error}. Mount /proc where the proxy runs, or limit it from outside (a cgroup's memory.max).",
                status.display()
            ));
        }
        read.ok()
    }
}

/// Envoy's gauges of what is configured: `overload.<monitor>.pressure`, `overload.<action>.active`.
pub(crate) fn samples(state: &State) -> Vec<Sample> {
    let Some(config) = &state.overload else { return Vec::new() };
    let gauge = |of: &str, name, value| Sample {
        scope: Scope::Filter(format!("overload.{of}").into()),
        name,
        kind: Kind::Gauge,
        value,
    };
    let percent = state.pressure.heap_percent.load(Ordering::Relaxed);
    let heap =
        config.max_heap_bytes.map(|_| gauge("envoy.resource_monitors.fixed_heap", "pressure", percent));
    let actions = config.actions.iter().map(|rule| rule.action);
    let actions = actions.map(|it| gauge(it.name(), "active", u64::from(state.pressure.is_active(it))));
    heap.into_iter().chain(actions).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::OverloadRule;

    #[test]
    fn actions_are_on_from_their_threshold() {
        let rule = |action, threshold| OverloadRule { action, threshold };
        let config = Overload {
            max_heap_bytes: Some(1000),
            actions: vec![
                rule(OverloadAction::StopAcceptingRequests, 900_000),
                rule(OverloadAction::ShrinkHeap, 500_000),
            ],
            ..Overload::default()
        };
        let pressure = Pressure::new(Some(&config));
        let check = |bytes, requests, shrink| {
            pressure.weigh(&config, bytes);
            assert_eq!(pressure.is_active(OverloadAction::StopAcceptingRequests), requests, "{bytes}");
            assert_eq!(pressure.is_active(OverloadAction::ShrinkHeap), shrink, "{bytes}");
        };
        check(499, false, false);
        check(500, false, true);
        check(900, true, true);
        check(u64::MAX, true, true);
        check(100, false, false);
        assert_eq!(pressure.heap_percent.load(Ordering::Relaxed), 10);
    }

    #[test]
    fn memory_that_cannot_be_read_is_said_once() {
        let mut said = Vec::new();
        let mut scales = Scales::default();
        let mut read = |path: &str| scales.read(Path::new(path), &mut |text| said.push(text));
        assert_eq!((read("/nowhere/status"), read("/nowhere/status")), (None, None));
        assert!(read(process::STATUS).is_some());
        assert_eq!(read("/nowhere/status"), None);
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(
            said[0].contains("WITHOUT EFFECT") && said[0].contains("/nowhere/status: No such file"),
            "{said:?}"
        );
    }
}
