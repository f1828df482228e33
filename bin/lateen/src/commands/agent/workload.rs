//! Who the workload is, from flags, files and the environment.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use agent::WorkloadConfig;
use anyhow::Context as _;
use ir::bootstrap::Json;
use istio_api::mesh::proxy::{ANNOTATION, ProxySettings, parse_proxy_config};
use model::{Labels, Locality, NodeType, Str};

use super::Args;

/// `--dns`: an address, or nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dns(pub Option<SocketAddr>);

pub fn dns(text: &str) -> Result<Dns, String> {
    match text {
        "off" => Ok(Dns(None)),
        // Istio's way to say it.
        _ => text
            .replace("localhost:", "127.0.0.1:")
            .parse()
            .map(|at| Dns(Some(at)))
            .map_err(|_| format!("{text:?} is neither IP:PORT nor off")),
    }
}

pub fn role(text: &str) -> Result<NodeType, String> {
    match text {
        "sidecar" => Ok(NodeType::Sidecar),
        "router" => Ok(NodeType::Router),
        other => Err(format!("unknown role {other:?} (sidecar, router)")),
    }
}

pub fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or("not KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

pub fn config(args: &Args) -> anyhow::Result<WorkloadConfig> {
    let mut labels = BTreeMap::new();
    if let Some(path) = &args.labels_file {
        let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
        labels.extend(downward(&text));
    }
    let pairs = |pairs: &[(String, String)]| -> Vec<(Str, Str)> {
        pairs.iter().map(|(key, value)| (key.into(), value.into())).collect()
    };
    labels.extend(pairs(&args.labels));
    Ok(WorkloadConfig {
        node_type: args.role,
        pod: (&args.pod).into(),
        namespace: (&args.namespace).into(),
        service_account: (&args.service_account).into(),
        addresses: args.ips.clone(),
        labels: Labels(labels),
        annotations: pairs(&args.annotations).into_iter().collect(),
        workload_name: (&args.workload).into(),
        trust_domain: (&args.trust_domain).into(),
        domain: (&args.domain).into(),
        cluster_id: (&args.cluster_id).into(),
        mesh_id: args.mesh_id.as_ref().unwrap_or(&args.trust_domain).into(),
        network: (&args.network).into(),
        locality: Locality::parse(&args.locality),
        metadata: metadata(std::env::vars())?,
    })
}

/// What the proxy is started with where the command line does not say.
pub fn proxy_settings(args: &Args) -> ProxySettings {
    let annotation = || args.annotations.iter().find(|(key, _)| key == ANNOTATION).map(|(_, value)| value);
    let text = args.proxy_config.as_ref().or_else(annotation);
    text.map(|text| parse_proxy_config(text)).unwrap_or_default()
}

/// Lines `key="value"`, the value quoted as Go quotes strings.
fn downward(text: &str) -> Vec<(Str, Str)> {
    let line = |line: &str| {
        let (key, value) = line.trim().split_once('=')?;
        let value =
            serde_json::from_str::<String>(value).unwrap_or_else(|_| value.trim_matches('"').to_owned());
        Some((Str::from(key), Str::from(value)))
    };
    text.lines().filter_map(line).collect()
}

/// Node metadata from `ISTIO_META_*` (text) and `ISTIO_METAJSON_*` (JSON objects, merged).
fn metadata(variables: impl Iterator<Item = (String, String)>) -> anyhow::Result<BTreeMap<Str, Json>> {
    let mut metadata = BTreeMap::new();
    for (name, value) in variables {
        if let Some(key) = name.strip_prefix("ISTIO_META_") {
            metadata.insert(key.into(), Json::Text(value.into()));
        } else if name.starts_with("ISTIO_METAJSON_") {
            let object: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(&value).with_context(|| format!("{name} is not a JSON object"))?;
            metadata.extend(object.into_iter().map(|(key, value)| (Str::from(key), json(value))));
        }
    }
    Ok(metadata)
}

fn json(value: serde_json::Value) -> Json {
    use serde_json::Value;
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(value),
        Value::Number(number) => Json::Number(number.to_string().into()),
        Value::String(text) => Json::Text(text.into()),
        Value::Array(list) => Json::List(list.into_iter().map(json).collect()),
        Value::Object(map) => {
            Json::Map(map.into_iter().map(|(key, value)| (key.into(), json(value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_downward_api_is_read() {
        let read = downward("app=\"reviews\"\nversion=\"v\\\"1\"\n\nrubbish\n");
        assert_eq!(read, [("app".into(), "reviews".into()), ("version".into(), "v\"1".into())]);
    }

    #[test]
    fn istio_variables_are_metadata() {
        let variables = [("ISTIO_META_A", "x"), ("ISTIO_METAJSON_B", r#"{"C":{"d":1}}"#), ("HOME", "/")];
        let read = metadata(variables.into_iter().map(|(key, value)| (key.into(), value.into()))).unwrap();
        assert_eq!(read.get("A"), Some(&Json::Text("x".into())));
        let inner = Json::Map([("d".into(), Json::Number("1".into()))].into());
        assert_eq!((read.get("C"), read.len()), (Some(&inner), 2));
        let bad = [("ISTIO_METAJSON_X".to_owned(), "1".to_owned())];
        assert!(metadata(bad.into_iter()).unwrap_err().to_string().contains("ISTIO_METAJSON_X"));
    }

    #[test]
    fn flags_are_read() {
        assert_eq!(dns("off"), Ok(Dns(None)));
        assert_eq!(dns("localhost:15053"), Ok(Dns(Some("127.0.0.1:15053".parse().unwrap()))));
        assert!(dns("on").is_err() && role("waypoint").is_err() && pair("=x").is_err());
        assert_eq!(pair("a=b=c"), Ok(("a".into(), "b=c".into())));
    }
}
