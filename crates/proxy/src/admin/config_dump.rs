//! `/config_dump` in Envoy's shape, so that `istioctl proxy-config` reads it.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ::http::StatusCode;
use engine::regex::Regex;
use ir::Resource;
use serde_json::{Value, json};
use stdx::Str;
use xds_codec::json::Dump;

use super::Query;
use super::mask::Mask;
use super::pieces::Node;
use crate::config::kept::Kept;
use crate::config::{Config, Table};
use crate::proxy::State;

/// One part of the dump: what it is for, and what is in it, by field.
struct Section {
    ty: &'static str,
    fields: Vec<(&'static str, Node)>,
}

/// The whole dump, or the part that the query asks for.
///
/// # Errors
/// The query cannot be answered: status and text.
pub fn dump(state: &State, query: &Query) -> Result<Node, (StatusCode, String)> {
    let names = Names::of(query)?;
    // Under the lock only what is shared is counted; JSON is made later, resource by resource.
    let manager = state.manager.lock();
    let config = &manager.config;
    let clusters = of(&config.clusters, &names, |v| Content::Cluster(v.clone()));
    let listeners = of(&config.listeners, &names, |v| Content::Whole(Resource::Listener(v.clone())));
    let routes = of(&config.routes, &names, |v| Content::Whole(Resource::Route(v.clone())));
    let endpoints = of(&config.endpoints, &names, |v| Content::Endpoints(v.clone()));
    let mut all = vec![
        Section { ty: "BootstrapConfigDump", fields: vec![("bootstrap", bootstrap(config))] },
        clusters_dump(clusters.clone()),
        listeners_dump(listeners),
        Section {
            ty: "RoutesConfigDump",
            fields: vec![
                ("static_route_configs", configs(inline_routes(config.active(), &names), "route_config")),
                ("dynamic_route_configs", configs(routes, "route_config")),
            ],
        },
        secrets_dump(state, &names),
    ];
    drop(manager);
    if query.get("include_eds").is_some() {
        let fields = vec![
            ("static_endpoint_configs", static_endpoints(&clusters)),
            ("dynamic_endpoint_configs", configs(endpoints, "endpoint_config")),
        ];
        all.insert(2, Section { ty: "EndpointsConfigDump", fields });
    }
    select(all, query)
}

fn select(all: Vec<Section>, query: &Query) -> Result<Node, (StatusCode, String)> {
    let mask = query.get("mask").filter(|mask| !mask.is_empty()).map(Mask::parse);
    let configs = match query.get("resource") {
        None => {
            let masked = |mut section: Section| {
                let Some(mask) = &mask else { return Some(section) };
                section.fields.retain(|(name, _)| mask.names(name));
                let cut = |(name, node)| (name, mask.below(name).apply(node));
                section.fields = section.fields.into_iter().map(cut).collect();
                (!section.fields.is_empty()).then_some(section)
            };
            let found: Vec<Node> = all.into_iter().filter_map(masked).map(typed).collect();
            if let (true, Some(mask)) = (found.is_empty(), query.get("mask")) {
                let why = format!("FieldMask {mask} could not be successfully applied to any configs.");
                return Err((StatusCode::BAD_REQUEST, why));
            }
            Node::List(found)
        }
        Some("bootstrap") => {
            let why = "bootstrap is not a repeated field. Use ?mask=bootstrap to get only this field";
            return Err((StatusCode::BAD_REQUEST, why.to_owned()));
        }
        Some(resource) => {
            let found = all.into_iter().find_map(|section| {
                let found = section.fields.into_iter().find(|(name, _)| *name == resource)?;
                Some((section.ty, found.1))
            });
            let none = || (StatusCode::NOT_FOUND, format!("{resource} not found in config dump"));
            let (section, node) = found.ok_or_else(none)?;
            let node = mask.unwrap_or_else(Mask::all).apply(node);
            node.each(&format!("type.googleapis.com/envoy.admin.v3.{section}.{}", element(resource)))
        }
    };
    Ok(Node::Map(vec![("configs".to_owned(), configs)]))
}

/// The message of the elements of a repeated field.
fn element(field: &str) -> &'static str {
    match field {
        "static_clusters" => "StaticCluster",
        "dynamic_active_clusters" => "DynamicCluster",
        "static_listeners" => "StaticListener",
        "dynamic_listeners" => "DynamicListener",
        "static_route_configs" => "StaticRouteConfig",
        "dynamic_route_configs" => "DynamicRouteConfig",
        "static_endpoint_configs" => "StaticEndpointConfig",
        "dynamic_endpoint_configs" => "DynamicEndpointConfig",
        _ => "DynamicSecret",
    }
}

