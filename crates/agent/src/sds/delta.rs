//! One delta stream.

use std::collections::BTreeMap;

use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource,
};
use identity::SecretStore;
use tonic::Status;

use super::stream::Subscriptions;
use super::{check_type, secret, type_url};

/// What the client asked for, with the version it has (empty: none).
#[derive(Default)]
pub(super) struct Delta {
    names: BTreeMap<String, String>,
    nonce: u64,
}

impl Subscriptions for Delta {
    type Request = DeltaDiscoveryRequest;
    type Response = DeltaDiscoveryResponse;

    fn take(&mut self, request: DeltaDiscoveryRequest) -> Result<(), Status> {
        check_type(&request.type_url)?;
        if let Some(error) = request.error_detail {
            tracing::warn!(error = error.message, "the proxy refuses a secret");
        }
        for name in request.resource_names_subscribe {
            // Asked for again: sent again (a client may have forgotten it).
            self.names.insert(name, String::new());
        }
        for (name, version) in request.initial_resource_versions {
            self.names.insert(name, version);
        }
        for name in &request.resource_names_unsubscribe {
            self.names.remove(name);
        }
        Ok(())
    }

    /// What the client lacks. A secret that is not there (yet) is not mentioned: the client waits.
    fn news(&mut self, secrets: &SecretStore) -> Option<DeltaDiscoveryResponse> {
        let mut resources = Vec::new();
        for (name, version) in &mut self.names {
            let Some(sent) = secret(secrets, name).filter(|sent| sent.version != *version) else { continue };
            version.clone_from(&sent.version);
            resources.push(Resource {
                name: name.clone(),
                version: sent.version,
                resource: Some(sent.any),
                ..Resource::default()
            });
        }
        if resources.is_empty() {
            return None;
        }
        self.nonce += 1;
        Some(DeltaDiscoveryResponse {
            resources,
            type_url: type_url(),
            nonce: self.nonce.to_string(),
            ..DeltaDiscoveryResponse::default()
        })
    }
}
