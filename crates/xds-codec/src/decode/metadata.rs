//! Filter metadata: where a node comes from. Never a reason to refuse: it only explains.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ir::bootstrap::Json;
use ir::cluster::ServiceRef;
use ir::endpoint::WorkloadRef;
use model::{ObjectRef, Origin};
use stdx::Str;

use super::at::At;
use crate::names::{ISTIO_METADATA, LATEEN_METADATA};
use crate::pb::{core, google, google::value::Kind};

/// Metadata, taken apart. Typed metadata and other keys are [`super::strict::Reason::Metadata`].
#[derive(Default)]
pub(super) struct Keys(HashMap<String, google::Struct>);

pub(super) fn keys(it: Option<core::Metadata>) -> Keys {
    it.map(|core::Metadata { filter_metadata, typed_filter_metadata: _ }| Keys(filter_metadata))
        .unwrap_or_default()
}

impl Keys {
    /// From our key, else from Istio's.
    pub fn origin(&self) -> Option<Origin> {
        let Some(ours) = self.0.get(LATEEN_METADATA) else {
            return istio_config(text(self.0.get(ISTIO_METADATA)?, "config")?);
        };
        let part = |name| text(ours, name).map(Str::from);
        let object = ObjectRef { kind: part("kind")?, namespace: part("namespace")?, name: part("name")? };
        Some(Origin { object, field: part("field").unwrap_or_default() })
    }

    pub fn services(&self) -> Vec<Arc<ServiceRef>> {
        let Some(Kind::ListValue(list)) = self.istio("services") else { return Vec::new() };
        list.values.iter().filter_map(service).map(Arc::new).collect()
    }

    pub fn workload(&self) -> Option<Arc<WorkloadRef>> {
        let Some(Kind::StringValue(text)) = self.istio("workload") else { return None };
        let mut parts = text.split(';').map(Str::from);
        let mut next = || parts.next().unwrap_or_default();
        Some(Arc::new(WorkloadRef {
            name: next(),
            namespace: next(),
            canonical_name: next(),
            canonical_revision: next(),
            cluster: next(),
        }))
    }

    pub fn remove(&mut self, key: &str) -> Option<google::Struct> {
        // Most have none at all: the key need not be hashed for that.
        if self.0.is_empty() { None } else { self.0.remove(key) }
    }

    fn istio(&self, key: &str) -> Option<&Kind> {
        self.0.get(ISTIO_METADATA)?.fields.get(key)?.kind.as_ref()
    }
}

/// A struct whose values are all texts; anything else cannot be compared with criteria.
pub(super) fn texts(at: At<'_>, it: google::Struct) -> BTreeMap<Str, Str> {
    let mut all = BTreeMap::new();
    for (key, value) in it.fields {
        match value.kind {
            Some(Kind::StringValue(text)) => {
                all.insert(key.into(), text.into());
            }
            _ => at.key("fields", &key).refuse("only texts are supported"),
        }
    }
    all
}

pub(crate) fn json_map(it: google::Struct) -> BTreeMap<Str, Json> {
    it.fields.into_iter().map(|(key, value)| (key.into(), json(value))).collect()
}

fn json(it: google::Value) -> Json {
    match it.kind {
        None | Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::BoolValue(it)) => Json::Bool(it),
        Some(Kind::NumberValue(it)) => Json::Number(it.to_string().into()),
        Some(Kind::StringValue(it)) => Json::Text(it.into()),
        Some(Kind::ListValue(it)) => Json::List(it.values.into_iter().map(json).collect()),
        Some(Kind::StructValue(it)) => Json::Map(json_map(it)),
    }
}

fn text<'a>(fields: &'a google::Struct, name: &str) -> Option<&'a str> {
    match fields.fields.get(name)?.kind.as_ref()? {
        Kind::StringValue(text) => Some(text),
        _ => None,
    }
}

fn service(it: &google::Value) -> Option<ServiceRef> {
    let Some(Kind::StructValue(fields)) = &it.kind else { return None };
    let part = |name| text(fields, name).map(Str::from).unwrap_or_default();
    Some(ServiceRef { host: part("host"), name: part("name"), namespace: part("namespace") })
}

/// Reads `/apis/networking.istio.io/v1/namespaces/NS/virtual-service/NAME`.
fn istio_config(path: &str) -> Option<Origin> {
    let parts: Vec<&str> = path.split('/').collect();
    let ["", "apis", _group, _version, "namespaces", namespace, kind, name] = parts.as_slice() else {
        return None;
    };
    Some(Origin { object: ObjectRef::new(&camel(kind), namespace, name), field: Str::default() })
}

fn camel(kebab: &str) -> String {
    let mut text = String::new();
    for part in kebab.split('-') {
        let mut chars = part.chars();
        text.extend(chars.next().map(|c| c.to_ascii_uppercase()));
        text.extend(chars);
    }
    text
}
