//! SDS over its Unix socket: to a gRPC client of both kinds, and to a real Envoy.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::common::{Control, eventually, free_port};
use ::agent::sds::SdsServer;
use envoy_types::pb::envoy::service::discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest};
use envoy_types::pb::envoy::service::secret::v3::secret_discovery_service_client::SecretDiscoveryServiceClient;
use envoy_types::pb::google::rpc::Status;
use hyper_util::rt::TokioIo;
use identity::{Certificate, ClientTls, ConnectOptions, Roots, SecretStore, new_key_and_csr};
use ir::tls::{CommonTls, DataSource, RootsSource, SanKind, SanMatcher, Validation};
use ir::{Resource, StringMatcher, UpstreamTls};
use lifecycle::Drain;
use model::SpiffeId;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

const TYPE: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

fn leaf(control: &Control, account: &str) -> Certificate {
    let id = SpiffeId::new("cluster.local", "shop", account);
    let (key, csr) = new_key_and_csr(&id).unwrap();
    let issued = control.issuer.issue(&csr, &id, None, std::time::SystemTime::now()).unwrap();
    Certificate::from_pem(&issued.chain[0], key).unwrap()
}

async fn channel(path: PathBuf) -> Channel {
    let connect = tower::service_fn(move |_: tonic::codegen::http::Uri| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    Endpoint::from_static("http://sds").connect_with_connector(connect).await.unwrap()
}

fn serve(dir: &Path, secrets: &SecretStore, drain: &Drain) -> PathBuf {
    let path = dir.join("sds.sock");
    // What a crash left behind is no hindrance.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let server = SdsServer::bind(&path, secrets.clone()).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    tokio::spawn(server.serve(drain.watch()));
    path
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(5), future).await.expect("in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_pushed_by_delta() {
    let dir = tempfile::tempdir().unwrap();
    let control = Control::start(dir.path()).await;
    let (secrets, drain) = (SecretStore::new(), Drain::new());
    let mut client = SecretDiscoveryServiceClient::new(channel(serve(dir.path(), &secrets, &drain)).await);
    let (requests, stream) = mpsc::channel(4);
    let subscribe = DeltaDiscoveryRequest {
        type_url: TYPE.into(),
        resource_names_subscribe: vec!["default".into(), "ROOTCA".into()],
        ..DeltaDiscoveryRequest::default()
    };
    requests.send(subscribe).await.unwrap();
    let mut responses = client.delta_secrets(ReceiverStream::new(stream)).await.unwrap().into_inner();
    secrets.set_roots("ROOTCA", Roots::from_pem(control.issuer.root_pem()).unwrap());
    let first = within(responses.message()).await.unwrap().unwrap();
    assert_eq!(first.resources.len(), 1);
    assert_eq!((first.resources[0].name.as_str(), first.type_url.as_str()), ("ROOTCA", TYPE));

    let certificate = leaf(&control, "reviews");
    let (chain, key) = (certificate.chain_pem().to_string(), certificate.key_pem().as_str().to_owned());
    secrets.set_certificate("default", certificate);
    let second = within(responses.message()).await.unwrap().unwrap();
    let sent = xds_codec::decode(second.resources[0].resource.as_ref().unwrap()).unwrap();
    let Resource::Secret(sent) = sent else { panic!("{sent:?}") };
    let ir::tls::SecretContent::Certificate(content) = &sent.content else { panic!("no certificate") };
    assert_eq!(content.chain, DataSource::Inline(chain.into_bytes()));
    assert_eq!(content.key, DataSource::Inline(key.into_bytes()));

    // A refusal is not answered with the same again; the next certificate is.
    let refused = DeltaDiscoveryRequest {
        response_nonce: second.nonce.clone(),
        error_detail: Some(Status { code: 3, message: "no".into(), details: Vec::new() }),
        ..DeltaDiscoveryRequest::default()
    };
    requests.send(refused).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(300), responses.message()).await.is_err());
    secrets.set_certificate("default", leaf(&control, "reviews"));
    let third = within(responses.message()).await.unwrap().unwrap();
    assert_ne!(third.resources[0].version, second.resources[0].version);

    // After a reconnect, what the client has is not sent.
    let (again, stream) = mpsc::channel(4);
    let versions = [("default".to_owned(), third.resources[0].version.clone())];
    let resume = DeltaDiscoveryRequest {
        type_url: TYPE.into(),
        resource_names_subscribe: vec!["default".into()],
        initial_resource_versions: versions.into(),
        ..DeltaDiscoveryRequest::default()
    };
    again.send(resume).await.unwrap();
    let mut resumed = client.delta_secrets(ReceiverStream::new(stream)).await.unwrap().into_inner();
    assert!(tokio::time::timeout(Duration::from_millis(300), resumed.message()).await.is_err());
    let foreign = DeltaDiscoveryRequest { type_url: "x".into(), ..DeltaDiscoveryRequest::default() };
    again.send(foreign).await.unwrap();
    assert_eq!(within(resumed.message()).await.unwrap_err().code(), tonic::Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_pushed_to_a_client_of_the_older_kind() {
    let dir = tempfile::tempdir().unwrap();
    let control = Control::start(dir.path()).await;
    let (secrets, drain) = (SecretStore::new(), Drain::new());
    secrets.set_certificate("default", leaf(&control, "reviews"));
    let mut client = SecretDiscoveryServiceClient::new(channel(serve(dir.path(), &secrets, &drain)).await);
    let (requests, stream) = mpsc::channel(4);
    let request = DiscoveryRequest {
        type_url: TYPE.into(),
        resource_names: vec!["default".into()],
        ..DiscoveryRequest::default()
    };
    requests.send(request.clone()).await.unwrap();
    let mut responses = client.stream_secrets(ReceiverStream::new(stream)).await.unwrap().into_inner();
    let first = within(responses.message()).await.unwrap().unwrap();
    assert_eq!((first.resources.len(), first.nonce.as_str()), (1, "1"));
    let ack = DiscoveryRequest {
        version_info: first.version_info.clone(),
        response_nonce: first.nonce.clone(),
        ..request.clone()
    };
    requests.send(ack).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(300), responses.message()).await.is_err());
    secrets.set_certificate("default", leaf(&control, "reviews"));
    let second = within(responses.message()).await.unwrap().unwrap();
    assert_ne!(second.version_info, first.version_info);
}

