//! Two sidecars: mutual TLS, identities, policies, metrics of both sides.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::support::backend::{self, Backend};
use crate::support::client::{Client, get};
use crate::support::{Running, Setup};
use identity::{Certificate, PrivateKeyPem, Roots, SecretStore};
use ir::bootstrap::{BootstrapNode, Json};
use ir::cluster::{ServiceRef, TransportMatch};
use ir::filter::Reporter;
use ir::http::{ClientCertDetails, ForwardClientCert};
use ir::listener::{ListenerFilter, TransportProtocol};
use ir::rbac::{Permission, Policy, Principal, RbacAction};
use ir::tls::{CertificateSource, CommonTls, RootsSource, SanKind, SanMatcher, SdsRef, SdsVia, Validation};
use ir::*;
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, IsCa, Issuer, KeyPair, SanType};

struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Ca {
    fn new() -> Ca {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Ca { issuer: Issuer::new(params, key), pem }
    }

    fn leaf(&self, account: &str) -> Certificate {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let uri = format!("spiffe://cluster.local/ns/shop/sa/{account}");
        params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
        let key = KeyPair::generate().unwrap();
        let chain = params.signed_by(&key, &self.issuer).unwrap().pem();
        Certificate::from_pem(&chain, PrivateKeyPem::new(key.serialize_pem())).unwrap()
    }

    fn store(&self, account: &str) -> SecretStore {
        let store = SecretStore::new();
        store.set_certificate("default", self.leaf(account));
        store.set_roots("ROOTCA", Roots::from_pem(&self.pem).unwrap());
        store
    }
}

fn common(expected: &[&str], alpn: &[&str]) -> CommonTls {
    let sds = |name: &str| SdsRef { name: name.into(), via: SdsVia::Cluster("sds-grpc".into()) };
    let san = |account: &&str| SanMatcher {
        kind: SanKind::Uri,
        matcher: StringMatcher::exact(format!("spiffe://cluster.local/ns/shop/sa/{account}")),
    };
    CommonTls {
        certificate: Some(CertificateSource::Sds(sds("default"))),
        validation: Some(Validation::new(
            RootsSource::Sds(sds("ROOTCA")),
            expected.iter().map(san).collect(),
        )),
        alpn: alpn.iter().map(|name| Str::from(*name)).collect(),
        ..CommonTls::default()
    }
}

fn node(workload: &str) -> BootstrapNode {
    let labels = [("app", workload), ("version", "v1")];
    let labels: BTreeMap<Str, Json> =
        labels.iter().map(|(k, v)| (Str::from(*k), Json::Text((*v).into()))).collect();
    let metadata = [
        ("WORKLOAD_NAME", Json::Text(format!("{workload}-v1").into())),
        ("NAMESPACE", Json::Text("shop".into())),
        ("CLUSTER_ID", Json::Text("Kubernetes".into())),
        ("LABELS", Json::Map(labels)),
    ];
    BootstrapNode {
        id: format!("sidecar~10.0.0.1~{workload}.shop~shop.svc.cluster.local").into(),
        metadata: metadata.into_iter().map(|(k, v)| (Str::from(k), v)).collect(),
        ..BootstrapNode::default()
    }
}

fn service() -> Arc<ServiceRef> {
    let (name, namespace) = ("b".into(), "shop".into());
    Arc::new(ServiceRef { host: "b.shop.svc.cluster.local".into(), name, namespace })
}

/// The server's sidecar: strict mutual TLS, `client` may, others may not.
fn inbound(ca: &Ca, backend: &Backend, account: &str) -> Setup {
    let mut setup = Setup::new().cluster("inbound|80||", &[backend.address]).route("/", "inbound|80||");
    setup.clusters[0].services = vec![service()];
    setup.listener_filters = vec![ListenerFilter::TlsInspector { disabled_ports: Vec::new() }];
    setup.tls = Some(DownstreamTls {
        common: common(&[], &["h2", "http/1.1", "istio-http/1.1", "istio-h2"]),
        require_client_certificate: true,
    });
    setup.secrets = ca.store(account);
    setup.node = node("b");
    setup.hcm.forward_client_cert = ForwardClientCert::AppendForward;
    setup.hcm.client_cert_details =
        ClientCertDetails { subject: true, dns: true, uri: true, ..Default::default() };
    let rules = Rbac {
        action: RbacAction::Allow,
        policies: [(
            Str::from("p"),
            Policy {
                permissions: vec![Permission::Any],
                principals: vec![Principal::Authenticated(Some(StringMatcher::exact(
                    "spiffe://cluster.local/ns/shop/sa/client",
                )))],
            },
        )]
        .into(),
    };
    setup.hcm.http_filters = vec![
        HttpFilter::PeerMetadata,
        HttpFilter::Rbac(ir::RbacFilter::enforce("", rules)),
        HttpFilter::IstioStats { reporter: Reporter::Destination },
    ];
    setup
}

