//! Server names of upstream connections that come from the request: `auto_sni`, `auto_san_validation`.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use identity::{Certificate, PrivateKeyPem, Roots, SecretStore};
use ir::cluster::TlsFromRequest;
use ir::dns::DnsFamily;
use ir::dns_cache::ForwardProxy;
use ir::header::{AppendAction, HeaderText, HeaderValue};
use ir::tls::{CertificateSource, CommonTls, RootsSource, SdsRef, SdsVia, Validation};
use ir::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

use crate::support::backend::Backend;
use crate::support::client::Client;
use crate::support::names::Names;
use crate::support::{Running, Setup};

/// A root, and what a server of these names needs.
fn secrets(names: &[&str]) -> SecretStore {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let root = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let chain = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap().pem();
    let store = SecretStore::new();
    let private = PrivateKeyPem::new(key.serialize_pem());
    store.set_certificate("default", Certificate::from_pem(&chain, private).unwrap());
    store.set_roots("ROOTCA", Roots::from_pem(&root).unwrap());
    store
}

fn sds(name: &str) -> SdsRef {
    SdsRef { name: name.into(), via: SdsVia::Cluster("sds-grpc".into()) }
}

/// Says what name it was asked for.
fn server(backend: &Backend, secrets: SecretStore) -> Running {
    let mut setup = Setup::new().cluster("b", &[backend.address]).route("/", "b");
    setup.routes[0].headers.response_add = vec![HeaderValue {
        name: "x-sni".into(),
        value: HeaderText::read("%REQUESTED_SERVER_NAME%".into(), false),
        action: AppendAction::default(),
    }];
    let certificate = Some(CertificateSource::Sds(sds("default")));
    setup.tls = Some(DownstreamTls {
        common: CommonTls { certificate, ..CommonTls::default() },
        require_client_certificate: false,
    });
    setup.secrets = secrets;
    setup.start()
}

fn client(to: SocketAddr, secrets: SecretStore, protocol: HttpProtocol, names: TlsFromRequest) -> Running {
    let mut setup = Setup::new().cluster("up", &[to]).route("/", "up");
    let validation = Some(Validation::new(RootsSource::Sds(sds("ROOTCA")), Vec::new()));
    let cluster = &mut setup.clusters[0];
    cluster.protocol = protocol;
    cluster.tls = Some(UpstreamTls {
        common: CommonTls { validation, ..CommonTls::default() },
        sni: Some("static.example".into()),
    });
    cluster.tls_from_request = Some(Box::new(names));
    setup.secrets = secrets;
    setup.concurrency = 1;
    setup.start()
}

/// The status, and the server name that was asked for.
fn ask(client: &mut Client, host: &str) -> (u16, String) {
    client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    let reply = client.read().unwrap();
    (reply.status, reply.header("x-sni").unwrap_or_default().to_owned())
}

#[test]
fn connections_are_made_and_kept_by_the_requests_host() {
    let backend = Backend::start("b");
    for protocol in [HttpProtocol::Http1, HttpProtocol::Http2] {
        let store = secrets(&["a.example", "*.wild.example"]);
        let server = server(&backend, store.clone());
        let names = TlsFromRequest { sni: true, san_validation: true, header: None };
        let proxy = client(server.address, store, protocol, names);
        let mut app = Client::connect(proxy.address);
        let ok = |name: &str| (200, name.to_owned());
        assert_eq!(ask(&mut app, "a.example"), ok("a.example"));
        assert_eq!(ask(&mut app, "b.wild.example:8443"), ok("b.wild.example"));
        // Neither of the two connections is for this one.
        assert_eq!(ask(&mut app, "other.example"), (503, String::new()));
        assert!(proxy.logged("GET / HTTP/1.1 503").contains(" UF "), "{}", proxy.log_text());
        assert_eq!(ask(&mut app, "a.example:443"), ok("a.example"));
        assert_eq!(proxy.stat("cluster.up.upstream_cx_total"), 3);
        assert_eq!(proxy.stat("cluster.up.upstream_cx_connect_fail"), 1);
    }
}

#[test]
fn an_address_is_no_server_name() {
    let backend = Backend::start("b");
    let store = secrets(&["a.example"]);
    let server = server(&backend, store.clone());
    let names = TlsFromRequest { sni: true, san_validation: false, header: Some("x-server".into()) };
    let proxy = client(server.address, store, HttpProtocol::Http1, names);
    let mut app = Client::connect(proxy.address);
    assert_eq!(ask(&mut app, "10.0.0.1"), (200, "static.example".to_owned()), "the transport's own");
    assert_eq!(ask(&mut app, "10.0.0.1\r\nX-Server: b.example"), (200, "b.example".to_owned()));
}

/// The cluster of [`client`], where names of requests lead to.
fn forward_proxy(names: &Names, secrets: SecretStore, expected: TlsFromRequest) -> Running {
    let dns = Dns { family: DnsFamily::V4Only, resolvers: vec![names.address], ..Dns::default() };
    let cache = DnsCache { name: "c".into(), dns, ..DnsCache::default() };
    let mut setup = Setup::new().cluster("up", &[]).route("/", "up");
    setup.hcm.http_filters.push(HttpFilter::DynamicForwardProxy(Box::new(cache.clone())));
    let validation = Some(Validation::new(RootsSource::Sds(sds("ROOTCA")), Vec::new()));
    let cluster = &mut setup.clusters[0];
    cluster.discovery = ClusterDiscovery::DynamicForwardProxy(Box::new(ForwardProxy {
        cache,
        allow_insecure_cluster_options: true,
    }));
    cluster.lb_policy = LbPolicy::ClusterProvided;
    cluster.tls = Some(UpstreamTls { common: CommonTls { validation, ..CommonTls::default() }, sni: None });
    cluster.tls_from_request = Some(Box::new(expected));
    setup.secrets = secrets;
    setup.concurrency = 1;
    setup.start()
}

/// All names lead to one server, which has a certificate for some of them.
#[test]
fn names_of_requests_are_those_of_their_servers() {
    let backend = Backend::start("b");
    let known = ["a.example", "b.wild.example", "other.example"].map(|name| (name, Ipv4Addr::LOCALHOST));
    let names = Names::start(&known, Duration::ZERO);
    let store = secrets(&["a.example", "*.wild.example"]);
    let server = server(&backend, store.clone());
    let both = TlsFromRequest { sni: true, san_validation: true, header: None };
    let proxy = forward_proxy(&names, store, both);
    let mut app = Client::connect(proxy.address);
    let at = |name: &str| format!("{name}:{}", server.address.port());
    for _ in 0..2 {
        for name in ["a.example", "b.wild.example"] {
            assert_eq!(ask(&mut app, &at(name)), (200, name.to_owned()));
        }
    }
    assert_eq!(proxy.stat("cluster.up.upstream_cx_total"), 2, "one for each name, kept");
    assert_eq!(ask(&mut app, &at("other.example")), (503, String::new()));
    assert!(proxy.logged("GET / HTTP/1.1 503").contains(" UF "), "{}", proxy.log_text());
    // The address is the same; the certificate is for none.
    assert_eq!(ask(&mut app, &at("127.0.0.1")), (503, String::new()));
}
