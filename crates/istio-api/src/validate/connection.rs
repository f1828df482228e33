//! Connection pools, outlier detection and load balancers.

use std::collections::BTreeSet;

use super::common::{duration, duration_text};
use crate::reader::Item;

pub(super) fn outlier_detection(item: &Item<'_>) {
    duration(item, "baseEjectionTime");
    duration(item, "interval");
    if item.field_int("consecutiveErrors").is_some_and(|errors| errors != 0) {
        item.field_or_self("consecutiveErrors")
            .warn("consecutiveErrors is deprecated; use consecutiveGatewayErrors or consecutive5xxErrors");
    }
    let local = item.field_int("consecutiveLocalOriginFailures").unwrap_or(0);
    if local > 0 && !item.field_true("splitExternalLocalOriginErrors") {
        let message = "needs splitExternalLocalOriginErrors";
        item.field_or_self("consecutiveLocalOriginFailures").invalid(message.into());
    }
    for name in ["maxEjectionPercent", "minHealthPercent"] {
        if item.field_int(name).is_some_and(|percent| !(0..=100).contains(&percent)) {
            item.field_or_self(name).invalid("must be from 0 to 100".into());
        }
    }
}

/// ConnectionPoolSettings in the field `name`.
pub(super) fn pool(at: &Item<'_>, name: &str) {
    let Some(pool) = at.field(name) else { return };
    if !pool.has("http") && !pool.has("tcp") {
        return pool.invalid("needs tcp or http".into());
    }
    if let Some(http) = pool.field("http") {
        check_http(&http);
    }
    if let Some(tcp) = pool.field("tcp") {
        check_tcp(&tcp);
    }
}

fn check_http(http: &Item<'_>) {
    for name in [
        "http1MaxPendingRequests",
        "http2MaxRequests",
        "maxRequestsPerConnection",
        "maxRetries",
        "maxConcurrentStreams",
    ] {
        not_negative(http, name);
    }
    duration(http, "idleTimeout");
    let policy = http.field_choice("h2UpgradePolicy", &["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"]);
    if policy == "UPGRADE" && http.field_true("useClientProtocol") {
        http.field_or_self("useClientProtocol").invalid("cannot stand beside h2UpgradePolicy UPGRADE".into());
    }
    if let Some(alive) = http.field("http2KeepAlive") {
        for name in ["interval", "timeout"] {
            if !alive.has(name) {
                alive.invalid(format!("{name} is required"));
            }
            duration(&alive, name);
        }
    }
}

fn check_tcp(tcp: &Item<'_>) {
    not_negative(tcp, "maxConnections");
    duration(tcp, "connectTimeout");
    duration(tcp, "maxConnectionDuration");
    duration_text(tcp, "idleTimeout");
    // 0 means no timeout.
    if tcp.field("idleTimeout").and_then(|item| item.as_duration()).is_some_and(|d| d.as_millis() != 0) {
        duration(tcp, "idleTimeout");
    }
    if let Some(alive) = tcp.field("tcpKeepalive") {
        duration(&alive, "time");
        duration(&alive, "interval");
    }
}

fn not_negative(at: &Item<'_>, name: &str) {
    if at.field_int(name).is_some_and(|value| value < 0) {
        at.field_or_self(name).invalid("must not be negative".into());
    }
}

pub(super) fn load_balancer(balancer: &Item<'_>) {
    if let Some(hash) = balancer.field("consistentHash") {
        check_hash(&hash);
    }
    if let Some(warmup) = balancer.field("warmup") {
        duration(&warmup, "duration");
        if warmup.field_number("aggression").is_some_and(|aggression| aggression <= 0.0) {
            warmup.field_or_self("aggression").invalid("must be more than 0".into());
        }
    }
    if let Some(report) = balancer.field("backendUtilization") {
        for name in ["weightUpdatePeriod", "weightStabilizationPeriod", "weightExpirationPeriod"] {
            duration_text(&report, name);
        }
    }
}

/// Envoy's limit for Maglev's table.
const MAX_TABLE: i64 = 5_000_011;

fn check_hash(hash: &Item<'_>) {
    if let Some(cookie) = hash.field("httpCookie") {
        check_cookie(&cookie);
    }
    if hash.field_int("minimumRingSize").is_some_and(|size| size != 0) {
        let item = hash.field_or_self("minimumRingSize");
        item.warn("minimumRingSize is deprecated; use ringHash");
        if hash.has("ringHash") || hash.has("maglev") {
            item.invalid("cannot stand beside ringHash or maglev".into());
        }
    }
    if let Some(maglev) = hash.field("maglev") {
        let size = maglev.field_int("tableSize").unwrap_or(0);
        if size >= MAX_TABLE || !is_prime(size) {
            maglev
                .field_or_self("tableSize")
                .invalid(format!("must be a prime number below {MAX_TABLE}, not {size}"));
        }
    }
}

fn check_cookie(cookie: &Item<'_>) {
    if cookie.has("name") && !cookie.has_some("name") {
        cookie.field_or_self("name").invalid("must not be empty".into());
    }
    duration_text(cookie, "ttl");
    let mut names = BTreeSet::new();
    for attribute in cookie.each("attributes") {
        let name = attribute.field_text("name");
        if attribute.has("name") && name.is_empty() {
            attribute.field_or_self("name").invalid("must not be empty".into());
        } else if !names.insert(name) {
            attribute.field_or_self("name").invalid(format!("the attribute {name} is given twice"));
        }
    }
}

/// As Envoy sees it, which lets 1 pass.
fn is_prime(value: i64) -> bool {
    value > 0 && (2..).take_while(|factor| factor * factor <= value).all(|factor| value % factor != 0)
}
