//! `/stats`: numbers of all workers, added up.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::{MutexGuard, PoisonError};

use ::http::StatusCode;
use serde_json::json;

use super::histograms::{self, Mode};
use super::{Answer, PROMETHEUS, Query, json_answer, process, text, typed};
use crate::proxy::State;
use crate::telemetry::{
    HistogramSample, Kind, Sample, Scope, collect, collect_histograms, export, istio_export,
};

/// Every number, those of the server included.
fn samples(state: &State) -> Vec<Sample> {
    let mut all = collect(&state.stats);
    let server = |name, kind, value| Sample { scope: Scope::Server, name, kind, value };
    let (ready, managers) = {
        let manager = state.manager.lock();
        (manager.config.is_ready(), of_managers(&manager.config))
    };
    all.extend(managers);
    all.extend(crate::overload::samples(state));
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
        all.push(gauge("membership_degraded", members.degraded));
        all.push(gauge("membership_excluded", members.excluded));
        all.push(gauge("upstream_cx_active", connections));
        all.extend(cluster.used().into_iter().flat_map(|used| super::breakers::samples(used)));
    }
    let caches = state.manager.lock().config.caches();
    all.extend(caches.all().iter().flat_map(|cache| super::dns_caches::samples(cache)));
    // Connections belong to the pools, which are asked above.
    let mut seen = std::collections::HashSet::new();
    all.reverse();
    all.retain(|s| s.name != "upstream_cx_active" || seen.insert(s.scope.clone()));
    all.push(server("concurrency", Kind::Gauge, state.stats.len() as u64));
    all.push(server("live", Kind::Gauge, u64::from(ready)));
    let draining = super::state_name(state) == "DRAINING";
    // Envoy's numbers: live, draining, initializing.
    let phase = if draining { 1 } else { u64::from(!ready) * 3 };
    all.push(server("state", Kind::Gauge, phase));
    all.push(server("uptime", Kind::Gauge, state.started.elapsed().as_secs()));
    all.push(server("total_connections", Kind::Gauge, connections));
    all.push(server(
        "memory_allocated",
        Kind::Gauge,
        process::anonymous(Path::new(process::STATUS)).unwrap_or(0),
    ));
    if let Some(days) = days_until_first_expiry(state) {
        all.push(server("days_until_first_cert_expiring", Kind::Gauge, days));
    }
    all.push(server("memory_physical_size", Kind::Gauge, process::resident()));
    all.sort_by_cached_key(|sample| (sample.scope.clone(), sample.name));
    all
}

