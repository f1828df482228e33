//! Rules that several kinds share.

use std::collections::BTreeSet;
use std::time::Duration;

use model::{Protocol, Str};

use super::names::{self, Verdict, is_label};
use crate::reader::Item;

impl Item<'_> {
    /// Reports what is wrong, if something is.
    pub(super) fn judge(&self, verdict: Verdict) {
        if let Err(message) = verdict {
            self.invalid(message);
        }
    }
}

/// Labels and their values in Kubernetes' form.
pub(super) fn labels(at: &Item<'_>, name: &str) {
    for (key, item) in at.each_entry(name) {
        item.judge(names::label_key(key).and_then(|()| names::label_value(item.text())));
    }
}

/// A selector without labels selects everything, which may not be meant. Wildcards and empty
/// names are the schema's matter, except in the older selectors.
pub(super) fn selector(at: &Item<'_>, name: &str, labels: &str) {
    let Some(selector) = at.field(name) else { return };
    if !selector.has_some(labels) {
        selector.warn(
            "workload selector specified without labels, so it selects every workload of the namespace",
        );
    }
    if labels == "labels" {
        for (key, item) in selector.each_entry(labels) {
            if key.is_empty() || key.contains('*') {
                item.invalid("neither wildcards nor empty names are possible in a selector".into());
            }
        }
    }
}

/// What a policy may be attached to: group and kind.
const TARGETS: [(&str, &str); 5] = [
    ("", "Service"),
    ("core", "Service"),
    ("networking.istio.io", "ServiceEntry"),
    ("gateway.networking.k8s.io", "Gateway"),
    ("gateway.networking.k8s.io", "GatewayClass"),
];

/// `targetRef` and `targetRefs`.
pub(super) fn targets(at: &Item<'_>) {
    for target in at.field("targetRef").into_iter().chain(at.each("targetRefs")) {
        let (group, kind) = (target.field_text("group"), target.field_text("kind"));
        if !kind.is_empty() && !TARGETS.contains(&(group, kind)) {
            target.invalid(format!(
                "a policy cannot be attached to {kind} of the group {group:?}, only to Service, ServiceEntry, \
                 and Kubernetes' Gateway and GatewayClass"
            ));
        }
    }
}

/// A duration of whole milliseconds, at least one.
pub(super) fn duration(at: &Item<'_>, name: &str) {
    let Some(item) = at.field(name) else { return };
    let Some(duration) = item.as_duration() else { return };
    if duration < Duration::from_millis(1) {
        item.invalid("must be at least 1ms".into());
    } else if duration.subsec_nanos() % 1_000_000 != 0 {
        item.invalid("must be whole milliseconds".into());
    }
}

/// A text that must be a duration, where the schema does not say so.
pub(super) fn duration_text(at: &Item<'_>, name: &str) {
    if let Some(item) = at.field(name)
        && let Err(error) = stdx::duration::parse(item.text())
    {
        item.invalid(error.to_string());
    }
}

/// A port from 1 to 65535, if there is one. 0 counts as none where `optional`.
pub(super) fn port(at: &Item<'_>, name: &str, optional: bool) {
    let value = at.field_int(name).unwrap_or(0);
    let absent = optional && value == 0;
    if !absent && !(1..=65535).contains(&value) {
        at.field_or_self(name).invalid(format!("{name} must be a port from 1 to 65535, not {value}"));
    }
}

/// A percentage that counts in ten-thousandths.
pub(super) fn percentage(at: &Item<'_>, name: &str) {
    let Some(item) = at.field(name) else { return };
    let value = item.field_number("value").unwrap_or(0.0);
    if value != 0.0 && !(0.0001..=100.0).contains(&value) {
        item.field_or_self("value").invalid("must be 0, or from 0.0001 to 100".into());
    }
}

/// A protocol that Istio knows; none means that the proxy finds out.
pub(super) fn protocol(at: &Item<'_>, name: &str) {
    let text = at.field_text(name);
    if !text.is_empty() && Protocol::by_name(text).is_none() {
        at.field_or_self(name).invalid(format!("{text:?} is no protocol ({PROTOCOLS})"));
    }
}

pub(super) const PROTOCOLS: &str = "HTTP, HTTP2, HTTPS, GRPC, GRPC-WEB, TCP, TLS, UDP, MONGO, REDIS, MYSQL";

pub(super) fn protocol_of(at: &Item<'_>) -> Option<Protocol> {
    Protocol::by_name(at.field_text("protocol"))
}

pub(super) fn is_tls(protocol: Option<Protocol>) -> bool {
    matches!(protocol, Some(Protocol::Https | Protocol::Tls))
}

/// Whom `exportTo` belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Exported {
    VirtualService,
    ServiceEntry,
    DestinationRule { selects: bool },
}

/// Namespaces, `.` for one's own, `*` for all, and for a ServiceEntry `~` for none.
pub(super) fn visibility(at: &Item<'_>, namespace: &str, exported: Exported) {
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let items = at.each("exportTo");
    for item in &items {
        let text = item.text();
        let key = if text == "." { namespace } else { text };
        let known = key == "*" || is_label(key) || key == "~" && exported == Exported::ServiceEntry;
        if !known {
            item.invalid(format!("{text:?} is no namespace, and none of . * ~"));
        } else if !seen.insert(key) {
            item.invalid(format!("{key} is given twice"));
        }
    }
    if seen.len() > 1 && (seen.contains("*") || seen.contains("~")) {
        at.field_or_self("exportTo").invalid("* and ~ stand alone".into());
    }
    let elsewhere = !seen.is_empty() && (seen.len() > 1 || !seen.contains(namespace));
    if exported == (Exported::DestinationRule { selects: true }) && elsewhere {
        let message = "a rule with a workloadSelector can only be exported to its own namespace";
        at.field_or_self("exportTo").invalid(message.into());
    }
}

/// As in the mesh's configuration: namespaces, `.`, `*` or `~`.
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
