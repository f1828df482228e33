//! `/clusters`: endpoints of the moment.
//! See <https://www.envoyproxy.io/docs/envoy/v1.40.0/operations/admin#get--clusters>.

use std::fmt::Write;

use ::http::StatusCode;
use engine::regex::Regex;
use ir::route::RoutingPriority;
use ir::{Address, Health};
use serde_json::{Value, json};
use upstream::{HostStats, Limits};

use super::{Answer, Query, json_answer, text};
use crate::config::snapshot::Cluster;
use crate::hosts::{Flag, Host};
use crate::proxy::State;

pub fn answer(state: &State, query: &Query) -> Answer {
    let filter = query.get("filter").map(|f| Regex::new(&format!(".*(?:{f}).*")));
    let Ok(filter) = filter.transpose() else { return text(StatusCode::BAD_REQUEST, "Invalid re2 regex") };
    let active = state.manager.lock().config.active().clusters.clone();
    let wanted = |name: &str| filter.as_ref().is_none_or(|filter| filter.is_match(name.as_bytes()));
    let mut clusters: Vec<_> = active.into_iter().filter(|(name, _)| wanted(name)).collect();
    clusters.sort_by(|(a, _), (b, _)| a.cmp(b));
    let dynamic = |name: &str| state.manager.lock().config.static_cluster(name).is_none();
    if query.get("format") == Some("json") {
        let all: Vec<Value> =
            clusters.iter().map(|(name, cluster)| as_json(&cluster.look(), dynamic(name))).collect();
        return json_answer(&json!({ "cluster_statuses": all }));
    }
    let mut out = String::new();
    for (name, cluster) in &clusters {
        as_text(&cluster.look(), dynamic(name), &mut out);
    }
    text(StatusCode::OK, out)
}

/// `-1` where nothing was judged, as Envoy has it.
fn rate(value: Option<f64>) -> String {
    value.map_or_else(|| "-1".to_owned(), |value| value.to_string())
}

fn as_text(cluster: &Cluster, dynamic: bool, out: &mut String) {
    let name = cluster.config.name.as_str();
    let mut line = |text: std::fmt::Arguments<'_>| {
        let _ = writeln!(out, "{name}::{text}");
    };
    line(format_args!("observability_name::{name}"));
    if cluster.config.outlier.is_some() {
        let averages = cluster.state.health().map_or([None; 2], |health| health.averages());
        for (prefix, average) in ["", "local_origin_"].into_iter().zip(averages) {
            line(format_args!("outlier::{prefix}success_rate_average::{}", rate(average.map(|it| it.0))));
            let threshold = rate(average.map(|it| it.1));
            line(format_args!("outlier::{prefix}success_rate_ejection_threshold::{threshold}"));
        }
    }
    for (title, priority) in
        [("default_priority", RoutingPriority::Default), ("high_priority", RoutingPriority::High)]
    {
        let [connections, pending, requests, retries] = Limits::of(&cluster.config, priority).configured();
        line(format_args!("{title}::max_connections::{connections}"));
        line(format_args!("{title}::max_pending_requests::{pending}"));
        line(format_args!("{title}::max_requests::{requests}"));
        line(format_args!("{title}::max_retries::{retries}"));
    }
    line(format_args!("added_via_api::{dynamic}"));
    for host in cluster.hosts() {
        let Host { endpoint, locality, priority, .. } = &host;
        let address = &host.address;
        let mut line = |text: std::fmt::Arguments<'_>| line(format_args!("{address}::{text}"));
        for (stat, _, value) in numbers(cluster, &host) {
            line(format_args!("{stat}::{value}"));
        }
        line(format_args!("hostname::{}", endpoint.hostname));
        line(format_args!("health_flags::{}", host.flags_text()));
        line(format_args!("weight::{}", endpoint.weight.unwrap_or(1)));
        line(format_args!("region::{}", locality.region));
        line(format_args!("zone::{}", locality.zone));
        line(format_args!("sub_zone::{}", locality.sub_zone));
        line(format_args!("canary::false"));
        line(format_args!("priority::{priority}"));
        let rates = host.state.success_rates();
        line(format_args!("success_rate::{}", rate(rates[0])));
        line(format_args!("local_origin_success_rate::{}", rate(rates[1])));
    }
}

