//! Handshakes over real sockets: who gets in, who does not, and what survives a rotation.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Ca, HOUR, client, server, store};
use identity::{
    ClientStream, ClientTls, ConnectOptions, Roots, SecretStore, ServerStream, ServerTls, TlsError,
    TlsFailure, TlsInfo, Validation, check_peer,
};
use stdx::Str;
use testkit::anyone::Anyone;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

type Side<S> = Result<(S, TlsInfo), TlsError>;

async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

/// Both ends of a handshake. The client also reads a byte that the server writes, since with
/// TLS 1.3 it learns of tickets and of a refusal only then.
async fn connect(
    client: &ClientTls,
    server: &ServerTls,
    options: ConnectOptions<'_>,
) -> (Side<ClientStream<TcpStream>>, Side<ServerStream<TcpStream>>) {
    let (near, far) = sockets().await;
    let client_side = async {
        let (mut stream, info) = client.connect(near, options).await?;
        stream.write_all(b"hello").await.map_err(TlsError::from_io)?;
        stream.read_u8().await.map_err(TlsError::from_io)?;
        Ok((stream, info))
    };
    let server_side = async {
        let (mut stream, info) = server.accept(far).await?;
        stream.write_u8(1).await?;
        stream.flush().await?;
        Ok((stream, info))
    };
    tokio::join!(client_side, server_side)
}

async fn check(client: &ClientTls, server: &ServerTls) -> (TlsInfo, TlsInfo) {
    let (near, far) = connect(client, server, ConnectOptions::default()).await;
    (near.unwrap().1, far.unwrap().1)
}

fn uri(account: &str) -> Str {
    format!("spiffe://cluster.local/ns/shop/sa/{account}").into()
}

#[tokio::test]
async fn two_workloads_know_each_other() {
    let ca = Ca::new("root");
    let (reviews, ratings) = (store(&ca, "reviews"), store(&ca, "ratings"));
    let server = server(&ratings, true, &["h2", "http/1.1"]);
    let client = client(&reviews, &["other", "ratings"], &["istio-http/1.1", "istio", "http/1.1"]);
    let (near, far) = check(&client, &server).await;
    assert_eq!(near.peer.as_ref().unwrap().uri_sans, [uri("ratings")]);
    assert_eq!(far.peer.as_ref().unwrap().uri_sans, [uri("reviews")]);
    assert_eq!(far.local.as_ref().unwrap().uri_sans, [uri("ratings")]);
    assert_eq!(far.peer.as_ref().unwrap().sha256.len(), 64);
    assert_eq!(far.peer.as_ref().unwrap().subject.as_str(), "");
    assert_eq!(far.peer.as_ref().unwrap().spiffe(), uri("reviews").parse().ok());
    assert_eq!((near.alpn.as_deref(), far.alpn.as_deref()), (Some("http/1.1"), Some("http/1.1")));
    assert_eq!(far.sni.as_deref(), Some("outbound_.9080_.v1_.reviews.shop.svc.cluster.local"));
    assert_eq!((far.version, far.resumed), ("TLSv1.3", false));
    // The second time without certificates on the wire, and known all the same.
    let (near, far) = check(&client, &server).await;
    assert!(near.resumed && far.resumed);
    assert_eq!(far.peer.as_ref().unwrap().uri_sans, [uri("reviews")]);
    assert_eq!(near.peer.as_ref().unwrap().uri_sans, [uri("ratings")]);
}

#[tokio::test]
async fn what_a_chain_says_is_kept_where_somebody_asks() {
    let ca = Ca::new("root");
    let (reviews, ratings) = (store(&ca, "reviews"), store(&ca, "ratings"));
    let server = server(&ratings, true, &["http/1.1"]);
    let client = client(&reviews, &["ratings"], &["http/1.1"]);
    let (near, far) = check(&client, &server).await;
    assert!(near.peer.unwrap().details.is_none() && far.peer.unwrap().details.is_none());
    // Of clients alone; also of those who resume a session that was made before.
    ratings.keep_clients();
    let (near, far) = check(&client, &server).await;
    assert!(far.resumed && near.peer.unwrap().details.is_none());
    let peer = far.peer.unwrap();
    let details = peer.details.as_ref().unwrap();
    assert_eq!(details.issuer.as_str(), "CN=root");
    let [leaf] = &details.chain[..] else { panic!("{details:?}") };
    assert_eq!((&leaf.sha256, leaf.sha1.len()), (&peer.sha256, 40));
    assert!(leaf.pem.starts_with("-----BEGIN%20CERTIFICATE-----%0A"), "{}", leaf.pem);
    reviews.keep_servers();
    assert!(check(&client, &server).await.0.peer.unwrap().details.is_some());
}

