//! HTTPRetry, of a VirtualService and of the mesh's configuration.

use super::common::duration;
use super::header;
use super::names::Verdict;
use crate::reader::Item;

/// Envoy's conditions for retries:
/// <https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter>.
const RETRY_ON: [&str; 16] = [
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "envoy-ratelimited",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "retriable-headers",
    "http3-post-connect-failure",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];

/// HTTPRetry, which the mesh's configuration has too.
pub(crate) fn check(item: &Item<'_>) {
    let attempts = item.field_int("attempts").unwrap_or(0);
    if attempts < 0 {
        item.field_or_self("attempts").invalid("must not be negative".into());
    }
    let tuned = item.has("perTryTimeout") || item.has_some("retryOn") || item.has("retryRemoteLocalities");
    if attempts == 0 && tuned {
        item.invalid("attempts is 0, so no other retry setting is possible".into());
    }
    duration(item, "perTryTimeout");
    duration(item, "backoff");
    if let Some(on) = item.field("retryOn").filter(|on| !on.text().is_empty()) {
        on.text().split(',').for_each(|condition| on.judge(retry_condition(condition)));
    }
}

fn retry_condition(text: &str) -> Verdict {
    if RETRY_ON.contains(&text) || text.parse::<u16>().is_ok_and(header::is_status) {
        return Ok(());
    }
    Err(format!("{text:?} is no retry condition ({}) and no HTTP status", RETRY_ON.join(", ")))
}