/// In the order of Envoy's text.
fn numbers(cluster: &Cluster, host: &Host<'_>) -> [(&'static str, bool, u64); 9] {
    let HostStats {
        cx_active,
        cx_connect_fail,
        cx_total,
        rq_active,
        rq_error,
        rq_success,
        rq_timeout,
        rq_total,
    } = host.state.traffic().stats();
    // Only the cluster as a whole counts who waits.
    let waiting = if cluster.destinations.len() == 1 { cluster.state.pending() } else { 0 };
    [
        ("cx_active", true, cx_active),
        ("cx_connect_fail", false, cx_connect_fail),
        ("cx_total", false, cx_total),
        ("rq_active", true, rq_active),
        ("rq_error", false, rq_error),
        ("rq_pending_active", true, waiting.into()),
        ("rq_success", false, rq_success),
        ("rq_timeout", false, rq_timeout),
        ("rq_total", false, rq_total),
    ]
}

fn as_json(cluster: &Cluster, dynamic: bool) -> Value {
    let host = |host: Host<'_>| {
        let endpoint = host.endpoint;
        let number = |(name, gauge, value): (&str, bool, u64)| {
            let kind = if gauge { "GAUGE" } else { "COUNTER" };
            json!({ "name": name, "type": kind, "value": value.to_string() })
        };
        let stats: Vec<Value> = numbers(cluster, &host).into_iter().map(number).collect();
        let mut value = json!({
            "address": address(&host.address),
            "stats": stats,
            "health_status": health(&host),
            "weight": endpoint.weight.unwrap_or(1),
        });
        if !endpoint.hostname.is_empty() {
            value["hostname"] = json!(endpoint.hostname.as_str());
        }
        value["locality"] = locality(host.locality);
        if host.priority > 0 {
            value["priority"] = json!(host.priority);
        }
        let rates = host.state.success_rates();
        for (name, rate) in ["success_rate", "local_origin_success_rate"].into_iter().zip(rates) {
            if let Some(rate) = rate {
                value[name] = json!({ "value": rate });
            }
        }
        value
    };
    let hosts: Vec<Value> = cluster.hosts().map(host).collect();
    let mut value = json!({
        "name": cluster.config.name.as_str(),
        "host_statuses": hosts,
        "circuit_breakers": { "thresholds": [
            thresholds(cluster, RoutingPriority::Default),
            thresholds(cluster, RoutingPriority::High),
        ] },
        "observability_name": cluster.config.name.as_str(),
    });
    if dynamic {
        value["added_via_api"] = json!(true);
    }
    if let Some(Some((_, threshold))) = cluster.state.health().map(|health| health.averages()[0]) {
        value["success_rate_ejection_threshold"] = json!({ "value": threshold });
    }
    value
}

fn thresholds(cluster: &Cluster, priority: RoutingPriority) -> Value {
    let [connections, pending, requests, retries] = Limits::of(&cluster.config, priority).configured();
    let mut value = json!({
        "max_connections": connections,
        "max_pending_requests": pending,
        "max_requests": requests,
        "max_retries": retries,
    });
    if priority == RoutingPriority::High {
        value["priority"] = json!("HIGH");
    }
    value
}

fn locality(place: &model::Locality) -> Value {
    let levels = [("region", &place.region), ("zone", &place.zone), ("sub_zone", &place.sub_zone)];
    let set = levels.into_iter().filter(|(_, value)| !value.is_empty());
    set.map(|(name, value)| (name.to_owned(), json!(value.as_str()))).collect()
}

/// `envoy.admin.v3.HostHealthStatus`.
fn health(host: &Host<'_>) -> Value {
    let status = match host.endpoint.health {
        Health::Unknown | Health::Healthy => "HEALTHY",
        Health::Unhealthy => "UNHEALTHY",
        Health::Draining => "DRAINING",
        Health::Degraded => "DEGRADED",
    };
    let mut value = json!({ "eds_health_status": status });
    for flag in &host.flags {
        let name = match flag {
            Flag::FailedActiveHc => "failed_active_health_check",
            Flag::FailedOutlierCheck => "failed_outlier_check",
            Flag::DegradedActiveHc => "failed_active_degraded_check",
            Flag::PendingActiveHc => "pending_active_hc",
            Flag::ActiveHcTimeout => "active_hc_timeout",
            // The status says these.
            Flag::FailedEdsHealth | Flag::DegradedEdsHealth | Flag::EdsStatusDraining => continue,
        };
        value[name] = json!(true);
    }
    value
}

/// `envoy.config.core.v3.Address`.
pub(super) fn address(address: &Address) -> Value {
    match address {
        Address::Socket(address) => {
            json!({ "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } })
        }
        Address::Name { host, port } => {
            json!({ "socket_address": { "address": host.as_str(), "port_value": port } })
        }
        Address::Pipe(path) => json!({ "pipe": { "path": path.as_str() } }),
    }
}