#[tokio::test]
async fn an_unexpected_server_is_refused_full_and_resumed() {
    let ca = Ca::new("root");
    let (reviews, ratings) = (store(&ca, "reviews"), store(&ca, "ratings"));
    let server = server(&ratings, true, &["h2"]);
    let strict = client(&reviews, &["details"], &["h2"]);
    let (near, far) = connect(&strict, &server, ConnectOptions::default()).await;
    let error = near.err().unwrap();
    assert_eq!(error.failure(), Some(TlsFailure::San));
    assert!(error.to_string().contains("verify SAN list"), "{error}");
    assert!(error.to_string().contains("sa/ratings"), "{error}");
    assert_eq!(far.err().unwrap().failure(), Some(TlsFailure::Alert));

    // A session that was good for `ratings`, resumed where `details` is expected: no verifier
    // runs, the check afterwards must.
    let lax = client(&reviews, &["ratings"], &["h2"]);
    assert!(!check(&lax, &server).await.0.resumed);
    let connector = tokio_rustls::TlsConnector::from(lax.config(ConnectOptions::default()).unwrap());
    let (near, far) = sockets().await;
    let (stream, _) = tokio::join!(connector.connect(lax.server_name(), near), server.accept(far));
    let stream = stream.unwrap();
    let connection = stream.get_ref().1;
    assert_eq!(connection.handshake_kind(), Some(rustls::HandshakeKind::Resumed));
    let expecting = |account: &str| {
        let tls = common::common(&[account], &[]);
        Validation::new(tls.validation.as_ref(), true).unwrap()
    };
    assert!(check_peer(connection, &expecting("ratings")).is_ok());
    let error = check_peer(connection, &expecting("details")).err().unwrap();
    assert_eq!(error.failure(), Some(TlsFailure::San));
}

#[tokio::test]
async fn strict_answers_certificate_required() {
    let ca = Ca::new("root");
    let server = server(&store(&ca, "ratings"), true, &["h2", "http/1.1"]);
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(
        rustls::pki_types::pem::PemObject::pem_slice_iter(ca.pem.as_bytes()).flatten(),
    );
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let raw = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Anyone::new())
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(raw));
    let (near, far) = sockets().await;
    let client_side = async {
        let name = rustls::pki_types::ServerName::try_from("ratings").unwrap();
        let mut stream = connector.connect(name, near).await.unwrap();
        // Bytes on their way while the server refuses: its close must not become a reset that
        // swallows the alert.
        for _ in 0..20 {
            let _ = stream.write_all(&[b'x'; 1000]).await;
        }
        let _ = stream.flush().await;
        stream.read_u8().await.err().unwrap()
    };
    let (error, served) = tokio::join!(client_side, server.accept(far));
    let alert = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let required = rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired);
    assert_eq!(alert, Some(&required), "{error}");
    assert_eq!(served.err().unwrap().failure(), Some(TlsFailure::NoCertificate));
    assert!(TlsError::from_io(error).to_string().contains("CERTIFICATE_REQUIRED"));
}

#[tokio::test]
async fn permissive_lets_the_nameless_in_but_no_strangers() {
    let ca = Ca::new("root");
    let server = server(&store(&ca, "ratings"), false, &[]);
    let anonymous = SecretStore::new();
    anonymous.set_roots("ROOTCA", Roots::from_pem(&ca.pem).unwrap());
    let tls = ir::UpstreamTls {
        common: ir::tls::CommonTls { certificate: None, ..common::common(&["ratings"], &[]) },
        sni: None,
    };
    let (_, far) = check(&ClientTls::new(&tls, &anonymous).unwrap(), &server).await;
    assert_eq!((far.peer, far.sni), (None, None));

    let stranger = store(&Ca::new("elsewhere"), "reviews");
    stranger.set_roots("ROOTCA", Roots::from_pem(&ca.pem).unwrap());
    let (near, far) =
        connect(&client(&stranger, &["ratings"], &[]), &server, ConnectOptions::default()).await;
    assert_eq!(far.err().unwrap().failure(), Some(TlsFailure::Chain));
    let error = near.err().unwrap();
    assert_eq!(error.failure(), Some(TlsFailure::Alert), "{error}");
}

