//! One stream of the older kind: every response has all that is subscribed to. Envoy uses it for
//! SDS, a stream per secret.

use std::collections::BTreeSet;

use envoy_types::pb::envoy::service::discovery::v3::{DiscoveryRequest, DiscoveryResponse};
use identity::SecretStore;
use tonic::Status;

use super::stream::Subscriptions;
use super::{check_type, secret, type_url};

#[derive(Default)]
pub(super) struct Sotw {
    names: BTreeSet<String>,
    /// Of the last response, empty before the first.
    version: String,
    nonce: u64,
}

impl Subscriptions for Sotw {
    type Request = DiscoveryRequest;
    type Response = DiscoveryResponse;

    fn take(&mut self, request: DiscoveryRequest) -> Result<(), Status> {
        check_type(&request.type_url)?;
        if let Some(error) = request.error_detail {
            tracing::warn!(error = error.message, "the proxy refuses a secret");
        }
        let stale = !request.response_nonce.is_empty() && request.response_nonce != self.nonce.to_string();
        let names: BTreeSet<String> = request.resource_names.into_iter().collect();
        if !stale && names != self.names {
            self.names = names;
            self.version.clear();
        }
        Ok(())
    }

    /// All that is there of what is subscribed to, if that is news.
    fn news(&mut self, secrets: &SecretStore) -> Option<DiscoveryResponse> {
        let all: Vec<_> = self.names.iter().filter_map(|name| secret(secrets, name)).collect();
        let versions: Vec<&str> = all.iter().map(|sent| sent.version.as_str()).collect();
        let version = stdx::digest(&versions).to_string();
        if all.is_empty() || version == self.version {
            return None;
        }
        self.version.clone_from(&version);
        self.nonce += 1;
        Some(DiscoveryResponse {
            version_info: version,
            resources: all.into_iter().map(|sent| sent.any).collect(),
            type_url: type_url(),
            nonce: self.nonce.to_string(),
            ..DiscoveryResponse::default()
        })
    }
}
