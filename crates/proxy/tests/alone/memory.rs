//! What idle connections and idle services hold in memory.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use identity::{Certificate, PrivateKeyPem, Roots, SecretStore};
use ir::route::DirectResponse;
use ir::{LoadAssignment, Resource, ResourceType, RouteAction};
use proxy::{Proxy, ProxyConfig};
use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::{Setup, route};
use crate::{LIVE, PEAK, alone};

/// Connections that have had one request each.
fn connect(to: std::net::SocketAddr, count: usize) -> Vec<Client> {
    let one = |_| {
        let mut client = Client::connect(to);
        assert_eq!(client.get("/").status, 200);
        client
    };
    (0..count).map(one).collect()
}

#[test]
fn an_idle_connection_holds_less_than_two_kibibytes() {
    let _alone = alone();
    let mut setup = Setup::new();
    setup.concurrency = 1;
    setup.routes.push(route(
        "/",
        RouteAction::Direct(DirectResponse { status: 200, body: "ok".into(), format: None }),
    ));
    let proxy = setup.start();
    let settled = || {
        std::thread::sleep(Duration::from_millis(200));
        LIVE.load(Relaxed)
    };
    // What a process allocates once: pools, tables that grow by doubling.
    let warm = connect(proxy.address, 300);
    let count = 200;
    let before = settled();
    let more = connect(proxy.address, count);
    let after = settled();
    // Our own end: a buffer each.
    let client = size_of::<Client>() as isize + 8 * 1024;
    let each = (after - before) / count as isize - client;
    println!("{each} bytes per idle connection");
    assert!(each <= 2048, "{each} bytes");
    drop((warm, more));
}

/// A bootstrap with services of five endpoints each, with mutual TLS, and a route to each.
fn services(count: usize) -> String {
    let typed = |ty: &str, mut config: Value| {
        config["@type"] = format!("type.googleapis.com/envoy.extensions.{ty}").into();
        config
    };
    let cluster = |index: usize| {
        let endpoint = |last: usize| {
            let address = format!("10.{}.{}.{last}", index / 250, index % 250);
            json!({ "endpoint": { "address": {
                "socket_address": { "address": address, "port_value": 8080 } } } })
        };
        let identity = format!("spiffe://cluster.local/ns/bench/sa/service-{index}");
        let common = json!({
            "alpn_protocols": ["http/1.1"],
            "tls_certificate_sds_secret_configs": [{ "name": "default" }],
            "combined_validation_context": {
                "default_validation_context": {
                    "match_typed_subject_alt_names": [{ "san_type": "URI", "matcher": { "exact": identity } }] },
                "validation_context_sds_secret_config": { "name": "ROOTCA" },
            },
        });
        let context = json!({ "common_tls_context": common, "sni": format!("service-{index}.bench") });
        json!({
            "name": format!("service-{index}"),
            "type": "STATIC",
            "load_assignment": { "cluster_name": format!("service-{index}"),
                "endpoints": [{ "lb_endpoints": (1..=5).map(endpoint).collect::<Vec<_>>() }] },
            "transport_socket": { "name": "envoy.transport_sockets.tls",
                "typed_config": typed("transport_sockets.tls.v3.UpstreamTlsContext", context) },
        })
    };
    let clusters: Vec<Value> = (0..count).map(cluster).collect();
    let host = |index: usize| {
        json!({
            "name": format!("service-{index}"),
            "domains": [format!("service-{index}.bench")],
            "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": format!("service-{index}") } }],
        })
    };
    let hosts: Vec<Value> = (0..count).map(host).collect();
    let router = typed("filters.http.router.v3.Router", json!({}));
    let manager = json!({
        "stat_prefix": "x",
        "route_config": { "virtual_hosts": hosts },
        "http_filters": [{ "name": "envoy.filters.http.router", "typed_config": router }],
    });
    let manager = typed("filters.network.http_connection_manager.v3.HttpConnectionManager", manager);
    let listener = json!({
        "name": "l",
        "address": { "socket_address": { "address": "127.0.0.1", "port_value": 0 } },
        "filter_chains": [{ "filters": [{ "name": "m", "typed_config": manager }] }],
    });
    json!({ "static_resources": { "clusters": clusters, "listeners": [listener] } }).to_string()
}

/// What the services name: without it they would wait.
fn secrets() -> SecretStore {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["bench".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    let secrets = SecretStore::new();
    secrets.set_roots("ROOTCA", Roots::from_pem(&certificate).unwrap());
    let key = PrivateKeyPem::new(key.serialize_pem());
    secrets.set_certificate("default", Certificate::from_pem(&certificate, key).unwrap());
    secrets
}

/// Bytes that a proxy holds that was built from so many services, and that building it took at most.
fn held(services_count: usize) -> (isize, isize) {
    let text = services(services_count);
    let before = LIVE.load(Relaxed);
    PEAK.store(before, Relaxed);
    let mut config = ProxyConfig::of_file(xds_codec::json::bootstrap_from_json(&text).unwrap());
    (config.concurrency, config.secrets) = (1, secrets());
    let proxy = Proxy::build(config).unwrap();
    let (live, peak) = (LIVE.load(Relaxed) - before, PEAK.load(Relaxed) - before);
    drop(proxy);
    (live, peak)
}

#[test]
fn a_service_that_nobody_uses_holds_less_than_four_kibibytes() {
    let _alone = alone();
    held(1);
    let (few, _) = held(200);
    let (many, peak) = held(600);
    let (each, at_most) = ((many - few) / 400, peak / 600);
    println!("{each} bytes per service, {at_most} while it is read");
    assert!(each <= 4 << 10, "{each} bytes are held");
    assert!(at_most <= 16 << 10, "{at_most} bytes are needed for a moment");
}

#[test]
fn nor_does_one_that_comes_by_discovery() {
    let _alone = alone();
    let config = ProxyConfig { secrets: secrets(), ..ProxyConfig::new(ir::Bootstrap::default()) };
    let proxy = Proxy::build(config).unwrap();
    let handle = proxy.handle();
    let update = |ty, added| {
        let rejects =
            handle.update(xds_client::Update { ty, added, removed: Vec::new(), problems: Vec::new() });
        assert_eq!(rejects, []);
    };
    let tell = |range: std::ops::Range<usize>| {
        let all = xds_codec::json::bootstrap_from_json(&services(range.end)).unwrap().bootstrap.clusters;
        let (mut clusters, mut assignments) = (Vec::new(), Vec::new());
        for mut cluster in all.into_iter().skip(range.start) {
            let eds = ir::ClusterDiscovery::Eds { service_name: None, source: Default::default() };
            let ir::ClusterDiscovery::Static(own) = std::mem::replace(&mut cluster.discovery, eds) else {
                panic!("not static")
            };
            let version = ir::Str::from("0123456789abcdef0123456789abcdef");
            let assignment = LoadAssignment { cluster_name: cluster.name.clone(), ..own };
            assignments.push(xds_client::Added::new(Resource::Endpoints(assignment.into()), version.clone()));
            clusters.push(xds_client::Added::new(Resource::Cluster(cluster.into()), version));
        }
        update(ResourceType::Cluster, clusters);
        update(ResourceType::Endpoints, assignments);
        LIVE.load(Relaxed)
    };
    let few = tell(0..200);
    let many = tell(200..600);
    let each = (many - few) / 400;
    println!("{each} bytes per service from discovery");
    assert!(each <= 2 << 10, "{each} bytes are held");
}
