//! Secrets from an agent that serves state of the world only, as Istio's does, over a Unix socket.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use envoy_types::pb::envoy::service::secret::v3::secret_discovery_service_server::{
    SecretDiscoveryService, SecretDiscoveryServiceServer,
};
use ir::tls::{DataSource, SecretContent};
use ir::{Resource, ResourceType, Secret};
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};
use xds_client::{AdsClient, AdsConfig, AdsHandle, Handler, NodeInfo, Reject, Service, Target, Update};

type Log = Arc<Mutex<Vec<String>>>;

/// Serves a secret for each name, a new version whenever it is acknowledged, up to 2.
struct Agent {
    log: Log,
}

fn secret(name: &str, version: u32) -> xds_codec::Any {
    let content = SecretContent::Roots(DataSource::Inline(format!("root {version}").into_bytes()).into());
    xds_codec::encode(&Resource::Secret(Arc::new(Secret { name: name.into(), content })))
}

type Out<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl SecretDiscoveryService for Agent {
    type DeltaSecretsStream = Out<DeltaDiscoveryResponse>;
    type StreamSecretsStream = Out<DiscoveryResponse>;

    async fn delta_secrets(
        &self,
        _: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaSecretsStream>, Status> {
        Err(Status::unimplemented("DeltaSecrets not implemented"))
    }

    async fn stream_secrets(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamSecretsStream>, Status> {
        let (sender, receiver) = mpsc::channel(4);
        let (log, mut requests) = (self.log.clone(), request.into_inner());
        tokio::spawn(async move {
            let mut version = 0;
            while let Some(Ok(request)) = requests.next().await {
                let node = request.node.is_some();
                let (names, nonce) = (request.resource_names.join(","), &request.response_nonce);
                log.lock().unwrap().push(format!("{names} v{} #{nonce} {node}", request.version_info));
                if version == 2 {
                    continue;
                }
                version += 1;
                let response = DiscoveryResponse {
                    version_info: version.to_string(),
                    resources: request.resource_names.iter().map(|name| secret(name, version)).collect(),
                    type_url: request.type_url,
                    nonce: format!("n{version}"),
                    ..DiscoveryResponse::default()
                };
                let _ = sender.send(Ok(response)).await;
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn fetch_secrets(
        &self,
        _: Request<DiscoveryRequest>,
    ) -> Result<Response<DiscoveryResponse>, Status> {
        Err(Status::unimplemented("FetchSecrets not implemented"))
    }
}

struct Keep(mpsc::UnboundedSender<Update>);

impl Handler for Keep {
    fn on_update(&mut self, update: Update, _: &AdsHandle) -> Vec<Reject> {
        let _ = self.0.send(update);
        Vec::new()
    }
}

#[tokio::test]
async fn falls_back_to_state_of_the_world() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let log = Log::default();
    let connections = UnixListenerStream::new(UnixListener::bind(&path).unwrap());
    let service = SecretDiscoveryServiceServer::new(Agent { log: log.clone() });
    tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(connections));

    let node = NodeInfo { id: "sidecar~10.0.0.1~a.b~b.svc.cluster.local".into(), ..NodeInfo::default() };
    let config =
        AdsConfig { service: Service::Of(ResourceType::Secret), ..AdsConfig::new(Target::Unix(path), node) };
    let (sender, mut updates) = mpsc::unbounded_channel();
    let client = AdsClient::spawn(config, Keep(sender));
    client.handle().subscribe(ResourceType::Secret, ["ROOTCA".into()]);
    for version in 1..=2 {
        let update = tokio::time::timeout(Duration::from_secs(10), updates.recv()).await.unwrap().unwrap();
        let Resource::Secret(secret) = &update.added[0].resource else { panic!("{update:?}") };
        let expected = DataSource::Inline(format!("root {version}").into_bytes());
        assert_eq!(
            (secret.name.as_str(), &secret.content),
            ("ROOTCA", &SecretContent::Roots(expected.into()))
        );
    }
    for _ in 0..200 {
        if log.lock().unwrap().len() == 3 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(*log.lock().unwrap(), ["ROOTCA v # true", "ROOTCA v1 #n1 false", "ROOTCA v2 #n2 false"]);
}
