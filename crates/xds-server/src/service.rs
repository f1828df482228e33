//! The gRPC service: accepts streams and hands each to a task of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Streaming};

use crate::run::Session;
use crate::{Generator, Metrics, PeerInfo, Refused, Status};

/// Limits of the service.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Largest message that is accepted, bytes.
    pub max_request_bytes: usize,
    /// Responses are cut when they would become larger than this, bytes.
    pub max_response_bytes: usize,
    /// Names that one client may subscribe to.
    pub max_names: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { max_request_bytes: 64 << 20, max_response_bytes: 1 << 20, max_names: 500_000 }
    }
}

/// `envoy.service.discovery.v3.AggregatedDiscoveryService`, delta only.
#[derive(Clone)]
pub struct XdsServer {
    pub(crate) generator: Arc<dyn Generator>,
    pub(crate) metrics: Arc<dyn Metrics>,
    pub(crate) options: Options,
    pub(crate) status: Status,
    streams: Arc<AtomicU64>,
}

impl XdsServer {
    pub fn new(generator: Arc<dyn Generator>, metrics: Arc<dyn Metrics>, options: Options) -> Self {
        XdsServer { generator, metrics, options, status: Status::default(), streams: Arc::default() }
    }

    /// Who is connected.
    pub fn status(&self) -> Status {
        self.status.clone()
    }

    /// The service, for a gRPC server whose connections are [`crate::Connection`]s.
    pub fn service(&self) -> AggregatedDiscoveryServiceServer<XdsServer> {
        AggregatedDiscoveryServiceServer::new(self.clone())
            .max_decoding_message_size(self.options.max_request_bytes)
            .max_encoding_message_size(usize::MAX)
    }
}

type Outbound<T> = ReceiverStream<Result<T, tonic::Status>>;

#[tonic::async_trait]
impl AggregatedDiscoveryService for XdsServer {
    type StreamAggregatedResourcesStream = Outbound<DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = Outbound<DeltaDiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, tonic::Status> {
        let client = request.remote_addr().map_or_else(|| "a client".into(), |address| address.to_string());
        tracing::warn!(%client, "a state-of-the-world xDS stream is refused: only delta streams are served");
        Err(tonic::Status::unimplemented(
            "state-of-the-world xDS is not served: use DeltaAggregatedResources (api_type: DELTA_GRPC)",
        ))
    }

    async fn delta_aggregated_resources(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, tonic::Status> {
        let peer = request.extensions().get::<PeerInfo>().cloned();
        // A connection that is not ours to know is treated as TLS without a certificate.
        let peer = peer.unwrap_or(PeerInfo { secure: true, ..PeerInfo::default() });
        let id = self.streams.fetch_add(1, Ordering::Relaxed);
        // One message: what follows waits in the state machine, where newer replaces older.
        let (sender, receiver) = mpsc::channel(1);
        let session = Session::new(self.clone(), id, peer);
        tokio::spawn(session.run(request.into_inner(), sender));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

impl From<Refused> for tonic::Status {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NotReady(why) => tonic::Status::unavailable(why),
            Refused::Invalid(why) => tonic::Status::invalid_argument(why),
            Refused::Unauthenticated(why) => tonic::Status::unauthenticated(why),
            Refused::Denied(why) => tonic::Status::permission_denied(why),
        }
    }
}
