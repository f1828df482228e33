//! `/config_dump` in Envoy's shape, so that `istioctl proxy-config` reads it.

use std::time::{Duration, SystemTime};

use ir::Resource;
use serde_json::{Value, json};
use stdx::Str;
use xds_codec::json::Dump;

use super::Query;
use crate::config::Table;
use crate::proxy::State;

/// One part of the dump: what it is for and what is in it.
struct Section {
    ty: &'static str,
    value: Value,
}

/// The whole dump, or the part that the query asks for.
pub fn dump(state: &State, query: &Query) -> Value {
    let dump = Dump::new();
    let (bootstrap, clusters, listeners, routes, endpoints, statics, inline) = {
        let manager = state.manager.lock();
        let config = &manager.config;
        (
            config.bootstrap.clone(),
            of(&config.clusters, |v| Resource::Cluster(v.clone())),
            of(&config.listeners, |v| Resource::Listener(v.clone())),
            of(&config.routes, |v| Resource::Route(v.clone())),
            of(&config.endpoints, |v| Resource::Endpoints(v.clone())),
            static_endpoints(config.active()),
            inline_routes(config.active()),
        )
    };
    // From here on without the lock: making JSON takes a while.
    let mut all = vec![
        Section { ty: "BootstrapConfigDump", value: json!({ "bootstrap": dump.bootstrap(&bootstrap) }) },
        Section { ty: "ClustersConfigDump", value: clusters_dump(&dump, &clusters) },
        Section { ty: "ListenersConfigDump", value: listeners_dump(&dump, &listeners) },
        Section { ty: "RoutesConfigDump", value: routes_dump(&dump, &routes, &inline) },
        Section { ty: "SecretsConfigDump", value: secrets_dump(state) },
    ];
    if query.get("include_eds").is_some() {
        let value = json!({
            "static_endpoint_configs": configs(&dump, &statics, "endpoint_config"),
            "dynamic_endpoint_configs": configs(&dump, &endpoints, "endpoint_config"),
        });
        all.insert(2, Section { ty: "EndpointsConfigDump", value });
    }
    select(all, query)
}

fn select(all: Vec<Section>, query: &Query) -> Value {
    let Some(resource) = query.get("resource") else {
        let configs: Vec<Value> = all.into_iter().map(typed).collect();
        return json!({ "configs": configs });
    };
    let found = all.into_iter().find_map(|mut section| section.value.get_mut(resource).map(Value::take));
    json!({ "configs": found.unwrap_or_else(|| json!([])) })
}

fn typed(section: Section) -> Value {
    let mut value = section.value;
    if let Some(map) = value.as_object_mut() {
        map.insert("@type".into(), json!(format!("type.googleapis.com/envoy.admin.v3.{}", section.ty)));
    }
    value
}

/// A resource with what is known of its arrival.
struct Received {
    name: Str,
    resource: Option<Resource>,
    version: Str,
    updated: SystemTime,
    fixed: bool,
    error: Option<String>,
}

