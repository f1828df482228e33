//! One container of a pod in time: started, probed, ended, started again. Pure; the clock is an
//! argument.

use std::time::{Duration, Instant};

use super::ContainerState;
use crate::backoff::Backoff;
use crate::readiness::Prober;
use crate::render::Planned;
use crate::wire::{Check, ContainerSpec};

/// A container and where it stands.
pub struct Container {
    planned: Planned,
    pub is_proxy: bool,
    backoff: Backoff,
    phase: Phase,
    restarts: u32,
    /// Where this life's part of the log begins, in bytes.
    log_from: u64,
    /// Number of the look under way, so that an answer about a former life is not taken.
    look: Option<u64>,
}

enum Phase {
    /// Not started yet, or about to be started again at that time.
    Waiting {
        until: Option<Instant>,
    },
    /// Ordered; the init has not answered.
    Starting {
        since: Instant,
    },
    Running {
        pid: i32,
        since: Instant,
        prober: Option<Prober>,
    },
}

impl Container {
    pub fn new(planned: Planned, is_proxy: bool) -> Container {
        let backoff = if is_proxy { Backoff::prompt() } else { Backoff::patient() };
        Container {
            planned,
            is_proxy,
            backoff,
            phase: Phase::Waiting { until: None },
            restarts: 0,
            log_from: 0,
            look: None,
        }
    }

    pub fn name(&self) -> &str {
        &self.planned.spec.name
    }

    pub fn log(&self) -> &std::path::Path {
        &self.planned.spec.log
    }

    /// Whether it ended and waits to be started again.
    pub fn has_crashed(&self) -> bool {
        matches!(self.phase, Phase::Waiting { until: Some(_) })
    }

    /// Ready: runs, and its probe (if it has one) says so.
    pub fn is_ready(&self) -> bool {
        match &self.phase {
            Phase::Running { prober, .. } => prober.as_ref().is_none_or(Prober::ready),
            _ => false,
        }
    }

    /// What it lacks, in words.
    pub fn lacks(&self) -> String {
        match &self.phase {
            Phase::Waiting { until: None } => "not started yet".to_owned(),
            Phase::Waiting { until: Some(_) } => "waits to be restarted".to_owned(),
            Phase::Starting { .. } => "starting".to_owned(),
            Phase::Running { prober, .. } => {
                let failure = prober.as_ref().and_then(Prober::last_failure);
                failure.map_or_else(|| "not ready yet".to_owned(), |failure| format!("not ready: {failure}"))
            }
        }
    }

    /// Where this life's part of the log begins.
    pub fn log_from(&self) -> u64 {
        self.log_from
    }

    pub fn set_log_from(&mut self, position: u64) {
        self.log_from = position;
    }

    /// The order to start it now, if that is due.
    pub fn start(&mut self, now: Instant) -> Option<ContainerSpec> {
        match self.phase {
            Phase::Waiting { until } if until.is_none_or(|until| until <= now) => {
                self.phase = Phase::Starting { since: now };
                Some(self.planned.spec.clone())
            }
            _ => None,
        }
    }

    pub fn started(&mut self, pid: i32, now: Instant) {
        let prober = self.planned.probe.clone().map(|plan| Prober::new(plan, now));
        self.look = None;
        self.phase = Phase::Running { pid, since: now, prober };
    }

    /// It ended, or could not be started. Returns how long it will wait.
    pub fn ended(&mut self, now: Instant) -> Duration {
        let since = match self.phase {
            Phase::Running { since, .. } | Phase::Starting { since } => since,
            Phase::Waiting { .. } => now,
        };
        let wait = self.backoff.after(now.saturating_duration_since(since));
        self.restarts = self.restarts.saturating_add(1);
        self.look = None;
        self.phase = Phase::Waiting { until: Some(now + wait) };
        wait
    }

    /// The look to take now, if one is due; `id` will be its number.
    pub fn look(&mut self, id: u64, now: Instant) -> Option<(Check, Duration)> {
        let Phase::Running { prober: Some(prober), .. } = &mut self.phase else { return None };
        let due = prober.due(now)?;
        self.look = Some(id);
        Some(due)
    }

    /// A look has come back. `false`: it was not this container's.
    pub fn looked(&mut self, id: u64, failure: Option<&String>, now: Instant) -> bool {
        let Phase::Running { prober: Some(prober), .. } = &mut self.phase else { return false };
        if self.look != Some(id) {
            return false;
        }
        self.look = None;
        prober.result(failure.cloned(), now);
        true
    }

    /// When something is due.
    pub fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Waiting { until } => *until,
            Phase::Starting { .. } => None,
            Phase::Running { prober, .. } => prober.as_ref().and_then(Prober::deadline),
        }
    }

    pub fn state(&self) -> ContainerState {
        let pid = match self.phase {
            Phase::Running { pid, .. } => Some(pid),
            _ => None,
        };
        ContainerState {
            name: self.name().to_owned(),
            pid,
            ready: self.is_ready(),
            restarts: self.restarts,
            log: self.planned.spec.log.clone(),
        }
    }
}
