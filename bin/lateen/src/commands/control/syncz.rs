//! `/debug/syncz`, in istiod's form: what each proxy was sent and has acknowledged.

use ir::ResourceType;
use serde_json::{Map, Value, json};
use xds_server::{ClientStatus, Status};

/// Istio's names of the types.
const NAMES: [(ResourceType, &str); 6] = [
    (ResourceType::Cluster, "cluster"),
    (ResourceType::Listener, "listener"),
    (ResourceType::Route, "route"),
    (ResourceType::Endpoints, "endpoint"),
    (ResourceType::Secret, "secret"),
    (ResourceType::NameTable, "name_table"),
];

pub fn page(status: &Status) -> Value {
    status.clients().iter().map(client).collect()
}

/// `…_sent` and `…_acked` are nonces: equal ones mean in sync. `lateen` has what istiod does not
/// tell: numbers, and what the proxy refuses.
fn client(client: &ClientStatus) -> Value {
    let mut fields = Map::new();
    let mut put = |key: String, value: Value| fields.insert(key, value);
    put("cluster_id".into(), json!(client.node.cluster_id.as_str()));
    put("proxy".into(), json!(format!("{}.{}", client.node.name, client.node.namespace)));
    put("proxy_type".into(), json!(client.node.node_type.to_string()));
    put("istio_version".into(), json!(env!("CARGO_PKG_VERSION")));
    let mut details = Map::new();
    for (ty, name) in NAMES {
        let Some(status) = client.types.get(&ty) else { continue };
        let (mut sent, mut acked) = (status.nonce_sent.as_str(), status.nonce_acked.as_str());
        if sent.is_empty() && status.resources > 0 && status.pending == 0 {
            // It came back with everything as it is to be. Empty would be read as "not sent".
            (sent, acked) = ("0", "0");
        }
        put(format!("{name}_sent"), json!(sent));
        put(format!("{name}_acked"), json!(acked));
        let rejected: Map<String, Value> = status
            .rejected
            .iter()
            .map(|(name, refusal)| (name.to_string(), json!(refusal.message.as_str())))
            .collect();
        let detail = json!({
            "resources": status.resources,
            "pending": status.pending,
            "rejected": rejected,
            "last_nack": status.last_nack.as_deref(),
        });
        details.insert(name.to_owned(), detail);
    }
    put(
        "lateen".into(),
        json!({
            "node": client.id.as_str(),
            "user_agent": client.user_agent.as_str(),
            "address": client.address.map(|address| address.to_string()),
            "types": details,
        }),
    );
    Value::Object(fields)
}
