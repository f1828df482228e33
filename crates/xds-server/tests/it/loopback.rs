//! Client and server over a loopback socket.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::common::{World, any_port, cluster, endpoints, serve};
use ir::{LbPolicy, Resource, ResourceType};
use stdx::Str;
use xds_client::{Added, AdsClient, AdsConfig, AdsHandle, Handler, Link, NodeInfo, Reject, Target, Update};

/// A client that follows clusters to their endpoints, and refuses what it is told to.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    has: BTreeMap<(ResourceType, Str), Resource>,
    /// Names in the order in which they were delivered.
    log: Vec<String>,
    refuse: Option<Str>,
    links: Vec<Link>,
}

impl Handler for Seen {
    fn on_update(&mut self, update: Update, ads: &AdsHandle) -> Vec<Reject> {
        let mut inner = self.0.lock().unwrap();
        let mut rejects = Vec::new();
        assert_eq!(update.problems, []);
        for Added { resource, .. } in update.added {
            let name = resource.name();
            inner.log.push(format!("{} {name}", update.ty));
            if inner.refuse.as_ref() == Some(&name) {
                rejects.push(Reject { name, message: "is not wanted".into() });
                continue;
            }
            if update.ty == ResourceType::Cluster {
                ads.subscribe(ResourceType::Endpoints, [name.clone()]);
            }
            inner.has.insert((update.ty, name), resource);
        }
        for name in update.removed {
            inner.log.push(format!("{} -{name}", update.ty));
            if update.ty == ResourceType::Cluster {
                ads.unsubscribe(ResourceType::Endpoints, [name.clone()]);
                inner.has.remove(&(ResourceType::Endpoints, name.clone()));
            }
            inner.has.remove(&(update.ty, name));
        }
        rejects
    }

    fn on_link(&mut self, link: Link) {
        self.0.lock().unwrap().links.push(link);
    }
}

impl Seen {
    /// Waits until the client has exactly these (`CDS a`), in order.
    async fn has(&self, expected: &[&str]) {
        let has = || {
            let inner = self.0.lock().unwrap();
            inner.has.keys().map(|(ty, name)| format!("{ty} {name}")).collect::<Vec<_>>()
        };
        for _ in 0..500 {
            if has() == expected {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(has(), expected);
    }

    fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().log)
    }
}

fn connect(address: std::net::SocketAddr, seen: &Seen) -> AdsClient {
    let node = NodeInfo {
        id: "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local".into(),
        user_agent_name: "lateen".into(),
        ..NodeInfo::default()
    };
    let target = Target::Tcp(address.to_string().into());
    let config = AdsConfig { wildcards: vec![ResourceType::Cluster], ..AdsConfig::new(target, node) };
    AdsClient::spawn(config, seen.clone())
}

fn plain(name: &str) -> Resource {
    Resource::Cluster(Arc::new(cluster(name)))
}

fn changed(name: &str) -> Resource {
    Resource::Cluster(Arc::new(ir::Cluster { lb_policy: LbPolicy::Random, ..cluster(name) }))
}

#[tokio::test]
async fn resources_come_and_go() {
    let world = World::new();
    let server = serve(&world, any_port(), false);
    let seen = Seen::default();
    let _client = connect(server.address, &seen);
    world.set(&[plain("a"), plain("b"), endpoints("a", &[]), endpoints("b", &[])]);
    seen.has(&["CDS a", "CDS b", "EDS a", "EDS b"]).await;
    world.set(&[plain("b"), plain("c"), endpoints("b", &[]), endpoints("c", &[])]);
    seen.has(&["CDS b", "CDS c", "EDS b", "EDS c"]).await;
    let hello = &world.hellos.lock().unwrap()[0];
    assert_eq!((hello.node.namespace.as_str(), hello.node.data_plane), ("shop", model::DataPlane::Lateen));
}

