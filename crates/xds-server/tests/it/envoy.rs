//! Stock Envoy as a client. `LATEEN_ENVOY` names the program; without it the test says so and ends.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::common::{Running, World, any_port, cluster, endpoints, route, routes, serve};
use ir::http::RouteSource;
use ir::listener::Terminal;
use ir::route::DirectResponse;
use ir::{
    Address, FilterChain, FilterChainMatch, HttpConnectionManager, LbPolicy, Listener, Resource,
    ResourceType, RouteAction,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use xds_server::ClientStatus;

/// A running Envoy; killed when dropped.
struct Envoy {
    child: Child,
    _folder: tempfile::TempDir,
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn envoy(server: SocketAddr) -> Option<Envoy> {
    let Some(program) = std::env::var_os("LATEEN_ENVOY").map(PathBuf::from) else {
        eprintln!("SKIPPED: LATEEN_ENVOY does not name an Envoy");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let bootstrap = format!(
        r#"
node: {{id: "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local", cluster: web}}
dynamic_resources:
  ads_config: {{api_type: DELTA_GRPC, transport_api_version: V3, grpc_services: [{{envoy_grpc: {{cluster_name: xds}}}}]}}
  cds_config: {{ads: {{}}, resource_api_version: V3}}
  lds_config: {{ads: {{}}, resource_api_version: V3}}
static_resources:
  clusters:
  - name: xds
    type: STATIC
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{}}}}
    load_assignment:
      cluster_name: xds
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {}}}}}}}}}]}}]
"#,
        server.port()
    );
    let path = folder.path().join("bootstrap.yaml");
    std::fs::File::create(&path).unwrap().write_all(bootstrap.as_bytes()).unwrap();
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let mut command = Command::new(program);
    command.args([
        "--base-id-path".as_ref(),
        folder.path().join("id").as_os_str(),
        "--use-dynamic-base-id".as_ref(),
    ]);
    command.args(["-l", "warn", "--concurrency", "1", "-c"]).arg(&path);
    let child = command.stdout(Stdio::null()).stderr(log).spawn().expect("LATEEN_ENVOY cannot be started");
    Some(Envoy { child, _folder: folder })
}

/// Answers every connection with its name.
async fn backend(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind(any_port()).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                let _ = stream.read(&mut buffer).await;
                let length = name.len();
                let text =
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{name}");
                let _ = stream.write_all(text.as_bytes()).await;
            });
        }
    });
    address
}

fn listener(name: &str, port: u16, routes: &str) -> Resource {
    let manager = HttpConnectionManager {
        stat_prefix: name.into(),
        routes: RouteSource::Rds(routes.into()),
        ..HttpConnectionManager::default()
    };
    let chain = FilterChain {
        name: "only".into(),
        matches: FilterChainMatch::default(),
        tls: None,
        transport_socket_connect_timeout: None,
        filters: Vec::new(),
        terminal: Terminal::Http(Box::new(manager)),
        origin: None,
    };
    Resource::Listener(Arc::new(Listener {
        name: name.into(),
        address: Address::Socket(SocketAddr::from(([127, 0, 0, 1], port))),
        additional_addresses: Vec::new(),
        bind_to_port: true,
        use_original_dst: false,
        direction: ir::Direction::Outbound,
        listener_filters: Vec::new(),
        listener_filters_timeout: None,
        continue_on_listener_filters_timeout: false,
        filter_chains: vec![chain],
        default_filter_chain: None,
        access_log: Vec::new(),
        origin: None,
    }))
}

fn free_port() -> u16 {
    std::net::TcpListener::bind(any_port()).unwrap().local_addr().unwrap().port()
}

async fn get(port: u16) -> Result<String, std::io::Error> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

/// Until a request is answered with this.
async fn eventually(server: &Running, port: u16, expected: &str, within: Duration) {
    let started = Instant::now();
    loop {
        let got = get(port).await;
        if got.as_ref().is_ok_and(|text| text.contains(expected)) {
            return;
        }
        let clients = server.status.clients();
        assert!(started.elapsed() < within, "no {expected:?} within {within:?}: {got:?}; {clients:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn status_is(server: &Running, what: &str, check: impl Fn(&ClientStatus) -> bool) {
    for _ in 0..1000 {
        if server.status.clients().first().is_some_and(&check) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}: {:?}", server.status.clients());
}

fn plain(name: &str) -> Resource {
    Resource::Cluster(Arc::new(cluster(name)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envoy_follows() {
    let world = World::new();
    let server = serve(&world, any_port(), false);
    let Some(_envoy) = envoy(server.address) else { return };
    let (one, two) = (backend("one").await, backend("two").await);
    let (port, other) = (free_port(), free_port());

    // From nothing to a request.
    let mut all = vec![plain("a"), endpoints("a", &[one]), listener("front", port, "80"), route("80", "a")];
    world.set(&all);
    eventually(&server, port, "one", Duration::from_secs(20)).await;

    // A new cluster and a route to it, the old cluster gone: no request in between may fail.
    all[0] = plain("b");
    all[1] = endpoints("b", &[two]);
    all[3] = route("80", "b");
    world.set(&all);
    let started = Instant::now();
    loop {
        let text = get(port).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
        if text.contains("two") {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(5), "the route did not change");
    }
    let only_b = |client: &ClientStatus| client.types[&ResourceType::Cluster].resources == 1;
    status_is(&server, "the old cluster goes", only_b).await;

    // A changed cluster waits for endpoints that did not change: they come again, and what the
    // cluster changes takes effect long before Envoy's patience of 15 s ends.
    let changed = ir::Cluster { lb_policy: LbPolicy::Random, ..cluster("b") };
    all[0] = Resource::Cluster(Arc::new(changed));
    all.push(listener("second", other, "90"));
    all.push(route("90", "b"));
    world.set(&all);
    eventually(&server, other, "two", Duration::from_secs(5)).await;

    // Endpoints alone.
    all[1] = endpoints("b", &[one]);
    world.set(&all);
    eventually(&server, port, "one", Duration::from_secs(5)).await;

    // A listener that Envoy cannot have (the address is taken) is named; the rest goes on.
    all.push(listener("taken", port, "80"));
    let direct = RouteAction::Direct(DirectResponse { status: 418, body: "teapot".into(), format: None });
    all[3] = routes("80", direct);
    world.set(&all);
    eventually(&server, port, "teapot", Duration::from_secs(5)).await;
    status_is(&server, "the refusal is known by name", |client| {
        let listeners = &client.types[&ResourceType::Listener];
        listeners.rejected.keys().any(|name| *name == "taken")
    })
    .await;

    // Taken back, and all in sync.
    all.pop();
    world.set(&all);
    status_is(&server, "in sync", |client| {
        client.types.values().all(|ty| ty.nonce_sent == ty.nonce_acked || ty.last_nack.is_some())
            && client.types.values().all(|ty| ty.rejected.is_empty() && ty.pending == 0)
    })
    .await;
}
