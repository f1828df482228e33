//! Filter metadata: where a node comes from, in Istio's words and in ours.

use std::collections::HashMap;
use std::sync::Arc;

use ir::cluster::ServiceRef;
use ir::endpoint::WorkloadRef;
use model::{ObjectRef, Origin};

use super::wire;
use crate::names::{ISTIO_METADATA, LATEEN_METADATA};
use crate::pb::{core, google};

/// What to say of a node. Collects keys and is unset if there are none.
#[derive(Default)]
pub(super) struct Builder(HashMap<String, google::Struct>);

impl Builder {
    pub fn origin(mut self, origin: &Option<Origin>) -> Self {
        let Some(Origin { object, field }) = origin else { return self };
        if let Some(config) = istio_config(object) {
            self.istio("config", wire::text_value(&config));
        }
        let pairs = [
            ("kind", &object.kind),
            ("namespace", &object.namespace),
            ("name", &object.name),
            ("field", field),
        ];
        let fields = wire::text_struct(pairs.iter().map(|(k, v)| (*k, v.as_str())));
        self.0.insert(LATEEN_METADATA.into(), fields);
        self
    }

    pub fn services(mut self, services: &[Arc<ServiceRef>]) -> Self {
        if !services.is_empty() {
            let one = |it: &Arc<ServiceRef>| {
                let pairs = [("host", &it.host), ("name", &it.name), ("namespace", &it.namespace)];
                wire::struct_value(wire::text_struct(pairs.iter().map(|(k, v)| (*k, v.as_str()))))
            };
            self.istio("services", wire::list_value(services.iter().map(one).collect()));
        }
        self
    }

    pub fn workload(mut self, workload: Option<&WorkloadRef>) -> Self {
        if let Some(it) = workload {
            let parts = [&it.name, &it.namespace, &it.canonical_name, &it.canonical_revision, &it.cluster];
            let text = parts.map(|part| part.as_str()).join(";");
            self.istio("workload", wire::text_value(&text));
        }
        self
    }

    pub fn key(mut self, key: &str, fields: google::Struct) -> Self {
        if !fields.fields.is_empty() {
            self.0.insert(key.into(), fields);
        }
        self
    }

    pub fn build(self) -> Option<core::Metadata> {
        (!self.0.is_empty()).then(|| core::Metadata { filter_metadata: self.0, ..Default::default() })
    }

    fn istio(&mut self, key: &str, value: google::Value) {
        self.0.entry(ISTIO_METADATA.into()).or_default().fields.insert(key.into(), value);
    }
}

/// `/apis/networking.istio.io/v1/namespaces/NS/virtual-service/NAME`, for the kinds of Istio that
/// `istioctl proxy-config` knows from there.
fn istio_config(object: &ObjectRef) -> Option<String> {
    let group = match object.kind.as_str() {
        "VirtualService" | "DestinationRule" | "Gateway" | "ServiceEntry" | "Sidecar" | "WorkloadEntry" => {
            "networking.istio.io"
        }
        "AuthorizationPolicy" | "PeerAuthentication" | "RequestAuthentication" => "security.istio.io",
        _ => return None,
    };
    let kind = kebab(&object.kind);
    Some(format!("/apis/{group}/v1/namespaces/{}/{kind}/{}", object.namespace, object.name))
}

fn kebab(camel: &str) -> String {
    let mut text = String::new();
    for c in camel.chars() {
        if c.is_ascii_uppercase() && !text.is_empty() {
            text.push('-');
        }
        text.push(c.to_ascii_lowercase());
    }
    text
}
