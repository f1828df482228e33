//! Hosts, and references that contain one.

use std::collections::BTreeSet;
use std::net::IpAddr;

use model::Str;

use super::is_label;
use crate::reader::Item;

/// What a list of hosts is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostUse {
    /// Of a VirtualService: also `*`.
    Routed,
    /// Of a ServiceEntry: at most 256, and not `*`.
    Entry,
}

/// A list of host names or wildcards, at least one, none twice.
pub(crate) fn hosts(item: &Item<'_>, usage: HostUse) {
    let items = item.list();
    if items.is_empty() {
        item.invalid("needs at least one host".into());
    }
    if usage == HostUse::Entry && items.len() > 256 {
        item.invalid("has more than 256 hosts".into());
    }
    let mut seen = BTreeSet::new();
    for item in items {
        let Some(text) = item.non_empty() else { continue };
        if usage == HostUse::Entry && text == "*" {
            item.invalid("the host * would stand for everything".into());
        } else if text.parse::<IpAddr>().is_err() && !is_domain(&text, true) {
            item.invalid(format!("{text:?} is no host name"));
        }
        if !seen.insert(text.to_ascii_lowercase()) {
            item.invalid(format!("the host {text} is given twice"));
        }
    }
}

/// Hosts of a gateway server: `HOST` or `NAMESPACE/HOST`, at least one.
pub(crate) fn gateway_hosts(item: &Item<'_>) {
    let items = item.list();
    if items.is_empty() {
        item.invalid("needs at least one host".into());
    }
    for item in items {
        let Some(text) = item.non_empty() else { continue };
        let (namespace, host) = text.split_once('/').unwrap_or(("*", &text));
        if !matches!(namespace, "*" | "." | "~") && !is_label(namespace) {
            item.invalid(format!("{namespace:?} is no namespace"));
        } else if !is_domain(host, true) && host.parse::<IpAddr>().is_err() {
            item.invalid(format!("{host:?} is no host name"));
        } else if !host.contains(['.', '*', ':']) {
            item.invalid(format!("{host:?} is a short name; a gateway serves full ones"));
        }
    }
}

/// The host of a route's destination: of a service, whose own host may be a wildcard.
pub(crate) fn destination_host(item: &Item<'_>) -> Option<Str> {
    let text = service_host(item)?;
    if text == "*" {
        item.invalid("a destination cannot be every host".into());
        return None;
    }
    Some(text)
}

/// The host of a DestinationRule: exact or wildcard.
pub(crate) fn service_host(item: &Item<'_>) -> Option<Str> {
    let text = item.non_empty()?;
    if !is_domain(&text, true) && text.parse::<IpAddr>().is_err() {
        item.invalid(format!("{text:?} is no host name"));
        return None;
    }
    Some(text)
}

/// `mesh`, `NAME` or `NAMESPACE/NAME`.
pub(crate) fn gateway_reference(item: &Item<'_>) {
    let Some(text) = item.non_empty() else { return };
    let good = match text.split_once('/') {
        Some((namespace, name)) => (namespace == "." || is_label(namespace)) && is_domain(name, false),
        None => is_domain(&text, false),
    };
    if !good {
        item.invalid(format!("{text:?} is not of the form NAME or NAMESPACE/NAME"));
    }
}

/// Labels separated by dots; the first may be a wildcard: `*`, `*-x`.
fn is_domain(text: &str, wildcard: bool) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.is_empty() || text.len() > 255 {
        return false;
    }
    text.split('.').enumerate().all(|(index, label)| match label {
        "*" => wildcard && index == 0,
        // The names by which Istio passes connections on between clusters.
        _ if text.starts_with("outbound_.") => is_label(label.trim_matches('_')) || label == "_",
        _ if wildcard && index == 0 => {
            is_label(label.strip_prefix("*").map_or(label, |l| l.trim_start_matches('-')))
        }
        _ => is_label(label),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_labels_with_at_most_one_wildcard_in_front() {
        for (text, wildcard, good) in [
            ("reviews", false, true),
            ("reviews.shop.svc.cluster.local", false, true),
            ("Reviews.com.", false, true),
            ("*", true, true),
            ("*.com", true, true),
            ("*-x.com", true, true),
            ("*x.com", true, true),
            ("outbound_.80_._.a.com", true, true),
            ("*.com", false, false),
            ("a.*.com", true, false),
            ("a..b", true, false),
            ("-a", true, false),
            ("a_b", true, false),
            ("", true, false),
        ] {
            assert_eq!(is_domain(text, wildcard), good, "{text}");
        }
    }
}
