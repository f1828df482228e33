//! `/listeners`, and stopping them.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ::http::StatusCode;
use serde_json::{Value, json};

use super::{Answer, Query, clusters, json_answer, text};
use crate::proxy::State;
use crate::worker::Drained;

pub fn answer(state: &State, query: &Query) -> Answer {
    let active = state.manager.lock().config.active().listeners.clone();
    let mut listeners: Vec<_> = active.into_iter().map(|(_, listener)| listener.config.clone()).collect();
    // One that is not bound serves what others accept; Envoy shows it as well.
    listeners.sort_by(|a, b| a.name.cmp(&b.name));
    if query.get("format") == Some("json") {
        let all: Vec<Value> = listeners.iter().map(|it| status(it)).collect();
        return json_answer(&json!({ "listener_statuses": all }));
    }
    let mut out = String::new();
    for listener in &listeners {
        for address in listener.addresses() {
            let _ = writeln!(out, "{}::{address}", listener.name);
        }
    }
    text(StatusCode::OK, out)
}

fn status(it: &ir::Listener) -> Value {
    let mut status = json!({ "name": it.name.as_str(), "local_address": clusters::address(&it.address) });
    if !it.additional_addresses.is_empty() {
        let others: Vec<Value> = it.additional_addresses.iter().map(clusters::address).collect();
        status["additional_local_addresses"] = others.into();
    }
    status
}

/// `/drain_listeners`.
pub fn drain(state: &Arc<State>, query: &Query) -> Answer {
    let what = if query.get("inboundonly").is_some() { Drained::Inbound } else { Drained::All };
    let mut manager = state.manager.lock();
    if query.get("skip_exit").is_some() {
        if query.get("graceful").is_none() {
            return text(StatusCode::BAD_REQUEST, "skip_exit requires graceful\n");
        }
        manager.tell_of_end(what);
    } else if query.get("graceful").is_some() {
        manager.tell_of_end(what);
        let (state, grace) = (state.clone(), state.listener_drain_time);
        tokio::spawn(async move {
            tokio::time::sleep(grace).await;
            state.manager.lock().stop_listening(what);
        });
    } else {
        manager.stop_listening(what);
    }
    text(StatusCode::OK, "OK\n")
}

/// `/healthcheck/fail` and `/healthcheck/ok`.
pub fn fail_health_checks(state: &State, fail: bool) -> Answer {
    state.health_failed.store(fail, Ordering::Relaxed);
    let mut manager = state.manager.lock();
    match fail {
        true => manager.tell_of_end(Drained::All),
        false => manager.no_end_after_all(),
    }
    text(StatusCode::OK, "OK\n")
}