#[tokio::test]
async fn one_refused_resource_harms_no_other() {
    let world = World::new();
    let server = serve(&world, any_port(), false);
    let seen = Seen::default();
    seen.0.lock().unwrap().refuse = Some("b".into());
    world.set(&[plain("a"), plain("b"), plain("c")]);
    let _client = connect(server.address, &seen);
    // Endpoints that do not exist are answered as such, so nothing hangs.
    seen.has(&["CDS a", "CDS c"]).await;
    let status = || {
        server.status.clients().into_iter().next().map(|client| client.types[&ResourceType::Cluster].clone())
    };
    while status().is_none_or(|status| status.last_nack.is_none()) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let told = status().unwrap();
    assert_eq!(told.last_nack.as_deref(), Some("b: is not wanted"));
    assert_eq!(told.rejected.keys().map(Str::as_str).collect::<Vec<_>>(), ["b"]);
    seen.take_log();
    world.set(&[changed("a"), plain("b"), plain("c")]);
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        if !seen.0.lock().unwrap().log.is_empty() {
            break;
        }
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let log = seen.take_log();
    assert!(log.contains(&"CDS a".into()) && !log.contains(&"CDS b".into()), "{log:?}");
    // Its next version is tried again.
    seen.0.lock().unwrap().refuse = None;
    world.set(&[changed("a"), changed("b"), plain("c")]);
    seen.has(&["CDS a", "CDS b", "CDS c"]).await;
}

#[tokio::test]
async fn a_restarted_server_sends_only_what_is_different() {
    let world = World::new();
    let server = serve(&world, any_port(), false);
    let address = server.address;
    let seen = Seen::default();
    let _client = connect(address, &seen);
    world.set(&[plain("a"), plain("b"), endpoints("a", &[]), endpoints("b", &[])]);
    seen.has(&["CDS a", "CDS b", "EDS a", "EDS b"]).await;
    drop(server);
    let other = World::new();
    other.set(&[
        plain("a"),
        changed("b"),
        plain("c"),
        endpoints("a", &[]),
        endpoints("b", &[]),
        endpoints("c", &[]),
    ]);
    // Give the first server's sockets time to close.
    tokio::time::sleep(Duration::from_millis(200)).await;
    seen.take_log();
    let _server = serve(&other, address, false);
    seen.has(&["CDS a", "CDS b", "CDS c", "EDS a", "EDS b", "EDS c"]).await;
    let log = seen.take_log();
    assert_eq!(log, ["CDS b", "CDS c", "EDS c"]);
    let links = &seen.0.lock().unwrap().links;
    assert!(matches!(&links[..], [Link::Up, Link::Down(_), .., Link::Up]), "{links:?}");
}

#[tokio::test]
async fn large_worlds_come_in_pieces() {
    let world = World::new();
    let server = serve(&world, any_port(), false);
    let seen = Seen::default();
    let long = |i: usize| format!("outbound|80||service-{i:05}.{}.svc.cluster.local", "n".repeat(200));
    world.set(&(0..20_000).map(|i| plain(&long(i))).collect::<Vec<_>>());
    let _client = connect(server.address, &seen);
    let count = || seen.0.lock().unwrap().has.len();
    for _ in 0..1000 {
        if count() == 20_000 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(count(), 20_000);
}

#[tokio::test]
async fn tls_without_a_certificate_is_refused() {
    let world = World::new();
    world.set(&[plain("a")]);
    let server = serve(&world, any_port(), true);
    let seen = Seen::default();
    let _client = connect(server.address, &seen);
    for _ in 0..500 {
        if let Some(Link::Down(reason)) = seen.0.lock().unwrap().links.first() {
            assert!(reason.contains("client certificate"), "{reason}");
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("was not refused");
}

#[tokio::test]
async fn state_of_the_world_is_refused_by_name() {
    use envoy_types::pb::envoy::service::discovery::v3::DiscoveryRequest;
    use envoy_types::pb::envoy::service::discovery::v3::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
    let world = World::new();
    let server = serve(&world, any_port(), false);
    let mut client =
        AggregatedDiscoveryServiceClient::connect(format!("http://{}", server.address)).await.unwrap();
    let requests = tokio_stream::iter([DiscoveryRequest::default()]);
    let status = client.stream_aggregated_resources(requests).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unimplemented);
    assert!(status.message().contains("DELTA_GRPC"));
}
