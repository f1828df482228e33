//! The administration interface, as Envoy has it.

mod breakers;
mod certs;
mod clusters;
mod config_dump;
mod dns_caches;
pub mod histograms;
mod listeners;
mod logging;
mod mask;
mod pages;
mod pieces;
pub(crate) mod process;
pub mod stats;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ::http::{Method, Request, Response, StatusCode, header};
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::proxy::State;
use pieces::Pieces;

/// The server's task; it ends when this is dropped.
pub struct Server(JoinHandle<()>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts serving.
///
/// # Errors
/// The socket cannot be used.
pub(crate) fn serve(state: Arc<State>, socket: std::net::TcpListener) -> std::io::Result<Server> {
    let listener = TcpListener::from_std(socket)?;
    Ok(Server(tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let state = state.clone();
                    tokio::spawn(async move {
                        let service =
                            hyper::service::service_fn(move |request| answer(state.clone(), request));
                        let _ = hyper::server::conn::http1::Builder::new()
                            .serve_connection(TokioIo::new(stream), service)
                            .await;
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "admin: accept failed");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            }
        }
    })))
}

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let query = Query::of(request.uri().query().unwrap_or(""));
    let Some(page) = pages::find(request.uri().path()) else {
        return Ok(text(StatusCode::NOT_FOUND, format!("invalid path. {}", pages::help())));
    };
    if page.post && request.method() != Method::POST {
        let body = format!("Method {} not allowed, POST required.", request.method());
        return Ok(text(StatusCode::METHOD_NOT_ALLOWED, body));
    }
    Ok(show(&state, page.path, &query))
}

fn show(state: &Arc<State>, path: &str, query: &Query) -> Answer {
    let ok = || text(StatusCode::OK, "OK\n");
    match path {
        "/" => typed(HTML, pages::index()),
        "/certs" => certs::answer(state),
        "/clusters" => clusters::answer(state, query),
        "/config_dump" => match config_dump::dump(state, query) {
            Ok(dump) => respond(StatusCode::OK, JSON, Pieces::new(dump).boxed_unsync()),
            Err((status, why)) => text(status, why),
        },
        "/drain_listeners" => listeners::drain(state, query),
        "/healthcheck/fail" => listeners::fail_health_checks(state, true),
        "/healthcheck/ok" => listeners::fail_health_checks(state, false),
        "/hot_restart_version" => text(StatusCode::OK, "disabled"),
        "/listeners" => listeners::answer(state, query),
        "/logging" => logging::answer(query),
        "/memory" => json_answer(&process::memory()),
        "/quitquitquit" => {
            state.quit.notify_one();
            ok()
        }
        "/ready" => ready(state),
        "/reopen_logs" => {
            state.reopen.reopen();
            ok()
        }
        "/reset_counters" => {
            stats::reset(state);
            ok()
        }
        "/server_info" => json_answer(&server_info(state)),
        "/stats" => stats::answer(state, query),
        "/stats/prometheus" => stats::prometheus_answer(state, query),
        _ => text(StatusCode::OK, pages::help()),
    }
}

const HTML: &str = "text/html; charset=UTF-8";
const JSON: &str = "application/json";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

fn ready(state: &State) -> Answer {
    match state_name(state) {
        "LIVE" => text(StatusCode::OK, "LIVE\n"),
        other => text(StatusCode::SERVICE_UNAVAILABLE, format!("{other}\n")),
    }
}

fn state_name(state: &State) -> &'static str {
    if state.draining.load(Ordering::Relaxed) || state.health_failed.load(Ordering::Relaxed) {
        "DRAINING"
    } else if state.manager.lock().config.is_ready() {
        "LIVE"
    } else {
        "INITIALIZING"
    }
}

fn server_info(state: &State) -> serde_json::Value {
    let uptime = format!("{}s", state.started.elapsed().as_secs());
    // Making JSON takes a while: not under the lock.
    let bootstrap = state.manager.lock().config.bootstrap.clone();
    let node = xds_codec::json::Dump::new().bootstrap(&bootstrap).get("node").cloned();
    json!({
        "version": format!("lateen/{}", state.version),
        "state": state_name(state),
        "uptime_current_epoch": uptime,
        "uptime_all_epochs": uptime,
        "hot_restart_version": "disabled",
        "command_line_options": { "concurrency": state.stats.len(), "command_line": state.command_line },
        "node": node,
    })
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    respond(status, "text/plain; charset=UTF-8", Full::new(body.into()).boxed_unsync())
}

fn typed(content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    respond(StatusCode::OK, content_type, Full::new(body.into()).boxed_unsync())
}

fn json_answer(value: &serde_json::Value) -> Answer {
    typed(JSON, serde_json::to_vec_pretty(value).unwrap_or_default())
}

fn respond(status: StatusCode, content_type: &'static str, body: UnsyncBoxBody<Bytes, Infallible>) -> Answer {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response.headers_mut().insert("x-content-type-options", header::HeaderValue::from_static("nosniff"));
    response
}

/// Parameters of a URL's query.
pub struct Query(Vec<(String, String)>);

impl Query {
    fn of(text: &str) -> Self {
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        };
        Query(text.split('&').filter(|part| !part.is_empty()).map(pair).collect())
    }

    pub fn first(&self) -> Option<(&str, &str)> {
        self.0.first().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// Undoes percent-encoding.
fn decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.as_bytes().iter();
    while let Some(byte) = bytes.next() {
        let rest = bytes.as_slice();
        let hex = rest.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match (byte, hex) {
            (b'%', Some(value)) => {
                out.push(value);
                bytes.nth(1);
            }
            (b'+', _) => out.push(b' '),
            (other, _) => out.push(*other),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read() {
        let query = Query::of("filter=http%5C.a&format=json&x&y=1%2");
        assert_eq!(query.get("filter"), Some("http\\.a"));
        assert_eq!(query.get("x"), Some(""));
        assert_eq!(query.get("y"), Some("1%2"));
        assert_eq!(query.get("z"), None);
    }
}
