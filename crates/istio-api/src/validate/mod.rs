//! Judgement of single values, shared by the kinds. As Istio's `pkg/config/validation` does.

mod hosts;

use std::net::IpAddr;

use model::{Labels, Protocol, Str};

use crate::reader::Item;
use crate::units::PortRef;

pub(crate) use hosts::{HostUse, destination_host, gateway_hosts, gateway_reference, hosts, service_host};

/// Namespaces, `.`, `*` or `~`.
pub(crate) fn export_to(item: &Item<'_>) -> Vec<Str> {
    let mut values: Vec<Str> = Vec::new();
    for entry in item.list() {
        let Some(text) = entry.non_empty() else { continue };
        if !matches!(&*text, "." | "*" | "~") && !is_label(&text) {
            entry.invalid(format!("{text:?} is no namespace, and none of . * ~"));
        } else if values.contains(&text) {
            entry.invalid(format!("{text} is given twice"));
        } else {
            values.push(text);
        }
    }
    if values.len() > 1 && values.iter().any(|v| *v == "*" || *v == "~") {
        item.invalid("* and ~ stand alone".into());
    }
    values
}

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

/// Envoy's retry conditions and HTTP statuses, comma separated.
pub(crate) fn retry_on(item: &Item<'_>) -> Option<Str> {
    let text = item.str()?;
    for policy in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
        let status = policy.parse::<u16>().is_ok_and(|s| (100..600).contains(&s));
        if !status && !RETRY_ON.contains(&policy) {
            item.invalid(format!("{policy:?} is no retry condition ({})", RETRY_ON.join(", ")));
        } else if policy == "retriable-headers" {
            item.no_effect_as("retriable-headers");
        }
    }
    Some(text).filter(|t| !t.trim().is_empty())
}

/// A DNS label, as names of subsets are.
pub(crate) fn dns_label(item: &Item<'_>) -> Option<Str> {
    let text = item.non_empty()?;
    if !is_label(&text) {
        item.invalid(format!("{text:?} is no DNS label (letters, digits and -, at most 63)"));
        return None;
    }
    Some(text)
}

/// Labels: keys and values in Kubernetes' form.
pub(crate) fn labels(item: &Item<'_>) -> Labels {
    for (key, value) in item.entries() {
        let name = key.rsplit_once('/').map_or(&*key, |(_, name)| name);
        if !is_label_value(name) || name.is_empty() {
            value.invalid(format!("{key:?} is no label name"));
        } else if value.str().is_some_and(|text| !is_label_value(&text)) {
            value.invalid("is no label value (letters, digits, -, _ and ., at most 63)".into());
        }
    }
    item.labels()
}

/// Labels that a policy selects by: no wildcards.
pub(crate) fn selector(item: &Item<'_>) -> Labels {
    for (key, value) in item.entries() {
        if key.is_empty() {
            value.invalid("a label name must not be empty".into());
        }
        if key.contains('*') || value.str().is_some_and(|text| text.contains('*')) {
            value.invalid("wildcard not allowed in a label selector".into());
        }
    }
    item.labels()
}

/// A protocol by Istio's name for it.
pub(crate) fn protocol(item: &Item<'_>) -> Option<Protocol> {
    let text = item.str()?;
    if text.is_empty() {
        return None;
    }
    let found = Protocol::by_name(&text);
    if found.is_none() {
        item.invalid(format!("{text:?} is no protocol (HTTP, HTTPS, GRPC, GRPC-WEB, HTTP2, TCP, TLS, UDP)"));
    }
    found
}

/// An IP address or a Unix socket, to be bound to.
pub(crate) fn bind_address(item: &Item<'_>) -> Option<Str> {
    let text = item.str()?;
    if text.is_empty() {
        return None;
    }
    if text.starts_with("unix:") {
        return Some(text);
    }
    ip(item).map(|_| text)
}

pub(crate) fn ip(item: &Item<'_>) -> Option<IpAddr> {
    let text = item.non_empty()?;
    let address = text.parse().ok();
    if address.is_none() {
        item.invalid(format!("{text:?} is no IP address"));
    }
    address
}

/// An IP address, or a block of them: `10.0.0.0/8`.
pub(crate) fn address_or_block(item: &Item<'_>) -> Option<Str> {
    let text = item.non_empty()?;
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (&*text, None),
    };
    let max = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => Some(32),
        Ok(IpAddr::V6(_)) => Some(128),
        Err(_) => None,
    };
    let good = match (max, length.map(str::parse::<u8>)) {
        (Some(_), None) => true,
        (Some(max), Some(Ok(length))) => length <= max,
        _ => false,
    };
    if !good {
        item.invalid(format!("{text:?} is no IP address and no address block"));
        return None;
    }
    Some(text)
}

/// A port by number or by name.
pub(crate) fn port_ref(item: &Item<'_>) -> Option<PortRef> {
    if item.is_string() {
        let text = item.non_empty()?;
        // Kubernetes takes a string of digits for a name; nothing could be called that.
        return Some(text.parse().map_or(PortRef::Name(text), PortRef::Number));
    }
    item.port().map(PortRef::Number)
}

fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_label_value(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && edge(text.chars().next())
        && edge(text.chars().next_back())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_may_be_empty_and_have_dots() {
        for (text, good) in [("", true), ("v1.2_x", true), ("-v1", false), ("v1.", false), ("a b", false)] {
            assert_eq!(is_label_value(text), good, "{text}");
        }
    }
}
