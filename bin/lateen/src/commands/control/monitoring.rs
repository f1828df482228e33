//! The monitoring port (15014): metrics, readiness, and pages for people who look for a cause.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use lifecycle::Readiness;
use serde_json::{Value, json};
use source::Hub;
use tokio::net::TcpListener;
use xds_server::Status;

use super::exposition::Text;
use super::metrics::Metrics;
use super::{configz, syncz};

/// What the pages show.
pub struct Pages {
    pub hub: Hub,
    pub status: Status,
    pub metrics: Arc<Metrics>,
    pub authority: Arc<ca::Counters>,
    /// End of the signing certificate, Unix seconds.
    pub root_not_after: i64,
    pub readiness: Readiness,
    pub started: Instant,
}

type Shared = State<Arc<Pages>>;

/// Serves until the process ends.
pub async fn serve(listener: TcpListener, pages: Pages) -> Result<(), String> {
    let router = Router::new()
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/version", get(version))
        .route("/debug", get(index))
        .route("/debug/syncz", get(syncz_page))
        .route("/debug/configz", get(configz_page))
        .route("/debug/findings", get(findings_page))
        .with_state(Arc::new(pages));
    axum::serve(listener, router).await.map_err(|error| error.to_string())
}

async fn ready(State(pages): Shared) -> (StatusCode, String) {
    let missing = pages.readiness.missing();
    if missing.is_empty() {
        return (StatusCode::OK, "ready\n".into());
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("waiting for {}\n", missing.join(", ")))
}

async fn metrics(State(pages): Shared) -> impl IntoResponse {
    let mut text = Text::default();
    pages.metrics.write(&mut text, &pages.hub.snapshot(), pages.started.elapsed());
    for (name, value) in pages.authority.snapshot() {
        text.counter(name, "Certificate requests.", value as f64);
    }
    let end = pages.root_not_after as f64;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    text.gauge(
        "citadel_server_root_cert_expiry_timestamp",
        "End of the signing certificate, Unix seconds.",
        end,
    );
    text.gauge("citadel_server_root_cert_expiry_seconds", "Seconds until then.", end - now.as_secs_f64());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text.finish())
}

async fn version() -> Json<Value> {
    Json(json!({ "component": "lateen", "version": env!("CARGO_PKG_VERSION") }))
}

async fn index() -> &'static str {
    "/debug/syncz\n/debug/configz\n/debug/findings\n"
}

async fn syncz_page(State(pages): Shared) -> Json<Value> {
    Json(syncz::page(&pages.status))
}

async fn configz_page(State(pages): Shared) -> Json<Value> {
    Json(configz::page(&pages.hub.snapshot(), &pages.hub.findings()))
}

async fn findings_page(State(pages): Shared) -> Json<Value> {
    Json(configz::findings(&pages.hub.findings()))
}
