//! Everything that was measured, for programs.

use serde_json::{Map, Value, json};

use super::Report;
use crate::metric::{Metric, Samples};
use crate::peers::Peer;

pub fn json(report: &Report) -> Value {
    let scenarios: Vec<Value> = report
        .scenarios
        .iter()
        .map(|it| {
            json!({
                "name": it.scenario.name,
                "about": it.scenario.about,
                "peers": peers(&it.measured.samples),
                "notes": it.measured.notes,
                "targets": it.verdicts.iter().map(|verdict| json!({
                    "text": verdict.to_string(), "found": verdict.found, "met": verdict.met,
                })).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "machine": report.machine,
        "rounds": report.effort.rounds,
        "seconds": report.effort.duration.as_secs_f64(),
        "scenarios": scenarios,
    })
}

fn peers(samples: &Samples) -> Value {
    let peers = samples.peers().into_iter().map(|peer| (peer.name().to_owned(), metrics(samples, peer)));
    Value::Object(peers.collect())
}

fn metrics(samples: &Samples, peer: Peer) -> Value {
    let mut all = Map::new();
    for metric in samples.metrics() {
        let Some(value) = samples.value(peer, metric) else { continue };
        all.insert(
            key(metric),
            json!({
                "value": value,
                "samples": samples.of(peer, metric),
                "lateen_to_it": samples.ratio(metric, peer),
            }),
        );
    }
    Value::Object(all)
}

/// As serde names it.
fn key(metric: Metric) -> String {
    serde_json::to_value(metric).ok().and_then(|it| it.as_str().map(str::to_owned)).unwrap_or_default()
}
