//! Names of headers and hosts, methods and statuses: what HTTP says of single values.

use super::common::port;
use super::names::{Verdict, is_label, wildcard_domain};
use crate::reader::Item;

/// A token, as names of headers are (RFC 9110, section 5.6.2).
pub(super) fn token(name: &str) -> Verdict {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    match name {
        "" => Err("the name of a header must not be empty".into()),
        _ if name.bytes().all(good) => Ok(()),
        _ => Err(format!("{name:?} is no name of a header")),
    }
}

/// The name of a header that a condition is on: HTTP/2's pseudo headers too.
pub(super) fn matched_name(name: &str) -> Verdict {
    match name {
        ":method" | ":scheme" | ":authority" | ":path" | ":status" => Ok(()),
        _ => token(name),
    }
}

/// Whether a condition is on a claim of a JWT: `@request.auth.claims.NAME` or `[NAME]`.
pub(super) fn is_claim(name: &str) -> bool {
    const PREFIX: &str = "@request.auth.claims";
    let Some((prefix, rest)) = name.split_at_checked(PREFIX.len()) else { return false };
    let bracketed = rest.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    prefix.eq_ignore_ascii_case(PREFIX)
        && (rest.strip_prefix('.').is_some_and(|name| !name.is_empty())
            || bracketed.is_some_and(|name| !name.is_empty()))
}

/// Whether this header is the request's authority.
pub(super) fn is_authority(name: &str) -> bool {
    name.eq_ignore_ascii_case(":authority") || name.eq_ignore_ascii_case("host")
}

pub(super) fn is_method(method: &str) -> bool {
    matches!(
        method,
        "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "CONNECT" | "OPTIONS" | "TRACE" | "*"
    )
}

/// Whether a status is registered: <https://www.iana.org/assignments/http-status-codes/>.
pub(super) fn is_status(status: u16) -> bool {
    matches!(
        status,
        100..=103 | 200..=208 | 226 | 300..=305 | 307 | 308 | 400..=418 | 421..=426 | 428 | 429 | 431 | 451
            | 500..=508 | 510 | 511
    )
}

/// A service and what of it.
pub(super) fn destination(item: &Item<'_>) {
    if let Some(host) = item.field("host") {
        if host.text() == "*" {
            host.invalid("a destination cannot be every host".into());
        } else {
            host.judge(wildcard_domain(host.text()));
        }
    }
    let subset = item.field_text("subset");
    if !subset.is_empty() && !is_label(subset) {
        item.field_or_self("subset").invalid(format!("{subset:?} is no name of a subset"));
    }
    if let Some(selector) = item.field("port") {
        port(&selector, "number", false);
    }
}
