//! The three gRPC methods as one stream of delta messages.

use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use http::uri::PathAndQuery;
use stdx::Str;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::client::Grpc;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::sotw::Sotw;

/// Largest message that is accepted, bytes.
const MAX_MESSAGE: usize = 64 << 20;

/// Which method is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Aggregated,
    DeltaSecrets,
    StreamSecrets,
}

impl Mode {
    fn path(self) -> PathAndQuery {
        PathAndQuery::from_static(match self {
            Mode::Aggregated => {
                "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
            }
            Mode::DeltaSecrets => "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets",
            Mode::StreamSecrets => "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets",
        })
    }
}

/// The receiving side of a stream.
pub(crate) enum Responses {
    Delta(Streaming<DeltaDiscoveryResponse>),
    Sotw { responses: Streaming<DiscoveryResponse>, sotw: std::sync::Arc<std::sync::Mutex<Sotw>> },
}

impl Responses {
    /// Opens a stream that sends what comes out of `requests`.
    ///
    /// # Errors
    /// The server refused the call.
    pub async fn open(
        channel: Channel,
        mode: Mode,
        requests: mpsc::UnboundedReceiver<DeltaDiscoveryRequest>,
        metadata: Vec<(Str, Str)>,
    ) -> Result<Self, Status> {
        let mut grpc = Grpc::new(channel).max_decoding_message_size(MAX_MESSAGE);
        grpc.ready().await.map_err(|error| Status::unavailable(crate::connect::chain(&error)))?;
        let requests = UnboundedReceiverStream::new(requests);
        if mode != Mode::StreamSecrets {
            let request = with_metadata(Request::new(requests), &metadata);
            let codec = ProstCodec::<DeltaDiscoveryRequest, DeltaDiscoveryResponse>::default();
            return Ok(Responses::Delta(grpc.streaming(request, mode.path(), codec).await?.into_inner()));
        }
        // Requests are translated where gRPC polls them, responses where we read: never at once,
        // as both are on one task's connection and the lock is held for no await.
        let sotw = std::sync::Arc::new(std::sync::Mutex::new(Sotw::default()));
        let translate = sotw.clone();
        let requests = requests.map(move |request| lock(&translate).request(request));
        let request = with_metadata(Request::new(requests), &metadata);
        let codec = ProstCodec::<DiscoveryRequest, DiscoveryResponse>::default();
        let responses = grpc.streaming(request, mode.path(), codec).await?.into_inner();
        Ok(Responses::Sotw { responses, sotw })
    }

    /// The next response; `None` at the end of the stream. Cancelling loses nothing.
    ///
    /// # Errors
    /// The stream broke or the server ended it with an error.
    pub async fn next(&mut self) -> Result<Option<DeltaDiscoveryResponse>, Status> {
        match self {
            Responses::Delta(responses) => responses.message().await,
            Responses::Sotw { responses, sotw } => {
                Ok(responses.message().await?.map(|response| lock(sotw).response(response)))
            }
        }
    }
}

fn lock(sotw: &std::sync::Mutex<Sotw>) -> std::sync::MutexGuard<'_, Sotw> {
    sotw.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
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
