//! Envoy's discovery messages to and from those of the state machine.

use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse};
use ir::ResourceType;
use stdx::Str;

use crate::stream::Request;

/// A request of a type that we serve, or the message if we do not serve its type.
pub(crate) fn request(message: DeltaDiscoveryRequest) -> Result<Request, Box<DeltaDiscoveryRequest>> {
    let Some(ty) = ResourceType::by_type_url(&message.type_url) else {
        return Err(Box::new(message));
    };
    Ok(Request {
        ty,
        subscribe: message.resource_names_subscribe.into_iter().map(Str::from).collect(),
        unsubscribe: message.resource_names_unsubscribe.into_iter().map(Str::from).collect(),
        initial_versions: message
            .initial_resource_versions
            .into_iter()
            .map(|(k, v)| (k.into(), v.into()))
            .collect(),
        nonce: message.response_nonce.into(),
        error: message.error_detail.map(|status| status.message.into()),
    })
}

/// The answer to a wish for a type that we do not serve: there is nothing of it, so that the
/// client does not wait. `None`: the request is itself an answer.
pub(crate) fn nothing_of(request: &DeltaDiscoveryRequest, serial: u64) -> Option<DeltaDiscoveryResponse> {
    let asks = request.response_nonce.is_empty() || !request.resource_names_subscribe.is_empty();
    asks.then(|| DeltaDiscoveryResponse {
        type_url: request.type_url.clone(),
        nonce: format!("none-{serial}"),
        removed_resources: request
            .resource_names_subscribe
            .iter()
            .filter(|name| *name != "*")
            .cloned()
            .collect(),
        ..DeltaDiscoveryResponse::default()
    })
}
