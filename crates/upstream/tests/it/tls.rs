//! TLS towards endpoints: what ALPN decides, and how a refused handshake reads.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use crate::common::{destination, get, text, worker};
use http1::{BodyKind, Limits, ResponseHead, ServerConn};
use identity::{Certificate, ClientTls, PrivateKeyPem, Roots, SecretStore, ServerTls};
use ir::tls::{
    CertificateSource, CommonTls, DownstreamTls, RootsSource, SdsRef, SdsVia, UpstreamTls, Validation,
};
use net::Io;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
use tokio::net::TcpListener;
use upstream::{Destination, Empty, Failure, Full, SendOptions, Upstream};

/// An authority of its own, and a workload's certificate from it.
fn store() -> SecretStore {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    let root = ca.self_signed(&ca_key).unwrap().pem();
    let mut leaf = CertificateParams::default();
    leaf.subject_alt_names = vec![SanType::URI("spiffe://cluster.local/ns/a/sa/b".try_into().unwrap())];
    let key = KeyPair::generate().unwrap();
    let chain = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap().pem();
    let store = SecretStore::new();
    let certificate = Certificate::from_pem(&chain, PrivateKeyPem::new(key.serialize_pem())).unwrap();
    store.set_certificate("default", certificate);
    store.set_roots("ROOTCA", Roots::from_pem(&root).unwrap());
    store
}

fn settings(alpn: &[&str]) -> CommonTls {
    let sds = |name: &str| SdsRef { name: name.into(), via: SdsVia::Ads };
    CommonTls {
        certificate: Some(CertificateSource::Sds(sds("default"))),
        validation: Some(Validation::new(RootsSource::Sds(sds("ROOTCA")), Vec::new())),
        alpn: alpn.iter().map(|name| (*name).into()).collect(),
        ..CommonTls::default()
    }
}

/// Serves what ALPN says. Counts connections.
async fn server(store: &SecretStore, alpn: &[&str]) -> (SocketAddr, Rc<Cell<usize>>) {
    let tls = DownstreamTls { common: settings(alpn), require_client_certificate: true };
    let tls = Arc::new(ServerTls::new(&tls, store).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Rc::new(Cell::new(0));
    let counted = count.clone();
    tokio::task::spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counted.set(counted.get() + 1);
            let tls = tls.clone();
            tokio::task::spawn_local(async move {
                let Ok((stream, info)) = tls.accept(Io::from(stream)).await else { return };
                match info.alpn.as_deref() {
                    Some("h2") => serve_http2(stream.into()).await,
                    alpn => serve_http1(stream.into(), alpn.unwrap_or("none").to_owned()).await,
                }
            });
        }
    });
    (address, count)
}

async fn serve_http1(io: Io, alpn: String) {
    let mut conn = ServerConn::new(io, Limits::default());
    while let Ok(Some(_)) = conn.read_head().await {
        conn.start(&ResponseHead::new(200), BodyKind::Length(alpn.len() as u64), false);
        conn.write_body(&mut Full::new(alpn.clone())).await.unwrap().unwrap();
        conn.finish().await.unwrap();
    }
}

async fn serve_http2(io: Io) {
    let mut conn: h2::server::Connection<_, bytes::Bytes> = h2::server::handshake(io).await.unwrap();
    while let Some(Ok((_, mut respond))) = conn.accept().await {
        let mut send = respond.send_response(http::Response::new(()), false).unwrap();
        send.send_data("h2".into(), true).unwrap();
    }
}

fn secure(
    address: SocketAddr,
    store: &SecretStore,
    alpn: &[&str],
    protocol: ir::HttpProtocol,
) -> Destination {
    let tls = UpstreamTls { common: settings(alpn), sni: Some("a.example".into()) };
    let tls = Some(Arc::new(ClientTls::new(&tls, store).unwrap()));
    Destination { tls, transport_key: 7, ..destination(address, |config| config.protocol = protocol) }
}

#[test]
fn alpn_decides() {
    worker(async {
        use ir::HttpProtocol::{Auto, Http1, Http2};
        for (offered_by_server, protocol, ours, overridden, expected) in [
            (&["h2", "http/1.1"][..], Auto, &[][..], None, "h2"),
            (&["http/1.1"], Auto, &[], None, "http/1.1"),
            (&["h2", "http/1.1"], Http1, &[], None, "http/1.1"),
            (&["h2", "http/1.1"], Http2, &[], None, "h2"),
            (&["istio", "http/1.1"], Http1, &["istio"], None, "istio"),
            (
                &["istio-http/1.1", "istio"],
                Http1,
                &["istio"],
                Some(&["istio-http/1.1", "istio"][..]),
                "istio-http/1.1",
            ),
        ] {
            let store = store();
            let (address, connections) = server(&store, offered_by_server).await;
            let (upstream, to) = (Upstream::new(), secure(address, &store, ours, protocol));
            let alpn = overridden.map(|list| list.iter().map(|name| (*name).into()).collect());
            let options = SendOptions { alpn, ..SendOptions::default() };
            for _ in 0..3 {
                let response = upstream.send(&to, &get("/"), Empty, &options).await.unwrap();
                let protocol = if expected == "h2" { "HTTP/2" } else { "HTTP/1.1" };
                assert_eq!(response.facts.protocol, protocol);
                let peer = response.facts.tls.as_ref().and_then(|tls| tls.peer.clone()).unwrap();
                assert_eq!(peer.uri_sans[0], "spiffe://cluster.local/ns/a/sa/b");
                assert_eq!(text(response).await, expected);
            }
            assert_eq!(connections.get(), 1, "{expected}");
            let (io, tls, _counted) = upstream.connect(&to, &options).await.unwrap();
            assert!(io.is_tls() && tls.tls.is_some() && connections.get() == 2);
        }
    });
}

#[test]
fn a_refused_handshake_says_why() {
    worker(async {
        let (ours, theirs) = (store(), store());
        let (address, _) = server(&theirs, &["http/1.1"]).await;
        let (upstream, to) = (Upstream::new(), secure(address, &ours, &[], ir::HttpProtocol::Http1));
        let error = upstream.send(&to, &get("/"), Empty, &SendOptions::default()).await.err().unwrap();
        assert!(matches!(error.failure, Failure::Connect { timeout: false, tls: true }), "{error:?}");
        assert!(error.detail.starts_with("TLS_error:|CERTIFICATE_VERIFY_FAILED"), "{}", error.detail);
        // Our certificate is refused: with TLS 1.3 we learn of it when we read.
        ours.set_roots("ROOTCA", Roots::from_pem(theirs.roots("ROOTCA").unwrap().pem()).unwrap());
        let error = upstream.send(&to, &get("/"), Empty, &SendOptions::default()).await.err().unwrap();
        assert!(error.detail.contains("ALERT"), "{error:?}");
        assert_eq!((upstream.kept(), to.cluster.connections()), ((0, 0), 0));
    });
}