/// The client's sidecar: mutual TLS to endpoints that say so.
fn outbound(ca: &Ca, account: &str, to: &Running, expected: &[&str], protocol: HttpProtocol) -> Setup {
    let mut setup = Setup::new().cluster("outbound|80||b", &[to.address]).route("/", "outbound|80||b");
    let cluster = &mut setup.clusters[0];
    cluster.protocol = protocol;
    cluster.services = vec![service()];
    cluster.transport_matches = vec![TransportMatch {
        name: "tlsMode-istio".into(),
        criteria: [(Str::from("tlsMode"), Str::from("istio"))].into(),
        tls: Some(UpstreamTls {
            common: common(expected, &["istio-peer-exchange", "istio"]),
            sni: Some("outbound_.80_._.b.shop.svc.cluster.local".into()),
        }),
        proxy_protocol: None,
    }];
    if let ClusterDiscovery::Static(assignment) = &mut cluster.discovery {
        let endpoint = &mut assignment.localities[0].endpoints[0];
        endpoint.transport_metadata = [(Str::from("tlsMode"), Str::from("istio"))].into();
    }
    setup.secrets = ca.store(account);
    setup.node = node("client");
    let list = |names: &[&str]| names.iter().map(|n| Str::from(*n)).collect::<Vec<_>>();
    setup.hcm.http_filters = vec![
        HttpFilter::PeerMetadata,
        HttpFilter::IstioAlpn {
            http10: list(&["istio-http/1.0", "istio", "http/1.0"]),
            http11: list(&["istio-http/1.1", "istio", "http/1.1"]),
            http2: list(&["istio-h2", "istio", "h2"]),
        },
        HttpFilter::IstioStats { reporter: Reporter::Source },
    ];
    setup
}