#[tokio::test]
async fn without_roots_a_certificate_proves_nothing() {
    let ca = Ca::new("root");
    let (reviews, ratings) = (store(&ca, "reviews"), store(&ca, "ratings"));
    let common = ir::tls::CommonTls { validation: None, ..common::common(&[], &[]) };
    let server =
        ServerTls::new(&ir::DownstreamTls { common, require_client_certificate: true }, &ratings).unwrap();
    let (_, far) = check(&client(&reviews, &["ratings"], &[]), &server).await;
    assert_eq!(far.peer, None);
}

#[tokio::test]
async fn rotation_renews_handshakes_and_leaves_connections_alone() {
    let ca = Ca::new("root");
    let (reviews, ratings) = (store(&ca, "reviews"), store(&ca, "ratings"));
    let server = server(&ratings, true, &["h2"]);
    let client = client(&reviews, &["ratings", "ratings-2"], &["h2"]);
    let (near, far) = connect(&client, &server, ConnectOptions::default()).await;
    let ((mut near, _), (mut far, first)) = (near.unwrap(), far.unwrap());
    assert!(check(&client, &server).await.0.resumed);

    reviews.set_certificate("default", ca.leaf("reviews", HOUR));
    let (_, renewed) = check(&client, &server).await;
    assert!(!renewed.resumed, "a session must not outlive the client's certificate");
    assert_ne!(renewed.peer.unwrap().sha256, first.peer.unwrap().sha256);

    assert!(check(&client, &server).await.0.resumed);
    ratings.set_certificate("default", ca.leaf("ratings-2", HOUR));
    let (info, _) = check(&client, &server).await;
    assert!(!info.resumed, "tickets must not outlive the server's certificate");
    assert_eq!(info.peer.unwrap().uri_sans, [uri("ratings-2")]);

    assert!(check(&client, &server).await.0.resumed);
    let two = format!("{}{}", ca.pem, Ca::new("next").pem);
    ratings.set_roots("ROOTCA", Roots::from_pem(&two).unwrap());
    assert!(!check(&client, &server).await.0.resumed, "tickets must not outlive the trust bundle");
    assert!(check(&client, &server).await.0.resumed);
    // The same again is no change.
    ratings.set_roots("ROOTCA", Roots::from_pem(&two).unwrap());
    assert!(check(&client, &server).await.0.resumed);

    near.write_all(b"still here").await.unwrap();
    let mut buffer = [0; 15];
    far.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"hellostill here");
}

#[tokio::test]
async fn an_expired_certificate_is_refused_also_when_resumed() {
    let ca = Ca::new("root");
    let (reviews, ratings) = (store(&ca, "reviews"), store(&ca, "ratings"));
    reviews.set_certificate("default", ca.leaf("reviews", Duration::from_secs(1)));
    let server = server(&ratings, true, &[]);
    let client = client(&reviews, &["ratings"], &[]);
    check(&client, &server).await;
    assert!(check(&client, &server).await.1.resumed);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let (_, far) = connect(&client, &server, ConnectOptions::default()).await;
    let error = far.err().unwrap();
    assert!(error.to_string().contains("certificate has expired"), "{error}");
    // And in a full handshake.
    ratings.set_certificate("default", ca.leaf("ratings", HOUR));
    let (near, _) = connect(&client, &server, ConnectOptions::default()).await;
    assert!(near.err().unwrap().to_string().contains("CERTIFICATE_EXPIRED"));
}

