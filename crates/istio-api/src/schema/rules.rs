//! Rules beyond types and limits. Each is written twice, side by side: in CEL, for the API server
//! (<https://kubernetes.io/docs/reference/using-api/cel/>), and in Rust, for files. They are
//! Istio's rules, so a resource is accepted by both or by neither.

use std::fmt;
use std::time::Duration;

use crate::yaml::{Node, Scalar, Value};

/// Something that must hold of a value.
pub struct Rule {
    pub cel: &'static str,
    pub message: &'static str,
    pub(crate) holds: fn(&Node) -> bool,
}

/// A form that a text must have.
pub struct Pattern {
    pub regex: &'static str,
    pub(crate) matches: fn(&str) -> bool,
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.cel)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.regex)
    }
}

macro_rules! rules {
    ($( $(#[$doc:meta])* $name:ident = [ $($cel:literal, $message:literal, $holds:expr;)+ ] )+) => {
        $( $(#[$doc])* pub(crate) const $name: &[Rule] =
            &[$(Rule { cel: $cel, message: $message, holds: $holds }),+]; )+
    };
}

rules! {
    DURATION = [
        "duration(self) >= duration('1ms')", "must be a duration of at least 1ms, as in 7s, 1.5s, 250ms or 1h30m",
        |node| stdx::duration::parse(text(node)).is_ok_and(|d| d >= Duration::from_millis(1));
    ]
    PORT = [
        "self >= 1 && self <= 65535", "port must be between 1-65535",
        |node| int(node).is_some_and(|port| (1..=65535).contains(&port));
    ]
    SELECTOR_KEYS = [
        "self.all(key, !key.contains('*'))", "wildcard not allowed in label key match",
        |node| keys(node).all(|key| !key.contains('*'));
        "self.all(key, size(key) > 0)", "key must not be empty",
        |node| keys(node).all(|key| !key.is_empty());
    ]
    SELECTOR_VALUE = [
        "!self.contains('*')", "wildcard not allowed in label value match",
        |node| !text(node).contains('*');
    ]
    OWN_NAMESPACE = [
        "size(self) == 0", "cross namespace referencing is not currently supported",
        |node| text(node).is_empty();
    ]
    SELECTOR_OR_TARGET = [
        "[has(self.selector), has(self.targetRef), has(self.targetRefs)].filter(given, given).size() <= 1",
        "only one of targetRefs or selector can be set",
        |node| at_most_one(node, &["selector", "targetRef", "targetRefs"]);
    ]
    TRAFFIC_EXTENSION = [
        "[has(self.selector), has(self.targetRefs)].filter(given, given).size() <= 1",
        "only one of targetRefs or selector can be set",
        |node| at_most_one(node, &["selector", "targetRefs"]);
        "has(self.wasm) != has(self.lua)", "exactly one of wasm or lua must be set",
        |node| has(node, "wasm") != has(node, "lua");
    ]
    WORKLOAD_SELECTOR_OR_TARGETS = [
        "!(has(self.workloadSelector) && has(self.targetRefs))",
        "only one of targetRefs or workloadSelector can be set",
        |node| at_most_one(node, &["workloadSelector", "targetRefs"]);
    ]
    WAYPOINT_MATCH = [
        "has(self.waypoint) == (has(self.context) && self.context == 'WAYPOINT')",
        "only support waypointMatch when context is WAYPOINT",
        |node| has(node, "waypoint") == (field_text(node, "context") == "WAYPOINT");
    ]
    WASM_URL = [
        "(isURL(self) ? url(self) : url('http://' + self)).getScheme() in ['', 'http', 'https', 'file', 'oci']",
        "url must have schema one of [http, https, file, oci]",
        |node| crate::validate::url::is_plugin_url(text(node));
    ]
    HTTP_URL = [
        "url(self).getScheme() in ['http', 'https']", "url must have scheme http:// or https://",
        |node| crate::validate::url::is_http_url(text(node));
    ]
    INLINE_VALUE = [
        "!has(self.value) || !has(self.valueFrom) || self.valueFrom != 'HOST'",
        "value may only be set when valueFrom is INLINE",
        |node| !has(node, "value") || field_text(node, "valueFrom") != "HOST";
    ]
    CERTIFICATE_SOURCES = [
        "!(has(self.tlsCertificates) && has(self.credentialNames))",
        "only one of credentialNames or tlsCertificates can be set",
        |node| at_most_one(node, &["tlsCertificates", "credentialNames"]);
        "!(has(self.credentialName) && has(self.credentialNames))",
        "only one of credentialName or credentialNames can be set",
        |node| at_most_one(node, &["credentialName", "credentialNames"]);
        "!(has(self.credentialName) && has(self.tlsCertificates))",
        "only one of credentialName or tlsCertificates can be set",
        |node| at_most_one(node, &["credentialName", "tlsCertificates"]);
    ]
    SERVICE_ENTRY = [
        "!(has(self.workloadSelector) && has(self.endpoints))",
        "only one of WorkloadSelector or Endpoints can be set",
        |node| at_most_one(node, &["workloadSelector", "endpoints"]);
        "!has(self.resolution) || self.resolution in ['NONE', 'STATIC'] || !has(self.addresses) || self.addresses.all(address, !address.contains('/'))",
        "CIDR addresses are allowed only for NONE/STATIC resolution types",
        |node| matches!(field_text(node, "resolution"), "" | "NONE" | "STATIC")
            || items(node, "addresses").all(|address| !text(address).contains('/'));
        "has(self.resolution) && self.resolution != 'NONE' || !has(self.endpoints)",
        "NONE mode cannot set endpoints",
        |node| !matches!(field_text(node, "resolution"), "" | "NONE") || !has(node, "endpoints");
        "!has(self.resolution) || self.resolution != 'DNS_ROUND_ROBIN' || !has(self.endpoints) || size(self.endpoints) <= 1",
        "DNS_ROUND_ROBIN mode cannot have multiple endpoints",
        |node| field_text(node, "resolution") != "DNS_ROUND_ROBIN" || items(node, "endpoints").count() <= 1;
    ]
    UNIQUE_PORTS = [
        "self.all(one, self.exists_one(other, one.number == other.number))",
        "port number cannot be duplicated",
        |node| unique_numbers(node);
    ]
    NOT_EVERY_HOST = [ "self != '*'", "hostname cannot be wildcard", |node| text(node) != "*"; ]
    WORKLOAD = [
        "has(self.address) || has(self.network)", "Address is required",
        |node| has(node, "address") || has(node, "network");
        "!has(self.ports) || !has(self.address) || !self.address.startsWith('unix://')",
        "UDS may not include ports",
        |node| !has(node, "ports") || !field_text(node, "address").starts_with("unix://");
    ]
    WORKLOAD_TEMPLATE = [
        "!has(self.ports) || !has(self.address) || !self.address.startsWith('unix://')",
        "UDS may not include ports",
        |node| !has(node, "ports") || !field_text(node, "address").starts_with("unix://");
    ]
    WORKLOAD_ADDRESS = [
        "!self.startsWith('unix://') || self.startsWith('unix:///') || self.startsWith('unix://@')",
        "UDS must be an absolute path or abstract socket",
        |node| text(node).strip_prefix("unix://").is_none_or(|path| path.starts_with(['/', '@']));
        "!self.startsWith('unix://') || !self.endsWith('/')", "UDS may not be a dir",
        |node| !text(node).starts_with("unix://") || !text(node).ends_with('/');
    ]
    PORT_NAMES = [
        "self.all(key, size(key) < 63 && key.matches('^[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?$'))",
        "port name must be valid",
        |node| keys(node).all(|key| key.len() < 63 && crate::validate::names::is_label(key));
    ]
    PROBE_SCHEME = [
        "self in ['', 'HTTP', 'HTTPS']", "scheme must be one of [HTTP, HTTPS]",
        |node| matches!(text(node), "" | "HTTP" | "HTTPS");
    ]
    ACCOUNTS_ALONE = [
        "!(has(self.serviceAccounts) || has(self.notServiceAccounts)) || !(has(self.principals) || has(self.notPrincipals) || has(self.namespaces) || has(self.notNamespaces))",
        "Cannot set serviceAccounts with namespaces or principals",
        |node| {
            let any = |names: &[&str]| names.iter().any(|name| has(node, name));
            !any(&["serviceAccounts", "notServiceAccounts"])
                || !any(&["principals", "notPrincipals", "namespaces", "notNamespaces"])
        };
    ]
    PORT_MTLS_SELECTOR = [
        "!has(self.portLevelMtls) || (has(self.selector) && has(self.selector.matchLabels) && size(self.selector.matchLabels) > 0)",
        "portLevelMtls requires selector",
        |node| !has(node, "portLevelMtls")
            || node.field("selector").and_then(|s| s.field("matchLabels")).is_some_and(|l| keys(l).count() > 0);
    ]
    PORT_KEYS = [
        "self.all(key, int(key) >= 1 && int(key) <= 65535)", "port must be between 1-65535",
        |node| keys(node).all(|key| key.parse::<u16>().is_ok_and(|port| port > 0));
    ]
    ONE_JWKS = [
        "[has(self.jwksUri), has(self.jwks_uri), has(self.jwks)].filter(given, given).size() <= 1",
        "only one of jwks or jwksUri can be set",
        |node| at_most_one(node, &["jwksUri", "jwks"]);
    ]
    TAG_OVERRIDE = [
        "!has(self.operation) || self.operation != 'UPSERT' || (has(self.value) && self.value != '')",
        "value must be set when operation is UPSERT",
        |node| field_text(node, "operation") != "UPSERT" || !field_text(node, "value").is_empty();
        "!has(self.operation) || self.operation != 'REMOVE' || !has(self.value)",
        "value must not be set when operation is REMOVE",
        |node| field_text(node, "operation") != "REMOVE" || !has(node, "value");
    ]
}

/// The group of a Kubernetes kind: empty, or a domain in lower case.
pub(crate) const GROUP: Pattern = Pattern {
    regex: r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    matches: |text| text.is_empty() || text.split('.').all(is_lower_label),
};

pub(crate) const KIND: Pattern = Pattern {
    regex: "^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$",
    matches: |text| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && !text.ends_with('-')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    },
};

pub(crate) const SHA256: Pattern = Pattern {
    regex: "^([a-f0-9]{64})?$",
    matches: |text| {
        text.is_empty() || text.len() == 64 && text.bytes().all(|b| matches!(b, b'a'..=b'f' | b'0'..=b'9'))
    },
};

pub(crate) const HEADER: Pattern = Pattern {
    regex: "^[-_A-Za-z0-9]+$",
    matches: |text| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    },
};

fn is_lower_label(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

fn has(node: &Node, name: &str) -> bool {
    node.field(name).is_some()
}

fn at_most_one(node: &Node, names: &[&str]) -> bool {
    names.iter().filter(|name| has(node, name)).count() <= 1
}

fn text(node: &Node) -> &str {
    node.text()
}

fn field_text<'n>(node: &'n Node, name: &str) -> &'n str {
    node.field(name).map_or("", Node::text)
}

fn int(node: &Node) -> Option<i64> {
    match &node.value {
        Value::Scalar { text, ty: Scalar::Int } => crate::yaml::int(text),
        _ => None,
    }
}

fn keys(node: &Node) -> impl Iterator<Item = &str> {
    node.entries().iter().map(|entry| &*entry.key)
}

fn items<'n>(node: &'n Node, name: &str) -> impl Iterator<Item = &'n Node> {
    node.field(name).map_or(&[][..], Node::items).iter()
}

fn unique_numbers(node: &Node) -> bool {
    let mut seen = std::collections::BTreeSet::new();
    node.items()
        .iter()
        .filter_map(|item| item.field("number").and_then(int))
        .all(|number| seen.insert(number))
}