#[test]
fn a_request_through_two_sidecars() {
    for protocol in [HttpProtocol::Http1, HttpProtocol::Http2] {
        let ca = Ca::new();
        let backend = Backend::start("b");
        let server = inbound(&ca, &backend, "b").start();
        let client = outbound(&ca, "client", &server, &["b"], protocol).start();
        let mut app = Client::connect(client.address);
        app.send(
            "GET /headers HTTP/1.1\r\nHost: b\r\nX-Forwarded-Client-Cert: By=forged\r\n\
             X-Envoy-Peer-Metadata: forged\r\nX-Envoy-Peer-Metadata-Id: forged\r\n\r\n",
        );
        let reply = app.read().unwrap();
        let text = reply.text();
        assert_eq!(reply.status, 200, "{text}");
        let xfcc = text.lines().find(|l| l.starts_with("x-forwarded-client-cert: ")).unwrap();
        assert!(xfcc.contains("By=spiffe://cluster.local/ns/shop/sa/b;Hash="), "{xfcc}");
        assert!(xfcc.ends_with(";Subject=\"\";URI=spiffe://cluster.local/ns/shop/sa/client"), "{xfcc}");
        assert!(!text.contains("forged") && !text.contains("peer-metadata"), "{text}");
        assert_eq!(reply.header("x-envoy-peer-metadata"), None);
        app.get("/status/500");
        let labels = |running: &Running, code: &str| {
            // A record is closed after its response has left.
            let end = std::time::Instant::now() + Duration::from_secs(5);
            loop {
                let all = running.handle.prometheus();
                let line = all.lines().find(|l| {
                    l.starts_with("istio_requests_total{") && l.contains(&format!("response_code=\"{code}\""))
                });
                if let Some(line) = line {
                    return line.to_owned();
                }
                assert!(std::time::Instant::now() < end, "no {code} in\n{all}");
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        let both = "source_workload=\"client-v1\",source_canonical_service=\"client\",\
             source_canonical_revision=\"v1\",source_workload_namespace=\"shop\",\
             source_principal=\"spiffe://cluster.local/ns/shop/sa/client\",source_app=\"client\",\
             source_version=\"v1\",source_cluster=\"Kubernetes\",destination_workload=\"b-v1\",\
             destination_workload_namespace=\"shop\",\
             destination_principal=\"spiffe://cluster.local/ns/shop/sa/b\",destination_app=\"b\",\
             destination_version=\"v1\",destination_service=\"b.shop.svc.cluster.local\",\
             destination_canonical_service=\"b\",destination_canonical_revision=\"v1\",\
             destination_service_name=\"b\",destination_service_namespace=\"shop\",\
             destination_cluster=\"Kubernetes\",request_protocol=\"http\",response_code=\"200\",\
             grpc_response_status=\"\",response_flags=\"-\",connection_security_policy=";
        let source = labels(&client, "200");
        assert_eq!(source, format!("istio_requests_total{{reporter=\"source\",{both}\"unknown\"}} 1"));
        let destination = labels(&server, "200");
        assert_eq!(
            destination,
            format!("istio_requests_total{{reporter=\"destination\",{both}\"mutual_tls\"}} 1")
        );
        labels(&server, "500");
        let histogram = "istio_request_duration_milliseconds_count{reporter=\"source\"";
        assert!(client.handle.prometheus().contains(histogram));
    }
}

#[test]
fn who_may_not_is_refused_by_identity() {
    let ca = Ca::new();
    let backend = Backend::start("b");
    let server = inbound(&ca, &backend, "b").start();
    let stranger = outbound(&ca, "stranger", &server, &["b"], HttpProtocol::Http1).start();
    let reply = get(stranger.address, "/");
    assert_eq!((reply.status, reply.text().as_str()), (403, "RBAC: access denied"));
    assert!(server.logged("GET / ").contains("403 - rbac_access_denied_matched_policy[none]"));
    assert_eq!(backend.seen(), 0);
}

#[test]
fn a_server_that_is_someone_else_gets_nothing() {
    let ca = Ca::new();
    let backend = Backend::start("b");
    let server = inbound(&ca, &backend, "impostor").start();
    let client = outbound(&ca, "client", &server, &["b"], HttpProtocol::Http1).start();
    let reply = get(client.address, "/");
    assert_eq!(reply.status, 503);
    assert!(client.logged("GET / ").contains("503 UF upstream_reset_before_response_started"));
    assert_eq!(backend.seen(), 0);
}

#[test]
fn strict_means_mutual() {
    let ca = Ca::new();
    let backend = Backend::start("b");
    let server = inbound(&ca, &backend, "b").start();
    // Plaintext.
    let mut plain = Client::connect(server.address);
    plain.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(!plain.read_to_end().starts_with(b"HTTP"));
    // TLS without a certificate: the alert is certificate_required (116).
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let tls = UpstreamTls {
        common: CommonTls { certificate: None, ..common(&["b"], &["istio"]) },
        sni: Some("b".into()),
    };
    let client = identity::ClientTls::new(&tls, &ca.store("client")).unwrap();
    let error = runtime.block_on(async {
        use tokio::io::AsyncReadExt;
        let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
        let (mut stream, _) = client.connect(net::Io::from(stream), Default::default()).await.unwrap();
        stream.read_u8().await.unwrap_err()
    });
    assert!(format!("{error:?}").contains("CertificateRequired"), "{error:?}");
    let listener = server.address.to_string().replace(':', "_");
    server.expect_stat(&format!("listener.{listener}.ssl.fail_verify_no_cert"), 1);
    assert_eq!(backend.connections.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[test]
fn chains_are_chosen_by_what_is_spoken() {
    let ca = Ca::new();
    let (http, tcp) = (Backend::start("http"), backend::tcp_echo());
    let setup = Setup::new().cluster("http", &[http.address]).cluster("tcp", &[tcp]).route("/", "http");
    let mut listener = setup.listener("/dev/null");
    listener.listener_filters = vec![
        ListenerFilter::TlsInspector { disabled_ports: Vec::new() },
        ListenerFilter::HttpInspector { disabled_ports: Vec::new() },
    ];
    listener.listener_filters_timeout = Some(Duration::from_millis(200));
    listener.continue_on_listener_filters_timeout = true;
    let raw = Some(TransportProtocol::RawBuffer);
    let chain = listener.filter_chains[0].clone();
    let tcp_proxy = |cluster: &str| Terminal::Tcp(TcpProxy::to(cluster, cluster));
    listener.filter_chains = vec![
        FilterChain {
            name: "http".into(),
            matches: FilterChainMatch {
                transport_protocol: raw,
                application_protocols: vec!["http/1.1".into(), "h2c".into()],
                ..Default::default()
            },
            ..chain.clone()
        },
        FilterChain {
            name: "tcp".into(),
            matches: FilterChainMatch { transport_protocol: raw, ..Default::default() },
            terminal: tcp_proxy("tcp"),
            ..chain
        },
    ];
    let proxy = setup.start_with(listener);
    assert_eq!(get(proxy.address, "/").text(), "http\n");
    let mut binary = Client::connect(proxy.address);
    binary.send([0u8, 1, 2]);
    assert_eq!(binary.read_exact(3), [0, 1, 2]);
    // A client that waits for the server is let through after the timeout.
    let mut silent = Client::connect(proxy.address);
    std::thread::sleep(Duration::from_millis(400));
    silent.send("GET");
    assert_eq!(silent.read_exact(3), b"GET");
    // No chain takes TLS here.
    let mut tls = Client::connect(proxy.address);
    let store = ca.store("x");
    let config =
        identity::ClientTls::new(&UpstreamTls { common: common(&[], &[]), sni: None }, &store).unwrap();
    let mut hello = Vec::new();
    let name = config.server_name();
    let mut connection =
        tokio_rustls::rustls::ClientConnection::new(config.config(Default::default()).unwrap(), name)
            .unwrap();
    connection.write_tls(&mut hello).unwrap();
    tls.send(hello);
    assert!(tls.is_closed());
}