#[tokio::test]
async fn alpn_is_ours_first_overridable_and_never_a_reason_to_refuse() {
    let ca = Ca::new("root");
    let (reviews, ratings) = (store(&ca, "reviews"), store(&ca, "ratings"));
    let agreed = async |ours: &[&str], theirs: &[&str], instead: Option<&[&str]>| {
        let (server, client) = (server(&ratings, true, ours), client(&reviews, &["ratings"], theirs));
        let instead: Option<Vec<Str>> = instead.map(|list| list.iter().map(|&name| name.into()).collect());
        let options = ConnectOptions { alpn: instead.as_deref(), ..ConnectOptions::default() };
        let (near, far) = connect(&client, &server, options).await;
        let (near, far) = (near.unwrap().1, far.unwrap().1);
        assert_eq!(near.alpn, far.alpn);
        far.alpn.map(String::from)
    };
    let some = |name: &str| Some(name.to_owned());
    let (http, tcp) = (&["h2", "http/1.1"], &["istio-peer-exchange", "istio"]);
    assert_eq!(agreed(http, &["istio-http/1.1", "istio", "http/1.1"], None).await, some("http/1.1"));
    assert_eq!(agreed(http, &["istio-h2", "istio", "h2"], None).await, some("h2"));
    assert_eq!(agreed(tcp, tcp, None).await, some("istio-peer-exchange"));
    assert_eq!(agreed(http, &["istio"], Some(&["istio-h2", "h2"])).await, some("h2"));
    assert_eq!(agreed(http, tcp, None).await, None);
    assert_eq!(agreed(&[], tcp, None).await, None);
    assert_eq!(agreed(http, &[], None).await, None);
}

#[tokio::test]
async fn missing_secrets_are_waited_for() {
    let ca = Ca::new("root");
    let empty = SecretStore::new();
    let server = Arc::new(server(&empty, true, &[]));
    assert_eq!(server.missing(), ["default", "ROOTCA"]);
    let error = server.config().err().unwrap();
    assert_eq!(error.to_string(), "TLS_error: Secret is not supplied by SDS: default");
    let waiting = tokio::spawn({
        let server = server.clone();
        async move { server.ready().await }
    });
    empty.set_roots("ROOTCA", Roots::from_pem(&ca.pem).unwrap());
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    empty.set_certificate("default", ca.leaf("ratings", HOUR));
    waiting.await.unwrap();
    assert!(server.missing().is_empty());
    check(&client(&store(&ca, "reviews"), &["ratings"], &[]), &server).await;
    empty.remove("default");
    assert!(matches!(server.config(), Err(TlsError::NotReady(_))));
}

#[tokio::test]
async fn the_hybrid_exchange_comes_first_and_the_classical_one_is_accepted() {
    let ca = Ca::new("root");
    let (reviews, ratings) = (store(&ca, "reviews"), store(&ca, "ratings"));
    let (server, client) = (server(&ratings, true, &[]), client(&reviews, &["ratings"], &[]));
    let group =
        |stream: &ServerStream<TcpStream>| stream.get_ref().1.negotiated_key_exchange_group().unwrap().name();
    let (_near, far) = connect(&client, &server, ConnectOptions::default()).await;
    assert_eq!(group(&far.unwrap().0), rustls::NamedGroup::X25519MLKEM768);

    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    for kx in [rustls::crypto::aws_lc_rs::kx_group::X25519, rustls::crypto::aws_lc_rs::kx_group::SECP256R1] {
        provider.kx_groups = vec![kx];
        let classical = rustls::ClientConfig::builder_with_provider(Arc::new(provider.clone()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Anyone::new())
            .with_client_cert_resolver(
                client.config(ConnectOptions::default()).unwrap().client_auth_cert_resolver.clone(),
            );
        let (near, far) = sockets().await;
        let connector = tokio_rustls::TlsConnector::from(Arc::new(classical));
        let (near, far) = tokio::join!(connector.connect(client.server_name(), near), server.accept(far));
        assert!(near.is_ok());
        assert_eq!(group(&far.unwrap().0), kx.name());
    }
}

#[tokio::test]
async fn rubbish_instead_of_tls_is_an_error() {
    let server = server(&store(&Ca::new("root"), "ratings"), true, &[]);
    for rubbish in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\xff\xff", b""] {
        let (mut near, far) = sockets().await;
        near.write_all(rubbish).await.unwrap();
        drop(near);
        assert!(server.accept(far).await.is_err());
    }
}

