//! What a stock Envoy says to all of it: `LATEEN_ENVOY` names its binary; without it only our own
//! decoder is asked.

use std::process::Command;

use ir::bootstrap::Bootstrap;
use ir::http::RouteSource;
use ir::{Address, Cluster, ClusterDiscovery, HttpProtocol, Listener, Resource, ResourceType, Terminal};
use model::{DataPlane, Node};
use xds_codec::json;

use crate::common::{Proxy, pod, router, service, sidecar, snapshot, with_mesh};

const MESH: &str = include_str!("accepted.yaml");

/// Everything that a proxy gets, as a file that it could start from: routes are in the listeners,
/// endpoints in the clusters.
fn bootstrap(proxy: &Proxy) -> Bootstrap {
    let endpoint = ir::Endpoint::new(Address::Pipe("/run/sds.sock".into()));
    let localities = vec![ir::LocalityEndpoints {
        locality: model::Locality::default(),
        weight: None,
        priority: 0,
        endpoints: vec![endpoint],
    }];
    let agent = ir::LoadAssignment { cluster_name: "sds-grpc".into(), localities, ..Default::default() };
    let agent = Cluster {
        protocol: HttpProtocol::Http2,
        ..Cluster::new("sds-grpc", ClusterDiscovery::Static(agent))
    };
    let mut made = Bootstrap { clusters: vec![agent], ..Bootstrap::default() };
    made.node.id = "sidecar~10.1.0.9~x.shop~shop.svc.cluster.local".into();
    made.node.cluster = "x".into();
    for resource in proxy.0.iter() {
        match resource {
            Resource::Cluster(cluster) => made.clusters.push(with_endpoints(proxy, cluster)),
            Resource::Listener(listener) => made.listeners.push(with_routes(proxy, listener)),
            _ => {}
        }
    }
    made
}

fn with_endpoints(proxy: &Proxy, cluster: &Cluster) -> Cluster {
    let mut cluster = cluster.clone();
    if let ClusterDiscovery::Eds { .. } = cluster.discovery {
        cluster.discovery = ClusterDiscovery::Static(proxy.endpoints(&cluster.name).clone());
    }
    cluster
}

fn with_routes(proxy: &Proxy, listener: &Listener) -> Listener {
    let mut listener = listener.clone();
    for chain in listener.filter_chains.iter_mut().chain(&mut listener.default_filter_chain) {
        let Terminal::Http(manager) = &mut chain.terminal else { continue };
        if let RouteSource::Rds(name) = &manager.routes {
            let routes = proxy.routes(name).clone();
            manager.routes = RouteSource::Inline(routes.into());
        }
    }
    listener
}

#[track_caller]
fn check(node: &Node, more: &str) {
    let mesh = with_mesh(
        &snapshot(
            &(service("reviews", "10.0.0.1", "{port: 9080, name: http}, {port: 7070, name: tcp}")
                + &service("ratings", "10.0.0.2", "{port: 9080, name: http2}")
                + &service("db", "None", "{port: 5432, name: tcp}")
                + &pod("reviews", "10.1.0.1", "app: reviews, version: v1")
                + &pod("db", "10.1.0.5", "app: db")
                + MESH),
        ),
        "{accessLogFile: /dev/stdout, accessLogFormat: '%UPSTREAM_SERVICE_TIME% %DURATION%', tcpKeepalive: {time: 30s}, \
         meshMTLS: {minProtocolVersion: TLSV1_3, ecdhCurves: [P-384]}, tlsDefaults: {ecdhCurves: [P-256]}, \
         outboundClusterStatName: '%SERVICE_FQDN%_%SERVICE_PORT%_%SUBSET_NAME%'MORE}"
            .replace("MORE", more)
            .as_str(),
    );
    let proxy = Proxy::of(&mesh, node);
    let bootstrap = bootstrap(&proxy);
    assert!(proxy.names(ResourceType::Cluster).len() > 12, "{:?}", proxy.names(ResourceType::Cluster));
    let text = serde_json::to_string_pretty(&json::bootstrap_to_json(&bootstrap)).unwrap();
    let read = json::bootstrap_from_json(&text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(read.bootstrap, bootstrap, "our own proxy reads what was meant");
    let Some(envoy) = std::env::var_os("LATEEN_ENVOY") else {
        assert!(std::env::var_os("LATEEN_NO_SKIP").is_none(), "LATEEN_ENVOY is unset");
        return eprintln!("SKIPPED: LATEEN_ENVOY is unset, Envoy was not asked");
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bootstrap.json");
    std::fs::write(&file, &text).unwrap();
    let output = Command::new(envoy)
        .args(["--mode", "validate", "--base-id", "0", "--use-dynamic-base-id", "-l", "warn", "-c"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn envoy_accepts_what_a_sidecar_gets() {
    let node = Node {
        data_plane: DataPlane::Envoy,
        dns_capture: Some(true),
        locality: model::Locality::parse("r1/z1"),
        ..sidecar("shop", "10.1.0.9", "app=client")
    };
    check(&node, "");
    check(&node, ", outboundTrafficPolicy: {mode: ALLOW_ANY_DYNAMIC_DNS}");
    for tls in
        ["{mode: SIMPLE}", "{mode: SIMPLE, insecureSkipVerify: true, sni: a.com}", "{mode: ISTIO_MUTUAL}"]
    {
        check(
            &node,
            &format!(
                ", proxyHttpPort: 15002, outboundTrafficPolicy: {{mode: ALLOW_ANY_DYNAMIC_DNS, tls: {tls}}}"
            ),
        );
    }
}

#[test]
fn envoy_accepts_what_a_gateway_gets() {
    check(&Node { data_plane: DataPlane::Envoy, ..router("shop", "10.1.0.99", "app=gw") }, "");
}
