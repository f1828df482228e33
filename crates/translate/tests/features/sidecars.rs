//! Sidecar: what a workload reaches, and what reaches it.

use ir::{Address, ClusterDiscovery, ResourceType};
use registry::{Features, Settings, Snapshot};

use crate::calls::check;
use crate::common::{Proxy, changed, service, sidecar, snapshot};

fn written(name: &str, namespace: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  {}\n",
        spec.replace('\n', "\n  ")
    )
}

fn mesh() -> String {
    let other = service("web", "10.0.1.1", "{port: 80, name: http}").replace("shop", "other");
    service("web", "10.0.0.1", "{port: 80, name: http}")
        + &service("db", "10.0.0.2", "{port: 3306, name: tcp}")
        + &other
}

fn client(yaml: &str, labels: &str) -> Proxy {
    Proxy::of(&snapshot(&(mesh() + yaml)), &sidecar("shop", "10.1.0.9", labels))
}

const WEB: &str = "outbound|80||web.shop.svc.cluster.local";
const OTHER: &str = "outbound|80||web.other.svc.cluster.local";
const DB: &str = "outbound|3306||db.shop.svc.cluster.local";

#[test]
fn egress_hosts_are_all_that_is_reached() {
    let everything = client("", "");
    let calls = ["out 10.0.0.1:80 http web.shop", "out 10.0.1.1:80 http web.other", "out 10.0.0.2:3306 tcp"];
    check(&everything, &[(calls[0], WEB), (calls[1], OTHER), (calls[2], DB)]);
    let own = client(&written("default", "shop", "egress: [{hosts: ['./*']}]"), "");
    check(&own, &[(calls[0], WEB), (calls[1], "PassthroughCluster"), (calls[2], DB)]);
    let clusters = own.names(ResourceType::Cluster);
    assert!(!clusters.iter().any(|name| name.contains("other")), "memory is saved too: {clusters:?}");
    let one =
        client(&written("default", "shop", "egress: [{hosts: ['other/web.other.svc.cluster.local']}]"), "");
    check(&one, &[(calls[0], "PassthroughCluster"), (calls[1], OTHER), (calls[2], "PassthroughCluster")]);
    let none = client(
        &written(
            "default",
            "shop",
            "egress: [{hosts: ['~/*']}]\noutboundTrafficPolicy: {mode: REGISTRY_ONLY}",
        ),
        "",
    );
    check(&none, &[(calls[0], "BlackHoleCluster"), (calls[2], "BlackHoleCluster")]);
}

#[test]
fn the_nearest_sidecar_holds() {
    let root = written("all", "istio-system", "egress: [{hosts: ['other/*']}]");
    let own = written("own", "shop", "egress: [{hosts: ['./*']}]");
    let selects =
        written("some", "shop", "workloadSelector: {labels: {app: some}}\negress: [{hosts: ['~/*']}]");
    let call = "out 10.0.0.1:80 http web.shop";
    check(&client(&root, ""), &[(call, "PassthroughCluster"), ("out 10.0.1.1:80 http web.other", OTHER)]);
    let all = root + &own + &selects;
    check(&client(&all, "app=any"), &[(call, WEB), ("out 10.0.1.1:80 http web.other", "PassthroughCluster")]);
    check(&client(&all, "app=some"), &[(call, "PassthroughCluster")]);
}

#[test]
fn listeners_with_a_port_serve_what_they_name() {
    let spec = "egress:
- {port: {number: 80, protocol: HTTP, name: http}, hosts: ['other/*']}
- {port: {number: 9000, protocol: TCP, name: tcp}, bind: 127.0.0.1, captureMode: NONE, hosts: ['./db.shop.svc.cluster.local']}
- {hosts: ['./*']}";
    let proxy = client(&written("default", "shop", spec), "");
    check(
        &proxy,
        &[
            ("out 10.0.1.1:80 http web.other", OTHER),
            ("out 10.0.0.1:80 http web.shop", "PassthroughCluster"),
            ("out 10.0.0.2:3306 tcp", DB),
        ],
    );
    // The service has no such port, so nothing is served there.
    assert!(!proxy.names(ResourceType::Listener).iter().any(|name| name.ends_with("_9000")));
    let spec =
        "egress: [{port: {number: 3306, protocol: TCP, name: tcp}, captureMode: NONE, hosts: ['./*']}]";
    let proxy = client(&written("default", "shop", spec), "");
    assert!(proxy.listener("127.0.0.1_3306").bind_to_port);
    check(&proxy, &[("out 127.0.0.1:3306 tcp", DB)]);
}

