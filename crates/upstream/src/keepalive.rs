//! PINGs on HTTP/2 connections, to find those that are dead.

use std::collections::hash_map::RandomState;
use std::future::{pending, poll_fn};
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use http2::Pings;
use ir::http::Http2Keepalive;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// Envoy's default of `interval_jitter`.
const JITTER_PERCENT: u32 = 15;

/// Sends PINGs in the interval configured, and whenever `asked`; resolves when one was not
/// answered in time. See
/// <https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/core/v3/protocol.proto#config-core-v3-keepalivesettings>.
pub async fn keepalive(mut pings: Pings, settings: Http2Keepalive, asked: &Notify) {
    loop {
        tokio::select! {
            () = interval(&settings) => {}
            () = asked.notified() => {}
        }
        if pings.send().is_err() {
            return pending().await;
        }
        match timeout(settings.timeout, poll_fn(|cx| pings.poll_answer(cx))).await {
            Ok(Ok(())) => {}
            // The connection is over, and its driver knows better why.
            Ok(Err(_)) => return pending().await,
            Err(_) => return,
        }
    }
}

async fn interval(settings: &Http2Keepalive) {
    let Some(interval) = settings.interval else { return pending().await };
    let percent = settings.jitter_percent.unwrap_or(JITTER_PERCENT);
    // Spreads connections that began together. Nobody gains from guessing it.
    let dice = RandomState::new().build_hasher().finish() % 1000;
    let most = interval.saturating_mul(percent) / 100;
    sleep(interval + most.mul_f64(dice as f64 / 1000.0).min(Duration::from_secs(3600))).await;
}
