//! State of the world over gRPC: on the aggregated stream, and on a stream per type.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use envoy_types::pb::envoy::service::cluster::v3::cluster_discovery_service_server::{
    ClusterDiscoveryService, ClusterDiscoveryServiceServer,
};
use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_server::{
    AggregatedDiscoveryService, AggregatedDiscoveryServiceServer,
};
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use ir::bootstrap::AdsConfig;
use ir::http::RouteSource;
use ir::route::Forward;
use ir::*;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

use crate::support::backend::Backend;
use crate::support::client::get;
use crate::support::{PATIENCE, Running, Setup, cluster, route, start_bootstrap};

type Out<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// All resources there are, whenever they are others.
#[derive(Clone)]
struct Server(watch::Receiver<Vec<Resource>>);

impl Server {
    fn stream(&self, mut requests: Streaming<DiscoveryRequest>) -> Out<DiscoveryResponse> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut resources = self.0.clone();
        tokio::spawn(async move {
            // By type: the names that are wanted; none: all.
            let mut wanted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            let mut version = 0;
            loop {
                let types: Vec<String> = tokio::select! {
                    request = requests.next() => match request {
                        Some(Ok(request)) => {
                            let names: BTreeSet<String> = request.resource_names.into_iter().collect();
                            let before = wanted.insert(request.type_url.clone(), names.clone());
                            if before == Some(names) { continue } else { vec![request.type_url] }
                        }
                        _ => return,
                    },
                    changed = resources.changed() => match changed {
                        Ok(()) => wanted.keys().cloned().collect(),
                        Err(_) => return,
                    },
                };
                for type_url in types {
                    version += 1;
                    let names = &wanted[&type_url];
                    let all = resources.borrow_and_update().clone();
                    let is = |it: &&Resource| {
                        it.ty().type_url() == type_url && (names.is_empty() || names.contains(&*it.name()))
                    };
                    let resources = all.iter().filter(is).map(xds_codec::encode).collect();
                    let version_info = version.to_string();
                    let nonce = version_info.clone();
                    let response =
                        DiscoveryResponse { version_info, nonce, type_url, resources, ..Default::default() };
                    let _ = sender.send(Ok(response));
                }
            }
        });
        Box::pin(UnboundedReceiverStream::new(receiver))
    }
}

#[tonic::async_trait]
impl AggregatedDiscoveryService for Server {
    type StreamAggregatedResourcesStream = Out<DiscoveryResponse>;
    type DeltaAggregatedResourcesStream = Out<DeltaDiscoveryResponse>;

    async fn stream_aggregated_resources(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamAggregatedResourcesStream>, Status> {
        Ok(Response::new(self.stream(request.into_inner())))
    }

    async fn delta_aggregated_resources(
        &self,
        _: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaAggregatedResourcesStream>, Status> {
        Err(Status::unimplemented("no deltas"))
    }
}

#[tonic::async_trait]
impl ClusterDiscoveryService for Server {
    type StreamClustersStream = Out<DiscoveryResponse>;
    type DeltaClustersStream = Out<DeltaDiscoveryResponse>;

    async fn stream_clusters(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamClustersStream>, Status> {
        Ok(Response::new(self.stream(request.into_inner())))
    }

    async fn delta_clusters(
        &self,
        _: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaClustersStream>, Status> {
        Err(Status::unimplemented("no deltas"))
    }

    async fn fetch_clusters(
        &self,
        _: Request<DiscoveryRequest>,
    ) -> Result<Response<DiscoveryResponse>, Status> {
        Err(Status::unimplemented("streams only"))
    }
}

/// Where it listens, and the way to give it other resources.
fn serve(resources: Vec<Resource>) -> (SocketAddr, watch::Sender<Vec<Resource>>) {
    let (sender, receiver) = watch::channel(resources);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let server = Server(receiver);
            let incoming = TcpListenerStream::new(tokio::net::TcpListener::from_std(listener).unwrap());
            let services = tonic::transport::Server::builder()
                .add_service(AggregatedDiscoveryServiceServer::new(server.clone()))
                .add_service(ClusterDiscoveryServiceServer::new(server));
            services.serve_with_incoming(incoming).await.unwrap();
        });
    });
    (address, sender)
}

