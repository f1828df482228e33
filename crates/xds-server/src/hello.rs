//! Who opens a stream: Envoy's `Node` as [`model::Node`].

use std::collections::BTreeMap;

use envoy_types::pb::envoy::config::core::v3::Node as Message;
use envoy_types::pb::google::protobuf::value::Kind;
use envoy_types::pb::google::protobuf::{Struct, Value};
use ir::bootstrap::Json;
use model::{DataPlane, Labels, Locality, Node};
use stdx::Str;

use crate::{ClientHello, PeerIdentity, Refused};

/// How deep metadata may be nested.
const MAX_DEPTH: usize = 32;

/// Reads the node of a stream's first request.
///
/// # Errors
/// The node id is not one, or contradicts the metadata.
pub(crate) fn read(message: &Message, peer: Option<PeerIdentity>) -> Result<ClientHello, Refused> {
    let mut node = Node::parse_id(&message.id).map_err(Refused::Invalid)?;
    let metadata = message.metadata.as_ref().map(|fields| map(fields, 0)).unwrap_or_default();
    let text = |key: &str| match metadata.get(key) {
        Some(Json::Text(text)) if !text.is_empty() => Some(text.clone()),
        _ => None,
    };
    if let Some(namespace) = text("NAMESPACE").filter(|namespace| *namespace != node.namespace) {
        let id = &message.id;
        return Err(Refused::Invalid(format!(
            "node id {id:?} and metadata NAMESPACE {namespace:?} disagree"
        )));
    }
    // Our agent has a stream of its own, as `lateen-agent`.
    if message.user_agent_name.starts_with("lateen") {
        node.data_plane = DataPlane::Lateen;
    }
    if let Some(addresses) = text("INSTANCE_IPS") {
        let listed = addresses.split(',').map(|ip| ip.trim().parse()).collect::<Result<Vec<_>, _>>();
        let listed = listed
            .map_err(|_| Refused::Invalid(format!("metadata INSTANCE_IPS {addresses:?}: not addresses")))?;
        let first = node.addresses.clone();
        let others = listed.into_iter().filter(|ip| !first.contains(ip)).collect::<Vec<_>>();
        node.addresses.extend(others);
    }
    if let Some(Json::Map(labels)) = metadata.get("LABELS") {
        node.labels =
            labels.iter().filter_map(|(key, value)| Some((key.clone(), as_text(value)?))).collect::<Labels>();
    }
    // Who is not who it says it is gets no stream.
    node.verified = peer.is_some();
    node.service_account = text("SERVICE_ACCOUNT").unwrap_or(node.service_account);
    node.cluster_id = text("CLUSTER_ID").unwrap_or(node.cluster_id);
    node.network = text("NETWORK").unwrap_or(node.network);
    node.dns_capture = text("DNS_CAPTURE").map(|text| text.eq_ignore_ascii_case("true") || text == "1");
    node.uncaptured = text("INTERCEPTION_MODE").is_some_and(|mode| *mode == *"NONE");
    node.proxy_config = proxy_config(&metadata);
    if let Some(locality) = &message.locality {
        let [region, zone, sub_zone] = [&locality.region, &locality.zone, &locality.sub_zone].map(Str::from);
        node.locality = Locality { region, zone, sub_zone };
    }
    Ok(ClientHello { node, id: Str::from(&message.id), metadata, peer })
}

/// What translation heeds of a proxy's settings: as its agent has put them together (Istio's does),
/// or as the annotation of its pod has them. Nothing else: equal proxies share what is made for them.
fn proxy_config(metadata: &BTreeMap<Str, Json>) -> Str {
    const HEEDED: [&str; 3] = ["connectionSettings", "gatewayTopology", "proxyHeaders"];
    if let Some(Json::Map(config)) = metadata.get("PROXY_CONFIG") {
        let heeded = config.iter().filter(|(name, _)| HEEDED.contains(&name.as_str()));
        let heeded: BTreeMap<Str, Json> = heeded.map(|(name, value)| (name.clone(), value.clone())).collect();
        return if heeded.is_empty() { Str::default() } else { Json::Map(heeded).to_string().into() };
    }
    match metadata.get("ANNOTATIONS") {
        Some(Json::Map(annotations)) => {
            annotations.get("proxy.istio.io/config").and_then(as_text).unwrap_or_default()
        }
        _ => Str::default(),
    }
}

fn as_text(value: &Json) -> Option<Str> {
    if let Json::Text(text) = value { Some(text.clone()) } else { None }
}

fn map(fields: &Struct, depth: usize) -> BTreeMap<Str, Json> {
    fields.fields.iter().map(|(key, value)| (Str::from(key), json(value, depth + 1))).collect()
}

fn json(value: &Value, depth: usize) -> Json {
    match &value.kind {
        _ if depth > MAX_DEPTH => Json::Null,
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::BoolValue(value)) => Json::Bool(*value),
        Some(Kind::NumberValue(value)) => Json::Number(value.to_string().into()),
        Some(Kind::StringValue(value)) => Json::Text(value.into()),
        Some(Kind::ListValue(list)) => {
            Json::List(list.values.iter().map(|value| json(value, depth + 1)).collect())
        }
        Some(Kind::StructValue(fields)) => Json::Map(map(fields, depth)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Value {
        Value { kind: Some(Kind::StringValue(value.into())) }
    }

    fn message(metadata: &[(&str, Value)]) -> Message {
        let fields = metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        Message {
            id: "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local".into(),
            metadata: Some(Struct { fields }),
            user_agent_name: "lateen".into(),
            ..Message::default()
        }
    }

    #[test]
    fn metadata_completes_the_node_id() {
        let labels = Struct { fields: [("app".to_owned(), text("web"))].into() };
        let message = message(&[
            ("NAMESPACE", text("shop")),
            ("SERVICE_ACCOUNT", text("web")),
            ("INSTANCE_IPS", text("10.0.0.1, fd00::1")),
            ("LABELS", Value { kind: Some(Kind::StructValue(labels)) }),
            ("CLUSTER_ID", text("east")),
        ]);
        let node = read(&message, None).unwrap().node;
        assert_eq!(node.data_plane, DataPlane::Lateen);
        assert_eq!(node.service_account, "web");
        assert_eq!(
            node.addresses,
            ["10.0.0.1".parse::<std::net::IpAddr>().unwrap(), "fd00::1".parse().unwrap()]
        );
        assert_eq!(node.labels.get("app"), Some("web"));
        assert_eq!(node.cluster_id, "east");
    }

    #[test]
    fn contradictions_are_refused() {
        for (key, value) in [("NAMESPACE", "other"), ("INSTANCE_IPS", "10.0.0.1,x")] {
            let refused = read(&message(&[(key, text(value))]), None).unwrap_err();
            assert!(matches!(&refused, Refused::Invalid(text) if text.contains(key)), "{refused:?}");
        }
        assert!(matches!(read(&Message::default(), None), Err(Refused::Invalid(_))));
    }
}
