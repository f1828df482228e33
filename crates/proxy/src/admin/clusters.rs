//! `/clusters`: endpoints of the moment.

use std::fmt::Write;

use ::http::StatusCode;
use serde_json::json;

use super::{Answer, Query, json_answer, text};
use crate::config::snapshot::Cluster;
use crate::proxy::State;

pub fn answer(state: &State, query: &Query) -> Answer {
    let active = state.manager.lock().config.active().clusters.clone();
    let mut clusters: Vec<_> = active.into_iter().collect();
    clusters.sort_by(|(a, _), (b, _)| a.cmp(b));
    if query.get("format") == Some("json") {
        let all: Vec<_> = clusters.iter().map(|(_, cluster)| as_json(&cluster.look())).collect();
        return json_answer(&json!({ "cluster_statuses": all }));
    }
    let mut out = String::new();
    for (name, cluster) in &clusters {
        let cluster = cluster.look();
        let _ = writeln!(out, "{name}::observability_name::{name}");
        for (endpoint, to) in cluster.endpoints.endpoints().iter().zip(&cluster.destinations) {
            let address = &endpoint.address;
            let _ = writeln!(out, "{name}::{address}::rq_active::{}", to.endpoint.load());
            let _ = writeln!(out, "{name}::{address}::weight::{}", endpoint.weight.unwrap_or(1));
            let _ = writeln!(out, "{name}::{address}::health_flags::{}", flags(endpoint.health));
        }
    }
    text(StatusCode::OK, out)
}

fn flags(health: ir::Health) -> &'static str {
    match health {
        ir::Health::Unknown | ir::Health::Healthy => "healthy",
        ir::Health::Unhealthy => "/failed_eds_health",
        ir::Health::Draining => "/eds_status_draining",
        ir::Health::Degraded => "/degraded_eds_health",
    }
}

fn as_json(cluster: &Cluster) -> serde_json::Value {
    let status = |health| match health {
        ir::Health::Unknown | ir::Health::Healthy => "HEALTHY",
        ir::Health::Unhealthy => "UNHEALTHY",
        ir::Health::Draining => "DRAINING",
        ir::Health::Degraded => "DEGRADED",
    };
    let address = |address: &ir::Address| match address {
        ir::Address::Socket(address) => {
            json!({ "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } })
        }
        ir::Address::Name { host, port } => {
            json!({ "socket_address": { "address": host.as_str(), "port_value": port } })
        }
        ir::Address::Pipe(path) => json!({ "pipe": { "path": path.as_str() } }),
    };
    let endpoints = cluster.endpoints.endpoints().iter().zip(&cluster.destinations);
    let hosts: Vec<_> = endpoints
        .map(|(endpoint, to)| {
            json!({
                "address": address(&endpoint.address),
                "stats": [{ "name": "rq_active", "type": "GAUGE", "value": to.endpoint.load().to_string() }],
                "health_status": { "eds_health_status": status(endpoint.health) },
                "weight": endpoint.weight.unwrap_or(1),
            })
        })
        .collect();
    let name = cluster.config.name.as_str();
    json!({ "name": name, "observability_name": name, "host_statuses": hosts })
}