fn of<T, C>(table: &Table<T, C>, wrap: impl Fn(&std::sync::Arc<T>) -> Resource) -> Vec<Received> {
    let entries = table.entries.iter().filter(|(_, entry)| entry.removed.is_none());
    let mut all: Vec<Received> = entries
        .map(|(name, entry)| Received {
            name: name.clone(),
            resource: Some(wrap(&entry.value)),
            version: entry.version.clone(),
            updated: entry.updated,
            fixed: entry.fixed,
            error: table.errors.get(name).cloned(),
        })
        .collect();
    for (name, error) in table.errors.iter().filter(|(name, _)| !table.entries.contains_key(*name)) {
        let (updated, error) = (SystemTime::now(), Some(error.clone()));
        all.push(Received {
            name: name.clone(),
            resource: None,
            version: Str::default(),
            updated,
            fixed: false,
            error,
        });
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn static_endpoints(active: &crate::config::Snapshot) -> Vec<Received> {
    let clusters = active.clusters.values().map(|cluster| &cluster.config);
    clusters
        .filter_map(|cluster| match &cluster.discovery {
            ir::ClusterDiscovery::Static(assignment) => Some((cluster, assignment)),
            _ => None,
        })
        .map(|(cluster, assignment)| {
            let assignment = ir::LoadAssignment { cluster_name: cluster.name.clone(), ..assignment.clone() };
            plain(cluster.name.clone(), Resource::Endpoints(std::sync::Arc::new(assignment)))
        })
        .collect()
}

fn inline_routes(active: &crate::config::Snapshot) -> Vec<Received> {
    let chains = active.listeners.values().flat_map(|listener| listener.chains.iter());
    chains
        .filter_map(|chain| match &chain.terminal {
            crate::config::snapshot::Terminal::Http(hcm) => hcm.inline_routes.as_ref(),
            crate::config::snapshot::Terminal::Tcp(_) => None,
        })
        .map(|table| plain(table.config().name.clone(), Resource::Route(table.config().clone())))
        .collect()
}

fn plain(name: Str, resource: Resource) -> Received {
    let (version, updated) = (Str::default(), SystemTime::now());
    Received { name, resource: Some(resource), version, updated, fixed: true, error: None }
}

/// `{version_info, <key>: …, last_updated, error_state}` per resource.
fn configs(dump: &Dump, all: &[Received], key: &str) -> Vec<Value> {
    let one = |received: &Received| {
        let mut value = json!({ "last_updated": timestamp(received.updated) });
        if !received.version.is_empty() {
            value["version_info"] = json!(received.version.as_str());
        }
        if let Some(resource) = &received.resource {
            value[key] = dump.resource(resource);
        }
        if let Some(error) = &received.error {
            value["error_state"] = json!({ "details": error });
        }
        value
    };
    all.iter().map(one).collect()
}

fn split(all: &[Received]) -> (Vec<&Received>, Vec<&Received>) {
    all.iter().partition(|received| received.fixed)
}

fn clusters_dump(dump: &Dump, all: &[Received]) -> Value {
    let (fixed, dynamic) = split(all);
    let of = |all: Vec<&Received>| -> Vec<Value> {
        all.into_iter().flat_map(|r| configs(dump, std::slice::from_ref(r), "cluster")).collect()
    };
    json!({ "static_clusters": of(fixed), "dynamic_active_clusters": of(dynamic) })
}

fn listeners_dump(dump: &Dump, all: &[Received]) -> Value {
    let (fixed, dynamic) = split(all);
    let statics: Vec<Value> =
        fixed.into_iter().flat_map(|r| configs(dump, std::slice::from_ref(r), "listener")).collect();
    let dynamics: Vec<Value> = dynamic
        .into_iter()
        .map(|received| {
            let mut value = json!({ "name": received.name.as_str() });
            let mut state = configs(dump, std::slice::from_ref(received), "listener").remove(0);
            if let Some(error) = state.as_object_mut().and_then(|map| map.remove("error_state")) {
                value["error_state"] = error;
            }
            if received.resource.is_some() {
                value["active_state"] = state;
            }
            value
        })
        .collect();
    json!({ "static_listeners": statics, "dynamic_listeners": dynamics })
}

fn routes_dump(dump: &Dump, dynamic: &[Received], inline: &[Received]) -> Value {
    json!({
        "static_route_configs": configs(dump, inline, "route_config"),
        "dynamic_route_configs": configs(dump, dynamic, "route_config"),
    })
}

/// Names and validity. Keys are not shown, nor could they be.
fn secrets_dump(state: &State) -> Value {
    let secrets = state.secrets.certificates().into_iter().map(|(name, certificate)| {
        let chain = certificate.chain_pem();
        json!({
            "name": name.as_str(),
            "last_updated": timestamp(unix(certificate.names.not_before)),
            "secret": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
                "name": name.as_str(),
                "tls_certificate": {
                    "certificate_chain": { "inline_bytes": base64_of(chain) },
                    "private_key": { "inline_bytes": base64_of("[redacted]") },
                },
            },
        })
    });
    let mut all: Vec<Value> = secrets.collect();
    if let Some(roots) = state.secrets.roots(identity::TRUST_BUNDLE) {
        all.push(json!({
            "name": identity::TRUST_BUNDLE,
            "last_updated": timestamp(SystemTime::now()),
            "secret": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
                "name": identity::TRUST_BUNDLE,
                "validation_context": { "trusted_ca": { "inline_bytes": base64_of(roots.pem()) } },
            },
        }));
    }
    json!({ "dynamic_active_secrets": all })
}

fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn unix(seconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}

fn timestamp(time: SystemTime) -> String {
    let mut out = Vec::new();
    crate::access_log::time::TimeFormat::iso().write(time, &mut out);
    String::from_utf8(out).unwrap_or_default()
}
