//! How long one change takes: from the moment when it is with the xDS server until a request is
//! answered by it. The proxy has all its services from that server, over delta ADS.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use ir::http::RouteSource;
use ir::{Resource, RouteConfig, Terminal};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::TcpListenerStream;
use xds_server::{
    ClientHello, Connection, Encoded, Generator, NoMetrics, Options, PeerInfo, Refused, ResourceSet,
    Subscription, XdsServer,
};

use super::{LIMIT, answers, bootstrap};
use crate::backend::Backend;
use crate::hop::{Hop, Protocol, Row};
use crate::machine::{free_port, loopback};
use crate::metric::{Metric, Samples};
use crate::peers::{Peer, Site, envoy};

/// Changes of one round. The slowest is reported too.
const CHANGES: usize = 20;

/// The same resources for everybody who asks.
struct Server {
    set: watch::Sender<Option<Arc<ResourceSet>>>,
}

impl Generator for Server {
    fn connect(&self, _: ClientHello) -> Result<Subscription, Refused> {
        Ok(Subscription { resources: self.set.subscribe(), guard: Box::new(()) })
    }
}

impl Server {
    /// Serves on a thread of its own, on the core of the load, until the sender is dropped.
    fn start(port: u16) -> anyhow::Result<(Arc<Server>, oneshot::Sender<()>)> {
        let server = Arc::new(Server { set: watch::Sender::new(None) });
        let service = XdsServer::new(server.clone(), Arc::new(NoMetrics), Options::default()).service();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind(loopback(port)))?;
        let (stop, stopped) = oneshot::channel::<()>();
        std::thread::spawn(move || {
            runtime.block_on(async {
                let connections = TcpListenerStream::new(listener).map(|accepted| {
                    let io = accepted?;
                    // As the control plane does: or the end of a large answer waits for a delayed ACK.
                    io.set_nodelay(true)?;
                    std::io::Result::Ok(Connection { io, peer: PeerInfo::default() })
                });
                let serving = tonic::transport::Server::builder().add_service(service);
                tokio::select! {
                    _ = serving.serve_with_incoming(connections) => {}
                    _ = stopped => {}
                }
            });
        });
        Ok((server, stop))
    }
}

/// Adds the time of each change, and the time of the slowest.
///
/// # Errors
/// The proxy does not start, or a change does not take effect.
pub fn measure(
    site: &Site,
    backend: &Backend,
    peer: Peer,
    services: usize,
    samples: &mut Samples,
) -> anyhow::Result<()> {
    let hops = Row::Single.hops(Protocol::Http1, backend.http1)?;
    let hop = &hops[0];
    let xds = free_port()?;
    let (server, _stop) = Server::start(xds)?;
    let world = World::new(site, hop, services)?;
    server.set.send_replace(Some(world.with(world.routes.clone())?));

    let config = site.folder.join(format!("{peer}-xds-{}.json", hop.listen));
    std::fs::write(&config, dynamic(site, hop, xds).to_string())?;
    let name = format!("{peer}-xds-{}", hop.listen);
    let mut process = super::start(site, peer, &name, &config.display().to_string())?;
    process.wait(LIMIT, |_| answers(hop.listen))?;

    let mut asking = TcpStream::connect(loopback(hop.listen))?;
    asking.set_nodelay(true)?;
    asking.set_read_timeout(Some(LIMIT))?;
    let mut slowest: f64 = 0.0;
    for change in 0..CHANGES {
        let (routes, status) =
            if change % 2 == 0 { (world.changed()?, 418) } else { (world.routes.clone(), 200) };
        let set = world.with(routes)?;
        let start = Instant::now();
        server.set.send_replace(Some(set));
        while ask(&mut asking)? != status {
            ensure!(start.elapsed() < LIMIT, "change {change} is not in effect after {LIMIT:?}");
        }
        let took = start.elapsed().as_secs_f64() * 1e3;
        samples.add(peer, Metric::Change, took);
        slowest = slowest.max(took);
        // Longer than a proxy may need to tidy up after the change before.
        std::thread::sleep(Duration::from_millis(50));
    }
    samples.add(peer, Metric::SlowestChange, slowest);
    Ok(())
}

