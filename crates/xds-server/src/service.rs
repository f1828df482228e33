//! The gRPC service: accepts streams and hands each to a task of its own.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::{Body, BoxFuture, Service, StdError, http};
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::{Request, Response, Streaming};

use crate::codec::{AdsCodec, Outgoing};
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
    pub fn service(&self) -> AdsService {
        AdsService(self.clone())
    }
}

/// The gRPC service.
#[derive(Clone)]
pub struct AdsService(XdsServer);

impl NamedService for AdsService {
    const NAME: &'static str = "envoy.service.discovery.v3.AggregatedDiscoveryService";
}

const DELTA: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
const STATE_OF_THE_WORLD: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";

impl<B> Service<http::Request<B>> for AdsService
where
    B: Body + Send + 'static,
    B::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let server = self.0.clone();
        Box::pin(async move {
            let largest = Some(server.options.max_request_bytes);
            Ok(match request.uri().path() {
                DELTA => {
                    let mut grpc =
                        Grpc::new(AdsCodec).apply_max_message_size_config(largest, Some(usize::MAX));
                    grpc.streaming(Delta(server), request).await
                }
                STATE_OF_THE_WORLD => {
                    let client = request.extensions().get::<PeerInfo>().and_then(|peer| peer.address);
                    let client = client.map_or_else(|| "a client".into(), |address| address.to_string());
                    tracing::warn!(%client, "a state-of-the-world xDS stream is refused: only delta streams are served");
                    tonic::Status::unimplemented(
                        "state-of-the-world xDS is not served: use DeltaAggregatedResources (api_type: DELTA_GRPC)",
                    )
                    .into_http()
                }
                other => tonic::Status::unimplemented(format!("there is no method {other}")).into_http(),
            })
        })
    }
}

/// `DeltaAggregatedResources`.
struct Delta(XdsServer);

impl StreamingService<DeltaDiscoveryRequest> for Delta {
    type Response = Outgoing;
    type ResponseStream = ReceiverStream<Result<Outgoing, tonic::Status>>;
    type Future = Ready<Result<Response<Self::ResponseStream>, tonic::Status>>;

    fn call(&mut self, request: Request<Streaming<DeltaDiscoveryRequest>>) -> Self::Future {
        let peer = request.extensions().get::<PeerInfo>().cloned();
        // A connection that is not ours to know is treated as TLS without a certificate.
        let peer = peer.unwrap_or(PeerInfo { secure: true, ..PeerInfo::default() });
        let id = self.0.streams.fetch_add(1, Ordering::Relaxed);
        // One message: what follows waits in the state machine, where newer replaces older.
        let (sender, receiver) = mpsc::channel(1);
        let session = Session::new(self.0.clone(), id, peer);
        tokio::spawn(session.run(request.into_inner(), sender));
        ready(Ok(Response::new(ReceiverStream::new(receiver))))
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