#[test]
fn a_listener_may_be_an_http_proxy() {
    let api = service("api", "10.0.0.3", "{port: 9080, name: http}, {port: 5000, name: any}");
    let spec = "egress:
- {port: {number: 3128, protocol: HTTP_PROXY, name: proxy}, captureMode: NONE, hosts: ['./*']}
- {hosts: ['other/*']}";
    let proxy = client(&(api + &written("default", "shop", spec)), "");
    assert!(proxy.listener("127.0.0.1_3128").bind_to_port);
    let own = |host: &str| format!("out 127.0.0.1:3128 http {host}");
    let to = |port: u16, host: &str| format!("outbound|{port}||{host}.svc.cluster.local");
    for (host, expected) in [
        ("web", to(80, "web.shop")),
        ("web.shop:80", to(80, "web.shop")),
        ("10.0.0.1", to(80, "web.shop")),
        ("api:9080", to(9080, "api.shop")),
        ("api.shop.svc.cluster.local:5000", to(5000, "api.shop")),
        // Bytes are spoken there, nothing is there, that is what others import, and that is nobody.
        ("db:3306", "BlackHoleCluster".to_owned()),
        ("api", "BlackHoleCluster".to_owned()),
        ("web.other", "BlackHoleCluster".to_owned()),
        ("example.com", "BlackHoleCluster".to_owned()),
    ] {
        check(&proxy, &[(&own(host), &expected)]);
    }
    // What is captured is not what goes through the proxy.
    check(
        &proxy,
        &[("out 10.0.0.1:80 http web", "PassthroughCluster"), ("out 10.0.1.1:80 http web.other", OTHER)],
    );
}

#[test]
fn unclaimed_traffic_goes_where_the_sidecar_says() {
    let proxy = client(
        &written(
            "default",
            "shop",
            "outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: web, port: {number: 80}}}",
        ),
        "",
    );
    check(&proxy, &[("out 1.2.3.4:7000 tcp", WEB), ("out 1.2.3.4:80 http example.com", WEB)]);
}

const INGRESS: &str = "workloadSelector: {labels: {app: web}}
inboundConnectionPool: {http: {http2MaxRequests: 7}}
ingress:
- {port: {number: 8080, protocol: HTTP, name: http}, defaultEndpoint: '127.0.0.1:9090'}
- {port: {number: 8081, protocol: TCP, name: tcp}, defaultEndpoint: '0.0.0.0:9091', connectionPool: {tcp: {maxConnections: 3}}}
- {port: {number: 8082, protocol: TCP, name: bound}, captureMode: NONE, bind: 10.1.0.9, defaultEndpoint: 'unix:///run/app.sock'}";

#[test]
fn ingress_takes_the_place_of_services() {
    let yaml = written("web", "shop", INGRESS);
    let plain = "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: d, namespace: shop}\n\
                 spec: {mtls: {mode: DISABLE}}\n";
    let proxy = client(&(yaml + plain), "app=web");
    check(
        &proxy,
        &[
            ("in 10.1.0.9:8080 http web", "inbound|8080||"),
            ("in 10.1.0.9:8081 tcp", "inbound|8081||"),
            ("in 10.1.0.9:8082 tcp", "InboundPassthroughCluster"),
            ("gateway 10.1.0.9:8082 tcp", "inbound|8082||"),
            ("in 10.1.0.9:80 http web", "InboundPassthroughCluster"),
        ],
    );
    let address = |cluster: &str| match &proxy.cluster(cluster).discovery {
        ClusterDiscovery::Static(assignment) => assignment.localities[0].endpoints[0].address.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(address("inbound|8080||"), Address::Socket("127.0.0.1:9090".parse().unwrap()));
    assert_eq!(address("inbound|8081||"), Address::Socket("10.1.0.9:9091".parse().unwrap()));
    assert_eq!(address("inbound|8082||"), Address::Pipe("/run/app.sock".into()));
    assert_eq!(proxy.cluster("inbound|8080||").thresholds.max_requests, Some(7));
    assert_eq!(proxy.cluster("inbound|8081||").thresholds.max_connections, Some(3));
}

#[test]
fn tls_of_ingress_holds_where_it_is_switched_on() {
    let spec = "ingress: [{port: {number: 8443, protocol: HTTPS, name: https}, defaultEndpoint: '127.0.0.1:80', \
                tls: {mode: MUTUAL, serverCertificate: /c, privateKey: /k, caCertificates: /ca}}]";
    let plain = "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: d, namespace: shop}\n\
                 spec: {mtls: {mode: DISABLE}}\n";
    let yaml = written("web", "shop", spec) + plain;
    let node = sidecar("shop", "10.1.0.9", "");
    let off = Proxy::of(&snapshot(&yaml), &node);
    check(&off, &[("in 10.1.0.9:8443 http web tls=web", "inbound|8443||")]);
    assert!(
        off.findings().iter().any(|finding| finding.field == "spec.ingress[0].tls"),
        "{:?}",
        off.findings()
    );
    let features = Features { tls_on_sidecar_ingress: true, ..Features::default() };
    let on = Snapshot::new(Settings { features, ..Settings::default() });
    let on = Proxy::of(&changed(&on, &yaml), &node);
    check(
        &on,
        &[
            ("in 10.1.0.9:8443 http web tls=web", "mtls_error"),
            ("in 10.1.0.9:8443 http web mtls=web", "inbound|8443||"),
            ("in 10.1.0.9:8443 http web", "no_filter_chain"),
        ],
    );
}
