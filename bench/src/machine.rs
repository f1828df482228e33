//! The machine: which core is whose, and what the report says about it.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::Serialize;

/// Time in `/proc` is in hundredths of a second on every Linux.
pub const TICK: Duration = Duration::from_millis(10);

/// A core that a process is pinned to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Core(usize);

impl fmt::Display for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The proxies have one core, all that is not measured has another.
#[derive(Debug, Clone, Copy)]
pub struct Cores {
    pub proxy: Core,
    pub load: Core,
}

impl Cores {
    /// The first two cores that we may use; we move to the second ourselves.
    ///
    /// # Errors
    /// There is only one: load and proxy would then measure each other.
    pub fn take() -> anyhow::Result<Cores> {
        let allowed = sched_getaffinity(None)?;
        let mut usable = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).map(Core);
        let (Some(proxy), Some(load)) = (usable.next(), usable.next()) else {
            bail!("the proxy needs one core and its load another, and only one may be used here");
        };
        let mut mine = CpuSet::new();
        mine.set(load.0);
        sched_setaffinity(None, &mine)?;
        Ok(Cores { proxy, load })
    }
}

impl Core {
    /// Time that this core worked so far, for whomever.
    ///
    /// # Errors
    /// `/proc/stat` does not know it.
    pub fn busy(self) -> anyhow::Result<Duration> {
        busy(&std::fs::read_to_string("/proc/stat")?, self.0).context("the core is not in /proc/stat")
    }
}

/// Of the fields of proc_stat(5) all but idle, iowait (4th and 5th) and the guests' (which `user` counts).
fn busy(stat: &str, core: usize) -> Option<Duration> {
    let name = format!("cpu{core} ");
    let ticks: Vec<u32> = stat
        .lines()
        .find_map(|line| line.strip_prefix(&name))?
        .split_ascii_whitespace()
        .filter_map(|field| field.parse().ok())
        .collect();
    Some(TICK * (ticks.get(..3)?.iter().sum::<u32>() + ticks.get(5..8)?.iter().sum::<u32>()))
}

/// What figures depend on.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    pub kernel: String,
    /// Runnable tasks over the last minute, before the run: more than a few tenths is a busy machine.
    pub load_before: f64,
}

impl Machine {
    pub fn look() -> Machine {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let models = || cpuinfo.lines().filter_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Machine {
            cpu: models().next().map(|(_, name)| name.to_owned()).unwrap_or_default(),
            cores: models().count(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load_before: read("/proc/loadavg")
                .split(' ')
                .next()
                .and_then(|it| it.parse().ok())
                .unwrap_or(0.0),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cpu, cores, kernel, load_before } = self;
        write!(f, "{cores} cores of {cpu}, Linux {kernel}, load before {load_before:.1}")
    }
}

/// A loopback port that nobody listens on now. Below those that the kernel gives to outgoing
/// connections: one of these could take it before the process that it is for.
///
/// # Errors
/// All are taken.
pub fn free_port() -> anyhow::Result<u16> {
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    loop {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        if port >= 32_000 {
            bail!("no free port between 20000 and 32000");
        }
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
}

pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

pub fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// As many open files as we may have, for us and for what we start.
///
/// # Errors
/// The kernel refuses what it said it allows.
pub fn many_files() -> anyhow::Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    Ok(setrlimit(Resource::Nofile, limit)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_not_working() {
        let stat = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu1 1 2 3 1000 1000 4 5 6 700 700\n";
        assert_eq!(busy(stat, 1), Some(TICK * 21));
        assert_eq!(busy(stat, 0), None);
    }
}