/// `name_regex`: which resources are shown. It has to match a name as a whole.
struct Names(Option<Regex>);

impl Names {
    fn of(query: &Query) -> Result<Self, (StatusCode, String)> {
        let Some(text) = query.get("name_regex").filter(|text| !text.is_empty()) else {
            return Ok(Names(None));
        };
        let bad = |why| {
            let why = format!("INVALID_ARGUMENT: Error while parsing name_regex from {text}: {why}");
            (StatusCode::BAD_REQUEST, why)
        };
        Ok(Names(Some(Regex::new(text).map_err(bad)?)))
    }

    fn include(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|regex| regex.is_match(name.as_bytes()))
    }
}

fn typed(section: Section) -> Node {
    let ty = json!(format!("type.googleapis.com/envoy.admin.v3.{}", section.ty));
    let fields = section.fields.into_iter().map(|(name, node)| (name.to_owned(), node));
    Node::Map([("@type".to_owned(), Node::value(ty))].into_iter().chain(fields).collect())
}

/// A resource with what is known of its arrival.
#[derive(Clone)]
struct Received {
    name: Str,
    content: Option<Content>,
    version: Str,
    updated: SystemTime,
    fixed: bool,
    error: Option<String>,
}

/// A resource, as it is kept.
#[derive(Clone)]
enum Content {
    Whole(Resource),
    Cluster(Arc<Kept<ir::Cluster>>),
    Endpoints(Arc<Kept<ir::LoadAssignment>>),
}

impl Content {
    fn to_json(&self, dump: &Dump) -> Value {
        match self {
            Content::Whole(resource) => dump.resource(resource),
            Content::Cluster(cluster) => dump.any(&cluster.to_any()),
            Content::Endpoints(endpoints) => dump.any(&endpoints.to_any()),
        }
    }
}

