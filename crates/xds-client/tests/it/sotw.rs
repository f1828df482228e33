//! State of the world over ADS, against a server that does what the test says.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use ir::{Cluster, ClusterDiscovery, LoadAssignment, Resource, ResourceType};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};
use xds_client::{AdsClient, AdsConfig, AdsHandle, Handler, Link, NodeInfo, Reject, Target, Update};

type Answers = mpsc::UnboundedSender<Result<DiscoveryResponse, Status>>;
type Out<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Hands streams and requests to the test.
struct Server {
    streams: mpsc::UnboundedSender<Answers>,
    requests: mpsc::UnboundedSender<DiscoveryRequest>,
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for Server {
    type StreamAggregatedResourcesStream = Out<DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = Out<DeltaDiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let (seen, mut requests) = (self.requests.clone(), request.into_inner());
        let _ = self.streams.send(sender);
        tokio::spawn(async move {
            while let Some(Ok(request)) = requests.next().await {
                let _ = seen.send(request);
            }
        });
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(receiver))))
    }

    async fn delta_aggregated_resources(
        &self,
        _: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("state of the world only"))
    }
}

/// What the client told its owner: `CDS +a@1 -b` or `up` and `down`. Refuses clusters named `bad`.
struct Owner(mpsc::UnboundedSender<String>);

impl Handler for Owner {
    fn on_update(&mut self, update: Update, _: &AdsHandle) -> Vec<Reject> {
        let added = update.added.iter().map(|it| format!(" +{}@{}", it.resource.name(), it.version));
        let removed = update.removed.iter().map(|name| format!(" -{name}"));
        let problems = update.problems.iter().map(|problem| format!(" !{}", problem.name));
        let told: String = added.chain(removed).chain(problems).collect();
        let _ = self.0.send(format!("{}{told}", update.ty));
        let bad = update.added.iter().map(|it| it.resource.name()).filter(|name| name.starts_with("bad"));
        bad.map(|name| Reject { name, message: "is bad".into() }).collect()
    }

    fn on_link(&mut self, link: Link) {
        let _ = self.0.send(if link == Link::Up { "up".into() } else { "down".into() });
    }
}

/// Both ends of a conversation.
struct Talk {
    client: AdsClient,
    streams: mpsc::UnboundedReceiver<Answers>,
    requests: mpsc::UnboundedReceiver<DiscoveryRequest>,
    told: mpsc::UnboundedReceiver<String>,
}

const PATIENCE: Duration = Duration::from_secs(10);

impl Talk {
    async fn begin(delta: bool) -> Talk {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (streams, new_streams) = mpsc::unbounded_channel();
        let (seen, requests) = mpsc::unbounded_channel();
        let service = AggregatedDiscoveryServiceServer::new(Server { streams, requests: seen });
        let server = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        let node = NodeInfo { id: "n".into(), ..NodeInfo::default() };
        let config = AdsConfig {
            delta,
            wildcards: vec![ResourceType::Cluster],
            ..AdsConfig::new(Target::Tcp(address.into()), node)
        };
        let (owner, told) = mpsc::unbounded_channel();
        let client = AdsClient::spawn(config, Owner(owner));
        Talk { client, streams: new_streams, requests, told }
    }

    async fn stream(&mut self) -> Answers {
        tokio::time::timeout(PATIENCE, self.streams.recv()).await.unwrap().unwrap()
    }

    /// `CDS v1 #n1 [names] !error`, and `node` where it is said.
    async fn request(&mut self) -> String {
        let it = tokio::time::timeout(PATIENCE, self.requests.recv()).await.unwrap().unwrap();
        let ty = ResourceType::by_type_url(&it.type_url).unwrap();
        let error = it.error_detail.map(|status| format!(" !{}", status.message)).unwrap_or_default();
        let node = if it.node.is_some() { " node" } else { "" };
        let (version, nonce, names) = (it.version_info, it.response_nonce, it.resource_names.join(","));
        format!("{ty} v{version} #{nonce} [{names}]{node}{error}")
    }

    async fn told(&mut self) -> String {
        tokio::time::timeout(PATIENCE, self.told.recv()).await.unwrap().unwrap()
    }
}

fn cluster(name: &str) -> Resource {
    Resource::Cluster(Arc::new(Cluster::new(
        name,
        ClusterDiscovery::Eds { service_name: None, source: Default::default() },
    )))
}

fn endpoints(name: &str) -> Resource {
    Resource::Endpoints(Arc::new(LoadAssignment { cluster_name: name.into(), ..Default::default() }))
}

fn answer(to: &Answers, version: &str, ty: ResourceType, resources: &[Resource]) {
    let response = DiscoveryResponse {
        version_info: version.into(),
        nonce: format!("n{version}"),
        type_url: ty.type_url().into(),
        resources: resources.iter().map(xds_codec::encode).collect(),
        ..DiscoveryResponse::default()
    };
    to.send(Ok(response)).unwrap();
}

