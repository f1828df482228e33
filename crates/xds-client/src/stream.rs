//! The gRPC methods of discovery, and one call of such a method.

use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use http::uri::PathAndQuery;
use ir::ResourceType;
use stdx::Str;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::client::Grpc;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::Service;
use crate::sotw::Sotw;
use crate::state::State;

/// Largest message that is accepted, bytes.
const MAX_MESSAGE: usize = 64 << 20;

/// The method that is called: of a service the one for deltas, or that for the state of the world.
pub(crate) fn method(service: Service, delta: bool) -> PathAndQuery {
    const ADS: &str = "discovery.v3.AggregatedDiscoveryService/";
    let (prefix, noun) = match service {
        Service::Aggregated => (ADS, "AggregatedResources"),
        Service::Of(ResourceType::Cluster) => ("cluster.v3.ClusterDiscoveryService/", "Clusters"),
        Service::Of(ResourceType::Endpoints) => ("endpoint.v3.EndpointDiscoveryService/", "Endpoints"),
        Service::Of(ResourceType::Listener) => ("listener.v3.ListenerDiscoveryService/", "Listeners"),
        Service::Of(ResourceType::Route) => ("route.v3.RouteDiscoveryService/", "Routes"),
        Service::Of(ResourceType::Secret) => ("secret.v3.SecretDiscoveryService/", "Secrets"),
        // Istio's name table comes over ADS only.
        Service::Of(ResourceType::NameTable) => (ADS, "AggregatedResources"),
    };
    let verb = if delta { "Delta" } else { "Stream" };
    let path = format!("/envoy.service.{prefix}{verb}{noun}");
    // Only the texts above are in it.
    PathAndQuery::try_from(path).unwrap_or_else(|_| PathAndQuery::from_static("/"))
}

/// The sending side of a stream.
pub(crate) enum Sender {
    Delta(UnboundedSender<DeltaDiscoveryRequest>),
    Sotw(UnboundedSender<DiscoveryRequest>, Sotw),
}

/// What a stream sends, for whoever opens it.
pub(crate) enum Requests {
    Delta(UnboundedReceiver<DeltaDiscoveryRequest>),
    Sotw(UnboundedReceiver<DiscoveryRequest>),
}

impl Sender {
    pub fn new(delta: bool) -> (Sender, Requests) {
        if delta {
            let (sender, requests) = unbounded_channel();
            (Sender::Delta(sender), Requests::Delta(requests))
        } else {
            let (sender, requests) = unbounded_channel();
            (Sender::Sotw(sender, Sotw::default()), Requests::Sotw(requests))
        }
    }

    /// The stream may be ending; its end is seen by the receiving side.
    pub fn send(&mut self, request: DeltaDiscoveryRequest) {
        let _ = match self {
            Sender::Delta(sender) => sender.send(request).is_ok(),
            Sender::Sotw(sender, sotw) => sender.send(sotw.request(request)).is_ok(),
        };
    }

    /// A response as the delta that it is.
    pub fn received(&mut self, response: Response, state: &State) -> DeltaDiscoveryResponse {
        match (self, response) {
            (Sender::Sotw(_, sotw), Response::Sotw(response)) => sotw.response(response, state),
            (_, Response::Delta(response)) => response,
            // A stream has one kind of message both ways.
            (Sender::Delta(_), Response::Sotw(response)) => Sotw::default().response(response, state),
        }
    }
}

/// A message of the server.
pub(crate) enum Response {
    Delta(DeltaDiscoveryResponse),
    Sotw(DiscoveryResponse),
}

/// The receiving side of a stream.
pub(crate) enum Responses {
    Delta(Streaming<DeltaDiscoveryResponse>),
    Sotw(Streaming<DiscoveryResponse>),
}

impl Responses {
    /// Opens a stream that sends what comes out of `requests`.
    ///
    /// # Errors
    /// The server refused the call.
    pub async fn open(
        channel: Channel,
        service: Service,
        requests: Requests,
        metadata: Vec<(Str, Str)>,
    ) -> Result<Self, Status> {
        let mut grpc = Grpc::new(channel).max_decoding_message_size(MAX_MESSAGE);
        grpc.ready().await.map_err(|error| Status::unavailable(crate::connect::chain(&error)))?;
        match requests {
            Requests::Delta(requests) => {
                let request = with_metadata(Request::new(UnboundedReceiverStream::new(requests)), &metadata);
                let codec = ProstCodec::<DeltaDiscoveryRequest, DeltaDiscoveryResponse>::default();
                let responses = grpc.streaming(request, method(service, true), codec).await?;
                Ok(Responses::Delta(responses.into_inner()))
            }
            Requests::Sotw(requests) => {
                let request = with_metadata(Request::new(UnboundedReceiverStream::new(requests)), &metadata);
                let codec = ProstCodec::<DiscoveryRequest, DiscoveryResponse>::default();
                let responses = grpc.streaming(request, method(service, false), codec).await?;
                Ok(Responses::Sotw(responses.into_inner()))
            }
        }
    }

    /// The next response; `None` at the end of the stream. Cancelling loses nothing.
    ///
    /// # Errors
    /// The stream broke or the server ended it with an error.
    pub async fn next(&mut self) -> Result<Option<Response>, Status> {
        match self {
            Responses::Delta(responses) => Ok(responses.message().await?.map(Response::Delta)),
            Responses::Sotw(responses) => Ok(responses.message().await?.map(Response::Sotw)),
        }
    }
}

/// Entries that cannot be gRPC metadata are left out, and named.
fn with_metadata<T>(mut request: Request<T>, metadata: &[(Str, Str)]) -> Request<T> {
    for (key, value) in metadata {
        let parsed = (key.parse::<AsciiMetadataKey>(), value.parse::<AsciiMetadataValue>());
        match parsed {
            (Ok(key), Ok(value)) => {
                request.metadata_mut().insert(key, value);
            }
            _ => tracing::warn!(%key, "initial metadata that gRPC cannot carry is left out"),
        }
    }
    request
}
