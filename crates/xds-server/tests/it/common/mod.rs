//! A server on a loopback port whose resources a test chooses.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use ir::route::RouteClusters;
use ir::{
    Address, Cluster, ClusterDiscovery, Endpoint, LoadAssignment, LocalityEndpoints, Resource, Route,
    RouteAction, RouteConfig, VirtualHost,
};
use model::Locality;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::TcpListenerStream;
use xds_server::{
    ClientHello, Connection, Encoded, Generator, NoMetrics, Options, PeerInfo, Refused, ResourceSet, Status,
    Subscription, XdsServer,
};

/// What every client is to have.
pub struct World {
    set: watch::Sender<Option<Arc<ResourceSet>>>,
    /// Nodes that connected, in order.
    pub hellos: Mutex<Vec<ClientHello>>,
}

impl World {
    pub fn new() -> Arc<World> {
        Arc::new(World { set: watch::Sender::new(None), hellos: Mutex::default() })
    }

    /// Everyone is to have these resources, and no others.
    pub fn set(&self, resources: &[Resource]) {
        let encoded = resources.iter().map(|resource| Arc::new(Encoded::new(resource).unwrap()));
        self.set.send_replace(Some(Arc::new(encoded.collect())));
    }
}

impl Generator for World {
    fn connect(&self, hello: ClientHello) -> Result<Subscription, Refused> {
        self.hellos.lock().unwrap().push(hello);
        Ok(Subscription { resources: self.set.subscribe(), guard: Box::new(()) })
    }
}

/// A running server; stops when dropped.
pub struct Running {
    pub address: SocketAddr,
    pub status: Status,
    /// Connections are tasks of their own: all end with the runtime.
    runtime: Option<tokio::runtime::Runtime>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

/// Serves `world`. `secure`: as if the connections were TLS without client certificates.
pub fn serve(world: &Arc<World>, address: SocketAddr, secure: bool) -> Running {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let entered = runtime.enter();
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).unwrap();
    let listener: TcpListener = socket.listen(64).unwrap();
    let address = listener.local_addr().unwrap();
    let server = XdsServer::new(world.clone(), Arc::new(NoMetrics), Options::default());
    let status = server.status();
    let connections = TcpListenerStream::new(listener).map(move |accepted| {
        let peer = PeerInfo { secure, ..PeerInfo::default() };
        accepted.map(|io: TcpStream| Connection { io, peer })
    });
    let router = tonic::transport::Server::builder().add_service(server.service());
    runtime.spawn(async move {
        let _ = router.serve_with_incoming(connections).await;
    });
    drop(entered);
    Running { address, status, runtime: Some(runtime) }
}

pub fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

pub fn cluster(name: &str) -> Cluster {
    Cluster::new(name, ClusterDiscovery::Eds { service_name: None, source: Default::default() })
}

pub fn endpoints(name: &str, addresses: &[SocketAddr]) -> Resource {
    let endpoints = addresses.iter().map(|address| Endpoint::new(Address::Socket(*address))).collect();
    let locality = LocalityEndpoints { locality: Locality::default(), weight: None, priority: 0, endpoints };
    Resource::Endpoints(Arc::new(LoadAssignment {
        cluster_name: name.into(),
        localities: vec![locality],
        ..Default::default()
    }))
}

pub fn route(name: &str, cluster: &str) -> Resource {
    let action = RouteAction::Forward(ir::route::Forward {
        clusters: RouteClusters::Single(cluster.into()),
        ..ir::route::Forward::to("")
    });
    routes(name, action)
}

pub fn routes(name: &str, action: RouteAction) -> Resource {
    let route = Route::new(ir::route::RouteMatch::prefix("/"), action);
    let host = VirtualHost {
        name: "all".into(),
        domains: vec!["*".into()],
        routes: vec![route],
        ..Default::default()
    };
    Resource::Route(Arc::new(RouteConfig {
        name: name.into(),
        virtual_hosts: vec![Arc::new(host)],
        ..Default::default()
    }))
}