/// What the static bootstrap has, as resources.
struct World {
    rest: Vec<Arc<Encoded>>,
    routes: RouteConfig,
}

impl World {
    fn new(site: &Site, hop: &Hop, services: usize) -> anyhow::Result<World> {
        let text = bootstrap(hop, &site.certificates, services, &site.folder).to_string();
        let decoded = xds_codec::json::bootstrap_from_json(&text)?.bootstrap;
        let mut listener = decoded.listeners.into_iter().next().context("no listener")?;
        let Some(Terminal::Http(manager)) = listener.filter_chains.first_mut().map(|it| &mut it.terminal)
        else {
            bail!("no connection manager")
        };
        let named = RouteSource::Rds("hop".into());
        let RouteSource::Inline(routes) = std::mem::replace(&mut manager.routes, named) else {
            bail!("no routes")
        };
        let clusters = decoded.clusters.into_iter().map(|cluster| Resource::Cluster(Arc::new(cluster)));
        let rest: Vec<Resource> = clusters.chain([Resource::Listener(Arc::new(listener))]).collect();
        Ok(World {
            rest: rest.iter().map(encoded).collect::<anyhow::Result<_>>()?,
            routes: Arc::unwrap_or_clone(routes),
        })
    }

    fn with(&self, routes: RouteConfig) -> anyhow::Result<Arc<ResourceSet>> {
        let routes = encoded(&Resource::Route(Arc::new(routes)))?;
        Ok(Arc::new(self.rest.iter().cloned().chain([routes]).collect()))
    }

    /// The first service answers 418 from now on, the others are as before.
    fn changed(&self) -> anyhow::Result<RouteConfig> {
        let action =
            ir::RouteAction::Direct(ir::route::DirectResponse { status: 418, body: "".into(), format: None });
        let mut routes = self.routes.clone();
        let host = routes.virtual_hosts.first_mut().context("no virtual host")?;
        Arc::make_mut(host).routes.first_mut().context("no route")?.action = action;
        Ok(routes)
    }
}

fn encoded(resource: &Resource) -> anyhow::Result<Arc<Encoded>> {
    Encoded::new(resource).map(Arc::new).map_err(|withheld| anyhow::anyhow!("{withheld}"))
}

/// A bootstrap that names the server and the secrets only.
fn dynamic(site: &Site, hop: &Hop, xds: u16) -> Value {
    let mut bootstrap = bootstrap(hop, &site.certificates, 0, &site.folder);
    bootstrap["node"] =
        json!({ "id": "sidecar~127.0.0.1~bench.bench~bench.svc.cluster.local", "cluster": "bench" });
    let parts = &mut bootstrap["static_resources"];
    parts["listeners"] = json!([]);
    let server = Hop { protocol: Protocol::Http2, upstream: xds, ..hop.clone() };
    parts["clusters"] = json!([envoy::cluster(&server, &site.certificates)]);
    let ads = json!({ "ads": {}, "resource_api_version": "V3" });
    bootstrap["dynamic_resources"] = json!({
        "ads_config": {
            "api_type": "DELTA_GRPC",
            "transport_api_version": "V3",
            "grpc_services": [{ "envoy_grpc": { "cluster_name": "backend" } }],
        },
        "cds_config": ads,
        "lds_config": ads,
    });
    bootstrap
}

/// The status that the first service answers with, on a kept connection.
fn ask(stream: &mut TcpStream) -> anyhow::Result<u16> {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: service-0.bench\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut chunk = [0; 2048];
    loop {
        let count = stream.read(&mut chunk)?;
        ensure!(count > 0, "the proxy closed the connection");
        answer.extend_from_slice(&chunk[..count]);
        // Bodies are of a length that the head names: all x, or nothing.
        if answer.ends_with(b"\r\n\r\n") || answer.ends_with(&[b'x'; 100]) {
            let status = answer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
            let status = status.and_then(|digits| digits.parse().ok()).context("no status")?;
            if status != 200 || answer.ends_with(b"x") {
                return Ok(status);
            }
        }
    }
}
