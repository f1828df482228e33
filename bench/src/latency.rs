//! Latency at half of HAProxy's peak: the same rate for everybody, all peers in turn, round after
//! round, and the backend asked directly in each round.

use std::time::Duration;

use crate::backend::Backend;
use crate::load::open_loop::{self, Latency, OpenLoop};
use crate::metric::{Measured, Metric};
use crate::peers::{Peer, Running};
use crate::throughput::Effort;

const CONNECTIONS: usize = 64;

/// Adds to what the throughput rounds found. Without HAProxy among the peers there is no rate, and
/// nothing is measured.
///
/// # Errors
/// A peer takes no connections.
pub fn measure(
    measured: &mut Measured,
    running: &[Running],
    backend: &Backend,
    effort: Effort,
) -> anyhow::Result<()> {
    let Some(peak) = measured.samples.value(Peer::HaProxy, Metric::RequestsPerSecond) else {
        measured.notes.push("latency: not measured, its rate is half of HAProxy's peak".to_owned());
        return Ok(());
    };
    let it = OpenLoop { connections: CONNECTIONS, rate: peak / 2.0, duration: effort.duration };
    let mut overloaded = Vec::new();
    let mut direct_p50 = Vec::new();
    for round in 1..=effort.rounds {
        eprintln!("bench:   latency, round {round} of {}", effort.rounds);
        let direct = open_loop::run(it, backend.http1)?;
        direct_p50.push(direct.p50.as_micros());
        for one in running {
            let through = open_loop::run(it, one.port)?;
            record(measured, one.peer, through, direct);
            if through.overloaded && !overloaded.contains(&one.peer) {
                overloaded.push(one.peer);
            }
        }
    }
    measured
        .notes
        .push(format!("latency at {:.0} requests/s; p50 of the backend itself: {direct_p50:?} µs", it.rate));
    for peer in overloaded {
        measured.notes.push(format!("{peer} could not keep this rate"));
    }
    Ok(())
}

fn record(measured: &mut Measured, peer: Peer, through: Latency, direct: Latency) {
    let microseconds = |time: Duration| time.as_secs_f64() * 1e6;
    // Faster than the backend alone is noise; it must not make a ratio negative.
    let added = |through: Duration, direct: Duration| microseconds(through.saturating_sub(direct));
    let samples = &mut measured.samples;
    samples.add(peer, Metric::P50, microseconds(through.p50));
    samples.add(peer, Metric::P99, microseconds(through.p99));
    samples.add(peer, Metric::P999, microseconds(through.p999));
    samples.add(peer, Metric::AddedP50, added(through.p50, direct.p50));
    samples.add(peer, Metric::AddedP99, added(through.p99, direct.p99));
    samples.add(peer, Metric::Errors, through.errors as f64);
}