fn of<T, C>(table: &Table<T, C>, names: &Names, wrap: impl Fn(&Arc<T>) -> Content) -> Vec<Received> {
    let shown = table.entries.iter().filter(|(name, _)| names.include(name));
    let entries = shown.filter(|(_, entry)| entry.removed.is_none());
    let mut all: Vec<Received> = entries
        .map(|(name, entry)| Received {
            name: name.clone(),
            content: Some(wrap(&entry.value)),
            version: entry.version.clone(),
            updated: entry.updated,
            fixed: entry.fixed,
            error: table.errors.get(name).cloned(),
        })
        .collect();
    let failed = table.errors.iter().filter(|(name, _)| names.include(name));
    for (name, error) in failed.filter(|(name, _)| !table.entries.contains_key(*name)) {
        let (updated, error) = (SystemTime::now(), Some(error.clone()));
        let version = Str::default();
        all.push(Received { name: name.clone(), content: None, version, updated, fixed: false, error });
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// With the static resources in their places.
fn bootstrap(config: &Config) -> Node {
    let all = Names(None);
    let clusters = of(&config.clusters, &all, |v| Content::Cluster(v.clone()));
    let listeners = of(&config.listeners, &all, |v| Content::Whole(Resource::Listener(v.clone())));
    let mut rest = Dump::new().bootstrap(&config.bootstrap);
    let secrets = rest.pointer_mut("/static_resources/secrets").map(Value::take);
    let plain = |all: &[Received]| {
        let fixed = all.iter().filter(|received| received.fixed).filter_map(|it| it.content.clone());
        Node::List(fixed.map(|content| item(move |dump| untyped(content.to_json(dump)))).collect())
    };
    let mut resources =
        vec![("clusters".to_owned(), plain(&clusters)), ("listeners".to_owned(), plain(&listeners))];
    resources.extend(secrets.map(|secrets| ("secrets".to_owned(), Node::value(secrets))));
    let mut fields = Node::fields(untyped(rest));
    fields.retain(|(name, _)| name != "static_resources");
    fields.push(("static_resources".to_owned(), Node::Map(resources)));
    Node::Map(fields)
}

fn item(make: impl FnOnce(&Dump) -> Value + Send + 'static) -> Node {
    Node::Item(Box::new(make))
}

fn untyped(mut value: Value) -> Value {
    if let Some(fields) = value.as_object_mut() {
        fields.remove("@type");
    }
    value
}

/// Of clusters that have their endpoints in them.
fn static_endpoints(clusters: &[Received]) -> Node {
    let one = |received: &Received| {
        let Some(Content::Cluster(kept)) = &received.content else { return None };
        let (kept, updated) = (kept.clone(), received.updated);
        kept.value().discovery.assignment()?;
        Some(item(move |dump| {
            let cluster = kept.value();
            let assignment = cluster.discovery.assignment().cloned().unwrap_or_default();
            let assignment = ir::LoadAssignment { cluster_name: cluster.name.clone(), ..assignment };
            let config = dump.resource(&Resource::Endpoints(Arc::new(assignment)));
            json!({ "last_updated": timestamp(updated), "endpoint_config": config })
        }))
    };
    Node::List(clusters.iter().filter_map(one).collect())
}

fn inline_routes(active: &crate::config::Snapshot, names: &Names) -> Vec<Received> {
    let chains = active.listeners.values().flat_map(|listener| listener.chains.iter());
    chains
        .filter(|chain| match &chain.terminal {
            crate::config::snapshot::Terminal::Http(hcm) => {
                hcm.inline_routes.as_ref().is_some_and(|table| names.include(&table.config().name))
            }
            crate::config::snapshot::Terminal::Tcp(_) | crate::config::snapshot::Terminal::Direct(_) => false,
        })
        .filter_map(|chain| match &chain.terminal {
            crate::config::snapshot::Terminal::Http(hcm) => hcm.inline_routes.as_ref(),
            crate::config::snapshot::Terminal::Tcp(_) | crate::config::snapshot::Terminal::Direct(_) => None,
        })
        .map(|table| Received {
            name: table.config().name.clone(),
            content: Some(Content::Whole(Resource::Route(table.config().clone()))),
            version: Str::default(),
            updated: SystemTime::now(),
            fixed: true,
            error: None,
        })
        .collect()
}

/// `{version_info, <key>: …, last_updated, error_state}` per resource.
fn configs(all: Vec<Received>, key: &'static str) -> Node {
    Node::List(all.into_iter().map(|received| item(move |dump| config(dump, &received, key))).collect())
}

fn config(dump: &Dump, received: &Received, key: &str) -> Value {
    let mut value = json!({ "last_updated": timestamp(received.updated) });
    if !received.version.is_empty() {
        value["version_info"] = json!(received.version.as_str());
    }
    if let Some(content) = &received.content {
        value[key] = content.to_json(dump);
    }
    if let Some(error) = &received.error {
        value["error_state"] = json!({ "details": error });
    }
    value
}

fn split(all: Vec<Received>) -> (Vec<Received>, Vec<Received>) {
    all.into_iter().partition(|received| received.fixed)
}

fn clusters_dump(all: Vec<Received>) -> Section {
    let (fixed, dynamic) = split(all);
    let fields = vec![
        ("static_clusters", configs(fixed, "cluster")),
        ("dynamic_active_clusters", configs(dynamic, "cluster")),
    ];
    Section { ty: "ClustersConfigDump", fields }
}

fn listeners_dump(all: Vec<Received>) -> Section {
    let (fixed, dynamic) = split(all);
    let one = |received: Received| {
        item(move |dump| {
            let mut value = json!({ "name": received.name.as_str() });
            let mut state = config(dump, &received, "listener");
            if let Some(error) = state.as_object_mut().and_then(|map| map.remove("error_state")) {
                value["error_state"] = error;
            }
            if received.content.is_some() {
                value["active_state"] = state;
            }
            value
        })
    };
    let fields = vec![
        ("static_listeners", configs(fixed, "listener")),
        ("dynamic_listeners", Node::List(dynamic.into_iter().map(one).collect())),
    ];
    Section { ty: "ListenersConfigDump", fields }
}

/// Names and validity. Keys are not shown, nor could they be.
fn secrets_dump(state: &State, names: &Names) -> Section {
    let shown = state.secrets.certificates().into_iter().filter(|(name, _)| names.include(name));
    let secrets = shown.map(|(name, certificate)| {
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
    let roots = state.secrets.roots(identity::TRUST_BUNDLE);
    if let Some(roots) = roots.filter(|_| names.include(identity::TRUST_BUNDLE)) {
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
    Section { ty: "SecretsConfigDump", fields: vec![("dynamic_active_secrets", Node::value(json!(all)))] }
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
    crate::format::time::TimeFormat::iso().write(time, &mut out);
    String::from_utf8(out).unwrap_or_default()
}
