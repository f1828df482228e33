//! State-of-the-world secrets behind the delta state machine, for servers (Istio's agent) that
//! serve `StreamSecrets` only.
//!
//! The server sends secrets by name and never says that one is gone, so a response becomes a
//! delta response without removals; a request names all subscriptions every time.

use std::collections::BTreeSet;

use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse, Resource,
};
use ir::ResourceType;
use stdx::Str;

/// Translates one stream.
#[derive(Debug, Default)]
pub(crate) struct Sotw {
    names: BTreeSet<String>,
    /// Of the last response that was applied.
    version: String,
    /// Of the last response of all: requests about subscriptions carry it too.
    nonce: String,
    pending_version: String,
}

impl Sotw {
    pub fn request(&mut self, delta: DeltaDiscoveryRequest) -> DiscoveryRequest {
        self.names.extend(delta.resource_names_subscribe);
        for name in &delta.resource_names_unsubscribe {
            self.names.remove(name);
        }
        if !delta.response_nonce.is_empty() && delta.error_detail.is_none() {
            self.version = self.pending_version.clone();
        }
        DiscoveryRequest {
            version_info: self.version.clone(),
            node: delta.node,
            resource_names: self.names.iter().cloned().collect(),
            type_url: delta.type_url,
            response_nonce: self.nonce.clone(),
            error_detail: delta.error_detail,
            ..DiscoveryRequest::default()
        }
    }

    pub fn response(&mut self, sotw: DiscoveryResponse) -> DeltaDiscoveryResponse {
        self.nonce = sotw.nonce.clone();
        self.pending_version = sotw.version_info.clone();
        let named = sotw.resources.into_iter().map(|any| Resource {
            name: name_of(&any),
            // One version for all: a response that repeats a secret unchanged has the same one only
            // if nothing changed at all, so nothing is missed.
            version: sotw.version_info.clone(),
            resource: Some(any),
            ..Resource::default()
        });
        DeltaDiscoveryResponse {
            resources: named.collect(),
            type_url: sotw.type_url,
            // An ACK needs a nonce; a server that sends none is answered all the same.
            nonce: if self.nonce.is_empty() { "-".into() } else { self.nonce.clone() },
            ..DeltaDiscoveryResponse::default()
        }
    }
}

/// The name inside; what cannot be read keeps a name that the decoder's complaint is filed under.
fn name_of(any: &xds_codec::Any) -> String {
    match xds_codec::decode(any) {
        Ok(resource) => resource.name().to_string(),
        Err(error) => error.name.unwrap_or_else(|| Str::from(ResourceType::Secret.short())).to_string(),
    }
}