#[tokio::test]
async fn a_conversation() {
    let mut talk = Talk::begin(false).await;
    let server = talk.stream().await;
    assert_eq!(talk.request().await, "CDS v # [] node");
    answer(&server, "1", ResourceType::Cluster, &[cluster("a"), cluster("b")]);
    assert_eq!((talk.told().await.as_str(), talk.told().await.as_str()), ("up", "CDS +a@1 +b@1"));
    assert_eq!(talk.request().await, "CDS v1 #n1 []");

    // Subscriptions by name are told whole, and the parts that come are not all there is.
    talk.client.handle().subscribe(ResourceType::Endpoints, ["a".into()]);
    assert_eq!(talk.request().await, "EDS v # [a]");
    answer(&server, "2", ResourceType::Endpoints, &[endpoints("a")]);
    assert_eq!(talk.told().await, "EDS +a@2");
    assert_eq!(talk.request().await, "EDS v2 #n2 [a]");
    talk.client.handle().subscribe(ResourceType::Endpoints, ["b".into()]);
    assert_eq!(talk.request().await, "EDS v2 #n2 [a,b]");
    answer(&server, "3", ResourceType::Endpoints, &[endpoints("b")]);
    assert_eq!(talk.told().await, "EDS +b@3");
    assert_eq!(talk.request().await, "EDS v3 #n3 [a,b]");
    talk.client.handle().unsubscribe(ResourceType::Endpoints, ["a".into()]);
    assert_eq!(talk.request().await, "EDS v3 #n3 [b]");

    // Good ones count beside a bad one; the version that holds is the one before. What is missing is gone.
    answer(&server, "4", ResourceType::Cluster, &[cluster("bad"), cluster("b"), cluster("c")]);
    assert_eq!(talk.told().await, "CDS +bad@4 +c@4 -a");
    assert_eq!(talk.request().await, "CDS v1 #n4 [] !bad: is bad");
    answer(&server, "5", ResourceType::Cluster, &[cluster("b"), cluster("c")]);
    assert_eq!(talk.request().await, "CDS v5 #n5 []");
    answer(&server, "6", ResourceType::Cluster, &[]);
    assert_eq!(talk.told().await, "CDS -b -c");
    assert_eq!(talk.request().await, "CDS v6 #n6 []");
}

#[tokio::test]
async fn a_new_stream_begins_anew() {
    let mut talk = Talk::begin(false).await;
    let server = talk.stream().await;
    assert_eq!(talk.request().await, "CDS v # [] node");
    answer(&server, "1", ResourceType::Cluster, &[cluster("a"), cluster("b")]);
    assert_eq!((talk.told().await.as_str(), talk.told().await.as_str()), ("up", "CDS +a@1 +b@1"));
    assert_eq!(talk.request().await, "CDS v1 #n1 []");
    drop(server);
    assert_eq!(talk.told().await, "down");
    talk.client.handle().subscribe(ResourceType::Endpoints, ["c".into()]);
    let server = talk.stream().await;
    assert_eq!(talk.request().await, "CDS v # [] node");
    assert_eq!(talk.request().await, "EDS v # [c]");
    // The server counts anew; what was removed meanwhile is gone, and what is there is looked at again.
    answer(&server, "1", ResourceType::Cluster, &[cluster("b"), cluster("c")]);
    assert_eq!(talk.told().await, "up");
    let told = talk.told().await;
    assert!(told.starts_with("CDS +b@1#") && told.ends_with(" +c@1 -a"), "{told}");
    assert_eq!(talk.request().await, "CDS v1 #n1 []");
}

#[tokio::test]
async fn what_cannot_be_read_is_refused() {
    let mut talk = Talk::begin(false).await;
    let server = talk.stream().await;
    talk.request().await;
    let mut garbage = xds_codec::encode(&cluster("a"));
    garbage.value = vec![0xff; 3];
    let response = DiscoveryResponse {
        version_info: "1".into(),
        nonce: "n1".into(),
        type_url: ResourceType::Cluster.type_url().into(),
        resources: vec![garbage, xds_codec::encode(&cluster("b"))],
        ..DiscoveryResponse::default()
    };
    server.send(Ok(response)).unwrap();
    assert_eq!((talk.told().await.as_str(), talk.told().await.as_str()), ("up", "CDS +b@1 !CDS"));
    let request = talk.request().await;
    assert!(request.starts_with("CDS v #n1 [] !CDS: cannot be read"), "{request}");
}

#[tokio::test]
async fn a_server_without_deltas_is_asked_for_the_state_of_the_world() {
    let mut talk = Talk::begin(true).await;
    let server = talk.stream().await;
    assert_eq!(talk.request().await, "CDS v # [] node");
    answer(&server, "1", ResourceType::Cluster, &[cluster("a")]);
    assert_eq!((talk.told().await.as_str(), talk.told().await.as_str()), ("up", "CDS +a@1"));
}