/// Of the certificates that we present.
fn days_until_first_expiry(state: &State) -> Option<u64> {
    let all = state.secrets.certificates().into_iter();
    all.map(|(_, it)| super::certs::days_left(it.names.not_after, std::time::SystemTime::now())).min()
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

/// What counters said when they were reset, by scope and name. Workers are the only writers of their
/// counters, so a reset subtracts.
pub type Zero = HashMap<(Scope, &'static str), u64>;

/// Counters begin anew; gauges are what they are.
pub(super) fn reset(state: &State) {
    let counters = samples(state).into_iter().filter(|sample| sample.kind == Kind::Counter);
    let zero = counters.map(|sample| ((sample.scope, sample.name), sample.value)).collect();
    *zero_of(state) = zero;
}

fn zero_of(state: &State) -> MutexGuard<'_, Zero> {
    state.zero.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Since the last reset. Those that were in use before it still are.
fn since_reset(state: &State) -> Vec<(Sample, bool)> {
    let all = samples(state);
    let zero = zero_of(state);
    let counted = all.into_iter().map(|mut sample| {
        let used = sample.value != 0;
        if let Some(zero) = zero.get(&(sample.scope.clone(), sample.name)) {
            sample.value = sample.value.saturating_sub(*zero);
        }
        (sample, used)
    });
    counted.collect()
}

/// The histograms that the query asks for.
fn recorded(state: &State, query: &Query) -> Result<Vec<HistogramSample>, String> {
    if !matches!(query.get("type"), None | Some("All" | "Histograms")) {
        return Ok(Vec::new());
    }
    let filter = name_filter(query)?;
    let used_only = query.get("usedonly").is_some();
    let invert = query.get("invert_filter").is_some();
    let mut all = collect_histograms(&state.stats);
    all.retain(|sample| {
        (!used_only || sample.counts.count() > 0)
            && filter.as_ref().is_none_or(|it| it.is_match(sample.full_name().as_bytes()) != invert)
    });
    Ok(all)
}

fn name_filter(query: &Query) -> Result<Option<engine::regex::Regex>, String> {
    let filter = query.get("filter").map(|f| engine::regex::Regex::new(&format!(".*(?:{f}).*")));
    filter.transpose().map_err(|error| format!("Invalid re2 regex: {error}\n"))
}

/// What the query asks for.
fn selected(state: &State, query: &Query) -> Result<Vec<Sample>, String> {
    let filter = name_filter(query)?;
    let kind = match query.get("type") {
        None | Some("All") => None,
        Some("Counters") => Some(Some(Kind::Counter)),
        Some("Gauges") => Some(Some(Kind::Gauge)),
        // Those are no samples.
        Some("Histograms" | "TextReadouts") => Some(None),
        Some(_) => return Err("invalid &type= param".to_owned()),
    };
    let used_only = query.get("usedonly").is_some();
    let invert = query.get("invert_filter").is_some();
    let wanted = |(sample, used): &(Sample, bool)| {
        (!used_only || *used)
            && kind.is_none_or(|kind| kind == Some(sample.kind))
            && filter.as_ref().is_none_or(|it| it.is_match(sample.full_name().as_bytes()) != invert)
    };
    Ok(since_reset(state).into_iter().filter(wanted).map(|(sample, _)| sample).collect())
}

pub(super) fn answer(state: &State, query: &Query) -> Answer {
    let bad = |why: String| text(StatusCode::BAD_REQUEST, why);
    let Some(mode) = Mode::parse(query.get("histogram_buckets")) else {
        return bad("usage: /stats?histogram_buckets=(cumulative|disjoint|detailed|summary)\n".to_owned());
    };
    match query.get("format") {
        Some("prometheus") => return prometheus_answer(state, query),
        None | Some("text" | "json") => {}
        Some(_) => return bad("usage: /stats?format=(json|prometheus|text)\n\n".to_owned()),
    }
    let (samples, histograms) = match (selected(state, query), recorded(state, query)) {
        (Ok(samples), Ok(histograms)) => (samples, histograms),
        (Err(why), _) | (_, Err(why)) => return bad(why),
    };
    let histograms = state.intervals.show(histograms);
    if query.get("format") == Some("json") {
        let mut stats: Vec<_> =
            samples.iter().map(|s| json!({ "name": s.full_name(), "value": s.value })).collect();
        if !histograms.is_empty() {
            stats.push(json!({ "histograms": histograms::to_json(&histograms, mode) }));
        }
        return json_answer(&json!({ "stats": stats }));
    }
    let mut out = String::new();
    for sample in &samples {
        let _ = writeln!(out, "{}: {}", sample.full_name(), sample.value);
    }
    for histogram in &histograms {
        histograms::text(histogram, mode, &mut out);
    }
    text(StatusCode::OK, out)
}

/// `/stats/prometheus`. Istio's own metrics come along where nothing is filtered.
pub(super) fn prometheus_answer(state: &State, query: &Query) -> Answer {
    let narrowed = ["filter", "type"].iter().any(|name| query.get(name).is_some());
    match (selected(state, query), recorded(state, query)) {
        (Ok(samples), Ok(histograms)) => {
            let mut out = String::new();
            export::prometheus(&samples, &mut out);
            export::prometheus_histograms(&histograms, &mut out);
            if !narrowed {
                istio_export::prometheus(&state.stats, &mut out);
            }
            typed(PROMETHEUS, out)
        }
        (Err(why), _) | (_, Err(why)) => text(StatusCode::BAD_REQUEST, why),
    }
}

/// Everything in Prometheus' text format.
pub(crate) fn prometheus(state: &State) -> String {
    let mut out = String::new();
    let samples: Vec<Sample> = since_reset(state).into_iter().map(|(sample, _)| sample).collect();
    export::prometheus(&samples, &mut out);
    export::prometheus_histograms(&collect_histograms(&state.stats), &mut out);
    istio_export::prometheus(&state.stats, &mut out);
    out
}
