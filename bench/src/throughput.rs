//! As much as goes through, all peers in turn, round after round.

use std::time::Duration;

use crate::backend::Backend;
use crate::hop::Protocol;
use crate::latency;
use crate::load::{Outcome, h2load, wrk};
use crate::machine::mebibytes;
use crate::metric::{Measured, Metric, Samples};
use crate::peers::{Peer, Running, Site};
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
    let Throughput { row, protocol, load, .. } = it;
    let port = if protocol == Protocol::Http2 { backend.http2 } else { backend.http1 };
    let mut running = Vec::new();
    for peer in peers {
        let spoken = if *peer == Peer::TcpRelay { Protocol::Tcp } else { protocol };
        running.push(Running::start(site, *peer, &row.hops(spoken, port)?)?);
    }
    for one in &running {
        // Connections to the backend are open and code is paged in before anything counts.
        apply(site, load, one.port, Duration::from_secs(1))?;
    }
    let mut samples = Samples::default();
    for round in 1..=effort.rounds {
        eprintln!("bench:   round {round} of {}", effort.rounds);
        for one in &running {
            let before = one.cpu()?;
            let outcome = apply(site, load, one.port, effort.duration)?;
            record(&mut samples, one, one.cpu()?.since(before), outcome)?;
        }
    }
    let mut measured = Measured { samples, notes: Vec::new() };
    if it.latency {
        latency::measure(&mut measured, &running, backend, effort)?;
    }
    Ok(measured)
}

fn apply(site: &Site, load: Load, port: u16, duration: Duration) -> anyhow::Result<Outcome> {
    match load {
        Load::Wrk(it) => wrk::run(it, site.cores.load, &site.folder, port, duration),
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
