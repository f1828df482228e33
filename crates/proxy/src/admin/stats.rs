//! `/stats`: numbers of all workers, added up.

use std::fmt::Write;

use ::http::StatusCode;
use serde_json::json;

use super::{Answer, PROMETHEUS, Query, json_answer, text, typed};
use crate::proxy::State;
use crate::telemetry::{Kind, Sample, Scope, collect, export, istio_export};

/// Every number, those of the server included.
fn samples(state: &State) -> Vec<Sample> {
    let mut all = collect(&state.stats);
    let server = |name, kind, value| Sample { scope: Scope::Server, name, kind, value };
    let (ready, managers) = {
        let manager = state.manager.lock();
        (manager.config.is_ready(), of_managers(&manager.config))
    };
    all.extend(managers);
    let connections =
        all.iter().filter(|s| matches!(s.scope, Scope::Listener(_)) && s.name == "downstream_cx_active");
    let connections = connections.map(|s| s.value).sum();
    let clusters = state.manager.lock().config.active().clusters.clone();
    for (scope, cluster) in &clusters {
        let gauge = |name, value: u32| Sample {
            scope: Scope::Cluster(scope.clone()),
            name,
            kind: Kind::Gauge,
            value: u64::from(value),
        };
        let members = cluster.membership();
        let connections = cluster.used().map_or(0, |used| used.state.connections());
        all.push(gauge("membership_total", members.total));
        all.push(gauge("membership_healthy", members.healthy));
        all.push(gauge("upstream_cx_active", connections));
        all.extend(cluster.used().into_iter().flat_map(|used| super::breakers::samples(used)));
    }
    // Connections belong to the pools, which are asked above.
    let mut seen = std::collections::HashSet::new();
    all.reverse();
    all.retain(|s| s.name != "upstream_cx_active" || seen.insert(s.scope.clone()));
    all.push(server("concurrency", Kind::Gauge, state.stats.len() as u64));
    all.push(server("live", Kind::Gauge, u64::from(ready)));
    let draining = state.draining.load(std::sync::atomic::Ordering::Relaxed);
    // Envoy's numbers: live, draining, initializing.
    let phase = if draining { 1 } else { u64::from(!ready) * 3 };
    all.push(server("state", Kind::Gauge, phase));
    all.push(server("uptime", Kind::Gauge, state.started.elapsed().as_secs()));
    all.push(server("total_connections", Kind::Gauge, connections));
    all.push(server("memory_physical_size", Kind::Gauge, resident_bytes()));
    all.sort_by_cached_key(|sample| (sample.scope.clone(), sample.name));
    all
}

/// What Istio's agent asks for to know whether the proxy has its configuration.
fn of_managers(config: &crate::config::Config) -> Vec<Sample> {
    let of = |scope: &Scope, name, kind, value| Sample { scope: scope.clone(), name, kind, value };
    let (clusters, listeners) = (Scope::ClusterManager, Scope::ListenerManager);
    vec![
        of(&clusters, "cds.update_success", Kind::Counter, config.clusters.accepted),
        of(&clusters, "cds.update_rejected", Kind::Counter, config.clusters.rejected),
        of(&clusters, "active_clusters", Kind::Gauge, config.active().clusters.len() as u64),
        of(&clusters, "warming_clusters", Kind::Gauge, config.clusters.open.len() as u64),
        of(&listeners, "lds.update_success", Kind::Counter, config.listeners.accepted),
        of(&listeners, "lds.update_rejected", Kind::Counter, config.listeners.rejected),
        of(&listeners, "total_listeners_active", Kind::Gauge, config.active().listeners.len() as u64),
        of(&listeners, "total_listeners_warming", Kind::Gauge, config.listeners.open.len() as u64),
        of(&listeners, "workers_started", Kind::Gauge, 1),
    ]
}

/// Resident memory of the process.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kib.unwrap_or(0) * 1024
}

pub(crate) fn answer(state: &State, query: &Query) -> Answer {
    let filter =
        match query.get("filter").map(|f| engine::regex::Regex::new(&format!(".*(?:{f}).*"))).transpose() {
            Ok(filter) => filter,
            Err(error) => return text(StatusCode::BAD_REQUEST, format!("Invalid re2 regex: {error}\n")),
        };
    let used_only = query.get("usedonly").is_some();
    let wanted = |sample: &Sample| {
        (!used_only || sample.value != 0)
            && filter.as_ref().is_none_or(|filter| filter.is_match(sample.full_name().as_bytes()))
    };
    let samples: Vec<Sample> = samples(state).into_iter().filter(wanted).collect();
    match query.get("format") {
        Some("json") => {
            let stats: Vec<_> =
                samples.iter().map(|s| json!({ "name": s.full_name(), "value": s.value })).collect();
            json_answer(&json!({ "stats": stats }))
        }
        Some("prometheus") => {
            let mut out = String::new();
            export::prometheus(&samples, &mut out);
            typed(PROMETHEUS, out)
        }
        None | Some("text") => {
            let mut out = String::new();
            for sample in &samples {
                let _ = writeln!(out, "{}: {}", sample.full_name(), sample.value);
            }
            text(StatusCode::OK, out)
        }
        Some(other) => {
            text(StatusCode::BAD_REQUEST, format!("unknown format {other} (text, json, prometheus)\n"))
        }
    }
}

/// Everything in Prometheus' text format.
pub(crate) fn prometheus(state: &State) -> String {
    let mut out = String::new();
    export::prometheus(&samples(state), &mut out);
    istio_export::prometheus(&state.stats, &mut out);
    out
}