/// A server that judges clients by more than the root, and whether it lets one in.
async fn judged(
    server_store: &SecretStore,
    client_store: &SecretStore,
    more: impl FnOnce(&mut ir::tls::Validation),
) -> Result<TlsInfo, TlsError> {
    let mut common = common::common(&[], &[]);
    more(common.validation.as_mut().unwrap());
    let tls = ir::DownstreamTls { common, require_client_certificate: true };
    let server = ServerTls::new(&tls, server_store)?;
    let client = client(client_store, &["ratings"], &[]);
    connect(&client, &server, ConnectOptions::default()).await.1.map(|(_, info)| info)
}

#[tokio::test]
async fn only_pinned_certificates_are_let_in() {
    let ca = Ca::new("root");
    let (reviews, ratings) = (store(&ca, "reviews"), store(&ca, "ratings"));
    let peer = judged(&ratings, &reviews, |_| {}).await.unwrap().peer.unwrap();
    let chain = reviews.certificate("default").unwrap().chain_pem().to_string();
    let (_, pem) = x509_parser::pem::parse_x509_pem(chain.as_bytes()).unwrap();
    let key = pem.parse_x509().unwrap().public_key().raw.to_vec();
    let key = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &key);
    let key: Str = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, key).into();
    let other: Str = "00".repeat(32).into();
    for (spki, hashes, is_in) in [
        (vec![], vec![peer.sha256.clone()], true),
        (vec![], vec![other.clone(), peer.sha256.to_uppercase().into()], true),
        (vec![], vec![other.clone()], false),
        (vec![key.clone()], vec![], true),
        (vec![key.clone()], vec![other.clone()], true),
        (vec!["A".repeat(43).into()], vec![], false),
    ] {
        // Base64 of 32 bytes ends with a sign that stands for nothing.
        let spki: Vec<Str> = spki
            .into_iter()
            .map(|pin: Str| if pin.len() == 43 { format!("{pin}=").into() } else { pin })
            .collect();
        let pins = ir::tls::Pins { spki: spki.clone(), hashes: hashes.clone() };
        let result = judged(&ratings, &reviews, |validation| validation.pins = pins).await;
        assert_eq!(result.is_ok(), is_in, "{spki:?} {hashes:?} {:?}", result.err());
        if let Err(error) = result {
            assert_eq!(error.failure(), Some(TlsFailure::Hash), "{error}");
        }
    }
    let pins = ir::tls::Pins { spki: Vec::new(), hashes: vec!["abc".into()] };
    let error = judged(&ratings, &reviews, |validation| validation.pins = pins).await.err().unwrap();
    assert!(error.to_string().contains("verify_certificate_hash"), "{error}");
}

#[tokio::test]
async fn a_trust_bundle_brings_what_has_been_revoked() {
    let ca = Ca::new("root");
    let (reviews, ratings) = (store(&ca, "reviews"), store(&ca, "ratings"));
    let inline = |text: String| ir::tls::DataSource::Inline(text.into_bytes());
    let trust = |revoked: &SecretStore| {
        let crl = ca.crl(&[revoked.certificate("default").unwrap()]);
        let pem = ratings.roots("ROOTCA").unwrap().pem().to_string();
        let bundle = ir::tls::TrustBundle { roots: inline(pem), crl: Some(inline(crl)) };
        let content = ir::tls::SecretContent::Roots(bundle);
        ratings.apply(&ir::tls::Secret { name: "ROOTCA".into(), content })
    };
    trust(&ratings).unwrap();
    judged(&ratings, &reviews, |_| {}).await.unwrap();
    trust(&reviews).unwrap();
    let error = judged(&ratings, &reviews, |_| {}).await.err().unwrap();
    assert_eq!(error.failure(), Some(TlsFailure::Chain), "{error}");
}

