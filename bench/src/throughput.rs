//! As much as goes through, all peers in turn, round after round.

use std::time::{Duration, Instant};

use crate::backend::Backend;
use crate::hop::Protocol;
use crate::latency;
use crate::load::{Outcome, h2load, websocket, wrk};
use crate::machine::mebibytes;
use crate::metric::{Measured, Metric, Samples};
use crate::peers::{Peer, Running, Site};
use crate::perf::Perf;
use crate::process::Cpu;
use crate::scenario::{Load, Throughput};

/// How long and how often.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    pub rounds: usize,
    /// Of one peer in one round.
    pub duration: Duration,
}

/// # Errors
/// A peer does not start or ends early, or a load generator fails.
pub fn measure(
    site: &Site,
    backend: &Backend,
    peers: &[Peer],
    it: Throughput,
    effort: Effort,
) -> anyhow::Result<Measured> {
    let mut running = Vec::new();
    let mut samples = Samples::default();
    let mut others = Others::default();
    for round in 1..=effort.rounds {
        eprintln!("bench:   round {round} of {}", effort.rounds);
        // Those of the round before end first: all are started anew.
        running.clear();
        running = start(site, backend, peers, it)?;
        for one in &running {
            let _samples = match &site.perf {
                Some(file) if round == 1 && one.peer == Peer::Lateen => Some(Perf::start(one, file)?),
                _ => None,
            };
            let (start, busy, before) = (Instant::now(), site.cores.proxy.busy()?, one.cpu()?);
            let outcome = apply(site, it.load, one.port, effort.duration)?;
            let cpu = one.cpu()?.since(before);
            others.add(start.elapsed(), site.cores.proxy.busy()? - busy, cpu);
            record(&mut samples, one, cpu, outcome)?;
        }
    }
    let mut measured = Measured { samples, notes: vec![others.note()] };
    if it.latency {
        latency::measure(&mut measured, &running, backend, effort)?;
    }
    Ok(measured)
}

/// All peers, up and warm. How fast a process is depends on which pages of memory it got: one start differs
/// from the next by up to a fifth, so each round has its own.
fn start(site: &Site, backend: &Backend, peers: &[Peer], it: Throughput) -> anyhow::Result<Vec<Running>> {
    let port = backend.port(&it);
    let mut running = Vec::new();
    for peer in peers {
        let spoken = if *peer == Peer::TcpRelay { Protocol::Tcp } else { it.protocol };
        running.push(Running::start(site, *peer, &it.row.hops(spoken, port)?)?);
    }
    for one in &running {
        // Connections to the backend are open and code is paged in before anything counts.
        apply(site, it.load, one.port, Duration::from_secs(1))?;
    }
    Ok(running)
}

/// What ran on the proxies' core beside the proxy whose turn it was.
#[derive(Default)]
struct Others {
    elapsed: Duration,
    time: Duration,
}

impl Others {
    fn add(&mut self, elapsed: Duration, busy: Duration, cpu: Cpu) {
        self.elapsed += elapsed;
        self.time += busy.saturating_sub(cpu.user + cpu.system);
    }

    fn note(&self) -> String {
        let share = 100.0 * self.time.as_secs_f64() / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
        let verdict = if share > 5.0 { ": too much for figures to be trusted" } else { "" };
        format!("others had {share:.0} % of the proxies' core{verdict}")
    }
}

fn apply(site: &Site, load: Load, port: u16, duration: Duration) -> anyhow::Result<Outcome> {
    match load {
        Load::Wrk(it) => wrk::run(it, site.cores.load, &site.folder, port, duration),
        Load::WebSocket(connections) => websocket::run(connections, port, duration),
        Load::H2Load(it) => h2load::run(it, site.cores.load, &site.folder, port, duration),
    }
}

fn record(samples: &mut Samples, one: &Running, cpu: Cpu, outcome: Outcome) -> anyhow::Result<()> {
    let memory = one.memory()?;
    let requests = outcome.requests.max(1) as f64;
    let each = |time: Duration| time.as_secs_f64() * 1e6 / requests;
    samples.add(one.peer, Metric::CpuPerRequest, each(cpu.user + cpu.system));
    samples.add(one.peer, Metric::UserPerRequest, each(cpu.user));
    samples.add(one.peer, Metric::SystemPerRequest, each(cpu.system));
    samples.add(one.peer, Metric::RequestsPerSecond, outcome.per_second);
    samples.add(one.peer, Metric::Errors, outcome.errors as f64);
    samples.add(one.peer, Metric::Resident, mebibytes(memory.resident));
    samples.add(one.peer, Metric::Anonymous, mebibytes(memory.anonymous));
    Ok(())
}
