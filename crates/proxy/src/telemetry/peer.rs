//! Who a workload is, as Istio's proxies tell each other.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ir::bootstrap::{BootstrapNode, Json};
use prost::Message;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};
use stdx::Str;

/// A base64 protobuf `Struct`.
pub const METADATA: &str = "x-envoy-peer-metadata";
/// The node id.
pub const METADATA_ID: &str = "x-envoy-peer-metadata-id";

/// Longest metadata that is read.
const MAX_METADATA: usize = 16 * 1024;

/// A workload as metrics name it. Empty means unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Peer {
    pub workload: Str,
    pub namespace: Str,
    pub canonical_name: Str,
    pub canonical_revision: Str,
    pub app: Str,
    pub version: Str,
    pub cluster: Str,
}

impl Peer {
    /// Reads a header's value.
    pub fn decode(value: &[u8]) -> Option<Peer> {
        if value.len() > MAX_METADATA {
            return None;
        }
        let bytes = STANDARD.decode(value).ok()?;
        let fields = Struct::decode(&bytes[..]).ok()?.fields;
        let text = |name: &str| string(fields.get(name));
        let labels = match fields.get("LABELS").and_then(|v| v.kind.as_ref()) {
            Some(Kind::StructValue(labels)) => labels.fields.clone(),
            _ => BTreeMap::new(),
        };
        let label = |name: &str| string(labels.get(name));
        Some(Peer::of(text("WORKLOAD_NAME"), text("NAMESPACE"), text("CLUSTER_ID"), label))
    }

    /// Ourselves, from the bootstrap.
    pub fn local(node: &BootstrapNode) -> Peer {
        let text = |name: &str| match node.metadata.get(name) {
            Some(Json::Text(text)) => text.clone(),
            _ => Str::default(),
        };
        let label = |name: &str| match node.metadata.get("LABELS") {
            Some(Json::Map(labels)) => match labels.get(name) {
                Some(Json::Text(text)) => text.clone(),
                _ => Str::default(),
            },
            _ => Str::default(),
        };
        Peer::of(text("WORKLOAD_NAME"), text("NAMESPACE"), text("CLUSTER_ID"), label)
    }

    fn of(workload: Str, namespace: Str, cluster: Str, label: impl Fn(&str) -> Str) -> Peer {
        let first =
            |names: &[&str]| names.iter().map(|n| label(n)).find(|v| !v.is_empty()).unwrap_or_default();
        let canonical_name = first(&["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"]);
        let revision =
            first(&["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"]);
        Peer {
            canonical_name: if canonical_name.is_empty() { workload.clone() } else { canonical_name },
            canonical_revision: if revision.is_empty() { "latest".into() } else { revision },
            app: first(&["app", "app.kubernetes.io/name"]),
            version: first(&["version", "app.kubernetes.io/version"]),
            workload,
            namespace,
            cluster,
        }
    }
}

fn string(value: Option<&Value>) -> Str {
    match value.and_then(|v| v.kind.as_ref()) {
        Some(Kind::StringValue(text)) => text.as_str().into(),
        _ => Str::default(),
    }
}

/// What of our metadata the peer is told. Istio tells the same.
const TOLD: [&str; 9] = [
    "CLUSTER_ID",
    "INSTANCE_IPS",
    "LABELS",
    "NAME",
    "NAMESPACE",
    "OWNER",
    "SERVICE_ACCOUNT",
    "WORKLOAD_NAME",
    "ISTIO_VERSION",
];

/// Our own header value.
pub fn encode(node: &BootstrapNode) -> String {
    let told = node.metadata.iter().filter(|(name, _)| TOLD.contains(&name.as_str()));
    let fields = told.map(|(name, value)| (name.to_string(), to_value(value))).collect();
    STANDARD.encode(Struct { fields }.encode_to_vec())
}

fn to_value(json: &Json) -> Value {
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(value) => Kind::BoolValue(*value),
        Json::Number(number) => Kind::NumberValue(number.parse().unwrap_or_default()),
        Json::Text(text) => Kind::StringValue(text.to_string()),
        Json::List(values) => Kind::ListValue(ListValue { values: values.iter().map(to_value).collect() }),
        Json::Map(map) => Kind::StructValue(Struct {
            fields: map.iter().map(|(k, v)| (k.to_string(), to_value(v))).collect(),
        }),
    };
    Value { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_understood() {
        let labels = [("app", "reviews"), ("version", "v2")];
        let labels = labels.iter().map(|(k, v)| (Str::from(*k), Json::Text((*v).into()))).collect();
        let metadata = [
            ("WORKLOAD_NAME", Json::Text("reviews-v2".into())),
            ("NAMESPACE", Json::Text("default".into())),
            ("CLUSTER_ID", Json::Text("Kubernetes".into())),
            ("LABELS", Json::Map(labels)),
            ("SECRET", Json::Text("not told".into())),
        ];
        let node = BootstrapNode {
            metadata: metadata.into_iter().map(|(k, v)| (Str::from(k), v)).collect(),
            ..BootstrapNode::default()
        };
        let peer = Peer::decode(encode(&node).as_bytes()).unwrap();
        assert_eq!(peer, Peer::local(&node));
        assert_eq!((&*peer.workload, &*peer.canonical_name, &*peer.version), ("reviews-v2", "reviews", "v2"));
        for bad in [&b"!!"[..], b"AAAA", &[b'A'; 20_000]] {
            assert_eq!(Peer::decode(bad).filter(|peer| !peer.workload.is_empty()), None);
        }
    }
}
