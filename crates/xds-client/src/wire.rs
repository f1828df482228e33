//! Envoy's discovery messages to and from those of the state machine.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::{Locality, Node, node};
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value};
use envoy_types::pb::google::rpc::Status;
use ir::bootstrap::Json;
use ir::{Resource, ResourceType};
use stdx::Str;
use xds_codec::DecodeError;
use xds_codec::routes::KnownHosts;

use crate::state::{Request, State, Verdict};
use crate::{Added, NodeInfo, Reject, Update};

/// gRPC's `INVALID_ARGUMENT`, which Envoy sends with a NACK too.
const INVALID_ARGUMENT: i32 = 3;

pub(crate) fn request(request: Request, node: Option<Node>) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        node,
        type_url: request.ty.type_url().to_owned(),
        resource_names_subscribe: request.subscribe.iter().map(Str::to_string).collect(),
        resource_names_unsubscribe: request.unsubscribe.iter().map(Str::to_string).collect(),
        initial_resource_versions: request
            .initial_versions
            .iter()
            .map(|(name, version)| (name.to_string(), version.to_string()))
            .collect(),
        response_nonce: request.nonce.to_string(),
        error_detail: request.error.map(|message| Status {
            code: INVALID_ARGUMENT,
            message,
            details: Vec::new(),
        }),
        ..DeltaDiscoveryRequest::default()
    }
}

/// What was decoded of each route configuration, by name.
pub(crate) type Tables = HashMap<Str, KnownHosts>;

/// A response, decoded: what is news in it, and the verdict so far (what could not be decoded).
pub(crate) fn response(
    ty: ResourceType,
    message: DeltaDiscoveryResponse,
    state: &State,
    tables: &mut Tables,
) -> (Update, Verdict) {
    let mut verdict = Verdict::default();
    let mut update = Update { ty, added: Vec::new(), removed: Vec::new(), problems: Vec::new() };
    let mut seen = BTreeSet::new();
    for sent in message.resources {
        let (name, version) = (Str::from(sent.name), Str::from(sent.version));
        if !seen.insert(name.clone()) {
            update.problems.push(Reject { name, message: "is in the response twice".into() });
            continue;
        }
        // Only Istio's name table has no name; anything else without one cannot be read.
        let nameless = name.is_empty() && ty != ResourceType::NameTable;
        if !nameless && !state.is_news(ty, &name, &version) {
            continue;
        }
        match decode(ty, &name, sent.resource.as_ref(), tables) {
            Ok(_) if nameless => {
                let name = ty.short().into();
                update.problems.push(Reject { name, message: "has no name".into() });
            }
            Ok(resource) => {
                verdict.applied.push((name, version.clone()));
                let is_kept = matches!(ty, ResourceType::Cluster | ResourceType::Endpoints);
                let encoded = sent.resource.filter(|_| is_kept).map(|any| any.value.into());
                update.added.push(Added { resource, version, encoded });
            }
            Err(message) => {
                let name = if nameless { ty.short().into() } else { name };
                update.problems.push(Reject { name, message });
            }
        }
    }
    if ty == ResourceType::Route {
        tables.retain(|name, _| state.wants(ty, name));
    }
    let removed = message.removed_resources.into_iter().map(Str::from);
    update.removed = removed.filter(|name| state.wants(ty, name)).collect();
    verdict.removed = update.removed.clone();
    verdict.refused =
        update.problems.iter().map(|problem| (problem.name.clone(), problem.message.clone())).collect();
    (update, verdict)
}

fn decode(
    ty: ResourceType,
    name: &Str,
    any: Option<&xds_codec::Any>,
    tables: &mut Tables,
) -> Result<Resource, String> {
    let any = any.ok_or("carries no resource")?;
    if any.type_url != ty.type_url() {
        return Err(format!("is of type {:?} in a response of {ty}", any.type_url));
    }
    let resource = match ty {
        ResourceType::Route => {
            let known = tables.entry(name.clone()).or_default();
            known.decode(&any.value).map(|config| Resource::Route(Arc::new(config)))
        }
        _ => xds_codec::decode(any),
    };
    let resource = resource.map_err(|error: DecodeError| {
        let problems: Vec<String> = error.problems.iter().map(ToString::to_string).collect();
        problems.join("; ")
    })?;
    if resource.name() != *name {
        return Err(format!("carries the name {:?}", resource.name()));
    }
    Ok(resource)
}

pub(crate) fn node(info: &NodeInfo) -> Node {
    let locality = Locality {
        region: info.locality.region.to_string(),
        zone: info.locality.zone.to_string(),
        sub_zone: info.locality.sub_zone.to_string(),
    };
    let version = node::UserAgentVersionType::UserAgentVersion(info.user_agent_version.to_string());
    Node {
        id: info.id.to_string(),
        cluster: info.cluster.to_string(),
        metadata: Some(fields(&info.metadata)),
        locality: Some(locality),
        user_agent_name: info.user_agent_name.to_string(),
        user_agent_version_type: Some(version),
        ..Node::default()
    }
}

fn fields(map: &std::collections::BTreeMap<Str, Json>) -> Struct {
    Struct { fields: map.iter().map(|(key, value)| (key.to_string(), json(value))).collect() }
}

fn json(value: &Json) -> Value {
    let kind = match value {
        Json::Null => Kind::NullValue(0),
        Json::Bool(value) => Kind::BoolValue(*value),
        // Numbers are kept as text; protobuf has doubles only.
        Json::Number(text) => {
            text.parse().map_or_else(|_| Kind::StringValue(text.to_string()), Kind::NumberValue)
        }
        Json::Text(text) => Kind::StringValue(text.to_string()),
        Json::List(list) => Kind::ListValue(ListValue { values: list.iter().map(json).collect() }),
        Json::Map(map) => Kind::StructValue(fields(map)),
    };
    Value { kind: Some(kind) }
}