/// A listener with routes to `c`, the cluster, and its endpoints.
fn world(listener: &Listener, to: SocketAddr) -> Vec<Resource> {
    let virtual_hosts = vec![std::sync::Arc::new(VirtualHost {
        name: "all".into(),
        domains: vec!["*".into()],
        routes: vec![route("/", RouteAction::Forward(Forward::to("c")))],
        ..VirtualHost::default()
    })];
    let routes = RouteConfig { name: "r".into(), virtual_hosts, ..RouteConfig::default() };
    let ClusterDiscovery::Static(mut assignment) = cluster("c", &[to]).discovery else { unreachable!() };
    assignment.cluster_name = "c".into();
    let eds = ClusterDiscovery::Eds { service_name: None, source: ConfigSource::Ads };
    vec![
        Resource::Listener(Arc::new(listener.clone())),
        Resource::Cluster(Arc::new(Cluster::new("c", eds))),
        Resource::Route(Arc::new(routes)),
        Resource::Endpoints(Arc::new(assignment)),
    ]
}

#[track_caller]
fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is() {
        assert!(begin.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn start(setup: &Setup, server: SocketAddr, cds: ConfigSource) -> Running {
    let mut xds = cluster("xds", &[server]);
    xds.protocol = HttpProtocol::Http2;
    let ads = AdsConfig { cluster: "xds".into(), delta: false, metadata: Vec::new() };
    let bootstrap = Bootstrap {
        admin: Some(Address::Socket(([127, 0, 0, 1], 0).into())),
        clusters: vec![xds],
        ads: Some(ads),
        lds: Some(ConfigSource::Ads),
        cds: Some(cds),
        ..Bootstrap::default()
    };
    start_bootstrap(bootstrap, setup.address)
}

fn setup() -> Setup {
    let mut setup = Setup::new();
    setup.hcm.routes = RouteSource::Rds("r".into());
    setup
}

fn answers(address: SocketAddr) -> String {
    match std::net::TcpStream::connect(address) {
        Ok(_) => get(address, "/").text(),
        Err(_) => String::new(),
    }
}

#[test]
fn the_state_of_the_world_over_ads() {
    let (a, b) = (Backend::start("a"), Backend::start("b"));
    let setup = setup();
    let listener = setup.listener("/dev/null");
    let (server, sender) = serve(world(&listener, a.address));
    let proxy = start(&setup, server, ConfigSource::Ads);
    eventually("the first answer", || answers(setup.address) == "a\n");
    assert!(proxy.handle.is_ready());
    sender.send(world(&listener, b.address)).unwrap();
    eventually("other endpoints", || answers(setup.address) == "b\n");
    // No endpoints and no routes among all there are: both stay. No listener: it is gone.
    let mut less = world(&listener, b.address);
    less.retain(|it| matches!(it, Resource::Listener(_) | Resource::Cluster(_)));
    sender.send(less.clone()).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(answers(setup.address), "b\n");
    less.retain(|it| matches!(it, Resource::Cluster(_)));
    sender.send(less).unwrap();
    eventually("no listener", || std::net::TcpStream::connect(setup.address).is_err());
    sender.send(world(&listener, a.address)).unwrap();
    eventually("everything again", || answers(setup.address) == "a\n");
}

#[test]
fn clusters_over_a_stream_of_their_own() {
    let backend = Backend::start("a");
    let setup = setup();
    let listener = setup.listener("/dev/null");
    let (server, _sender) = serve(world(&listener, backend.address));
    let api = AdsConfig { cluster: "xds".into(), delta: false, metadata: Vec::new() };
    let _proxy = start(&setup, server, ConfigSource::Api(Box::new(api)));
    eventually("the first answer", || answers(setup.address) == "a\n");
}