#[tokio::test]
async fn revoked_certificates_are_refused_on_both_sides() {
    let ca = Ca::new("root");
    let (reviews, ratings) = (store(&ca, "reviews"), store(&ca, "ratings"));
    let crl = |revoked: &[&SecretStore]| {
        let revoked: Vec<_> = revoked.iter().map(|store| store.certificate("default").unwrap()).collect();
        Some(ir::tls::DataSource::Inline(ca.crl(&revoked).into_bytes()))
    };
    judged(&ratings, &reviews, |validation| validation.crl = crl(&[])).await.unwrap();
    judged(&ratings, &reviews, |validation| validation.crl = crl(&[&ratings])).await.unwrap();
    let error =
        judged(&ratings, &reviews, |validation| validation.crl = crl(&[&reviews])).await.err().unwrap();
    assert_eq!(error.failure(), Some(TlsFailure::Chain), "{error}");
    // Of an issuer without a list it is not known who is revoked.
    let elsewhere = Ca::new("elsewhere").crl(&[]);
    let unknown = Some(ir::tls::DataSource::Inline(elsewhere.into_bytes()));
    assert!(judged(&ratings, &reviews, |validation| validation.crl = unknown).await.is_err());
    let nothing = Some(ir::tls::DataSource::Inline(Vec::new()));
    let error = judged(&ratings, &reviews, |validation| validation.crl = nothing).await.err().unwrap();
    assert!(error.to_string().contains("crl"), "{error}");

    let server = server(&ratings, false, &[]);
    for (revoked, is_in) in [(crl(&[&reviews]), true), (crl(&[&ratings]), false)] {
        let mut common = common::common(&["ratings"], &[]);
        common.validation.as_mut().unwrap().crl = revoked;
        let client = ClientTls::new(&ir::UpstreamTls { common, sni: None }, &reviews).unwrap();
        let (near, _) = connect(&client, &server, ConnectOptions::default()).await;
        assert_eq!(near.is_ok(), is_in);
    }
}

#[tokio::test]
async fn whoever_is_let_in_untrusted_is_nobody() {
    let ca = Ca::new("root");
    let ratings = store(&ca, "ratings");
    let stranger = store(&Ca::new("elsewhere"), "reviews");
    stranger.set_roots("ROOTCA", Roots::from_pem(&ca.pem).unwrap());
    assert!(judged(&ratings, &stranger, |_| {}).await.is_err());
    let info = judged(&ratings, &stranger, |validation| validation.accept_untrusted = true).await.unwrap();
    assert_eq!(info.peer, None, "no policy may rest on what nobody judged");
}

#[tokio::test]
async fn only_what_is_listed_is_spoken() {
    use ir::tls::TlsVersion;
    let ca = Ca::new("root");
    let (reviews, ratings) = (store(&ca, "reviews"), store(&ca, "ratings"));
    let of = |suites: &[&str], curves: &[&str], max: Option<TlsVersion>| {
        let list = |names: &[&str]| names.iter().map(|name| Str::from(*name)).collect();
        let common = ir::tls::CommonTls {
            cipher_suites: list(suites),
            ecdh_curves: list(curves),
            max_version: max,
            ..common::common(&[], &[])
        };
        ServerTls::new(&ir::DownstreamTls { common, require_client_certificate: true }, &ratings)
    };
    let old = Some(TlsVersion::V1_2);
    let chacha = of(&["AES128-SHA", "ECDHE-ECDSA-CHACHA20-POLY1305"], &[], old).unwrap();
    let client = client(&reviews, &["ratings"], &[]);
    let (near, _) = check(&client, &chacha).await;
    assert_eq!(near.cipher, "ECDHE-ECDSA-CHACHA20-POLY1305");
    // Keys of the certificate and suites must fit.
    let rsa_only = of(&["ECDHE-RSA-AES128-GCM-SHA256"], &[], old).unwrap();
    assert!(connect(&client, &rsa_only, ConnectOptions::default()).await.0.is_err());
    check(&client, &of(&["ECDHE-RSA-AES128-GCM-SHA256"], &["P-384"], None).unwrap()).await;
    for (error, named) in [
        (of(&["AES128-SHA"], &[], old).err().unwrap(), "cipher_suites"),
        (of(&[], &["P-521"], None).err().unwrap(), "ecdh_curves"),
    ] {
        assert!(error.to_string().contains(named), "{error}");
    }
}