/// TLS as seen by a client that trusts the mesh and has a certificate of it.
async fn handshake(
    control: &Control,
    port: u16,
    expected: &str,
) -> Result<identity::TlsInfo, identity::TlsError> {
    let store = SecretStore::new();
    store.set_certificate("default", leaf(control, "client"));
    let via = ir::tls::SdsVia::Static;
    let certificate = ir::tls::CertificateSource::Sds(ir::tls::SdsRef { name: "default".into(), via });
    let uri = format!("spiffe://cluster.local/ns/shop/sa/{expected}");
    let validation = Validation::new(
        RootsSource::Inline(DataSource::Inline(control.issuer.root_pem().as_bytes().to_vec())),
        vec![SanMatcher { kind: SanKind::Uri, matcher: StringMatcher::exact(uri) }],
    );
    let common =
        CommonTls { certificate: Some(certificate), validation: Some(validation), ..CommonTls::default() };
    let tls = ClientTls::new(&UpstreamTls { common, sni: None }, &store).unwrap();
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    tls.connect(stream, ConnectOptions::default()).await.map(|(_, info)| info)
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_takes_its_certificate_and_every_renewal() {
    let Some(envoy) = std::env::var_os("LATEEN_ENVOY") else {
        eprintln!("SKIPPED: LATEEN_ENVOY is not set, SDS was not tried with a real Envoy");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let control = Control::start(dir.path()).await;
    let (secrets, drain) = (SecretStore::new(), Drain::new());
    let socket = serve(dir.path(), &secrets, &drain);
    let port = free_port();
    let file = dir.path().join("envoy.json");
    std::fs::write(&file, envoy_bootstrap(&socket, port).to_string()).unwrap();
    let mut child = tokio::process::Command::new(envoy)
        .args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "error", "-c"])
        .arg(&file)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    secrets.set_roots("ROOTCA", Roots::from_pem(control.issuer.root_pem()).unwrap());
    secrets.set_certificate("default", leaf(&control, "reviews"));
    eventually("Envoy presents the certificate", async || handshake(&control, port, "reviews").await.is_ok())
        .await;
    let info = handshake(&control, port, "reviews").await.unwrap();
    assert_eq!(info.version, "TLSv1.3");
    let error = handshake(&control, port, "ratings").await.unwrap_err();
    assert_eq!(error.failure(), Some(identity::TlsFailure::San));
    for round in 0..3 {
        let renewed = leaf(&control, "reviews");
        let before = handshake(&control, port, "reviews").await.unwrap().peer.unwrap().sha256.clone();
        secrets.set_certificate("default", renewed);
        eventually(&format!("renewal {round} reaches Envoy"), async || {
            handshake(&control, port, "reviews").await.is_ok_and(|info| info.peer.unwrap().sha256 != before)
        })
        .await;
    }
    assert!(child.try_wait().unwrap().is_none(), "Envoy still runs");
    child.kill().await.unwrap();
}

fn envoy_bootstrap(socket: &Path, port: u16) -> serde_json::Value {
    use serde_json::json;
    let sds = |name: &str| {
        json!({"name": name, "sds_config": {"resource_api_version": "V3", "api_config_source": {
            "api_type": "GRPC", "transport_api_version": "V3", "set_node_on_first_message_only": true,
            "grpc_services": [{"envoy_grpc": {"cluster_name": "sds-grpc"}}]}}})
    };
    let tls = json!({"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": true,
        "common_tls_context": {
            "tls_certificate_sds_secret_configs": [sds("default")],
            "validation_context_sds_secret_config": sds("ROOTCA")}}});
    let echo = json!({"name": "envoy.filters.network.echo", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo"}});
    let http2 = json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}}}});
    let endpoint = json!({"endpoint": {"address": {"pipe": {"path": socket}}}});
    json!({
        "node": {"id": "sidecar~127.0.0.1~a.b~b.svc.cluster.local", "cluster": "test"},
        "static_resources": {
            "listeners": [{
                "name": "tls",
                "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
                "filter_chains": [{"transport_socket": tls, "filters": [echo]}]}],
            "clusters": [{
                "name": "sds-grpc", "type": "STATIC", "connect_timeout": "1s",
                "typed_extension_protocol_options": http2,
                "load_assignment": {"cluster_name": "sds-grpc", "endpoints": [{"lb_endpoints": [endpoint]}]}}]}
    })
}
