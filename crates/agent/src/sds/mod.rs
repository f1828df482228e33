//! SDS on a Unix socket: the workload's certificate and the trust bundle for a proxy that is a
//! process of its own. Secrets are pushed as soon as they change.

mod delta;
mod sotw;
mod stream;

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::pin::Pin;

use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use envoy_types::pb::envoy::service::secret::v3::secret_discovery_service_server::{
    SecretDiscoveryService, SecretDiscoveryServiceServer,
};
use identity::SecretStore;
use ir::tls::{DataSource, SecretContent, TlsCertificate, TrustBundle};
use ir::{Resource, ResourceType, Secret};
use lifecycle::DrainWatch;
use stdx::Str;
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::{Request, Response, Status, Streaming};

type Outgoing<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The server, not yet serving.
pub struct SdsServer {
    listener: UnixListener,
    secrets: SecretStore,
}

impl SdsServer {
    /// Opens the socket, for our own user alone; one that is left over is replaced.
    ///
    /// # Errors
    /// The socket cannot be made. Its path may have 107 bytes at most.
    pub fn bind(path: &Path, secrets: SecretStore) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(SdsServer { listener, secrets })
    }

    /// Serves until the drain is forced: a draining proxy still renews.
    ///
    /// # Errors
    /// The server failed.
    pub async fn serve(self, drain: DrainWatch) -> Result<(), String> {
        let service = SecretDiscoveryServiceServer::new(Service { secrets: self.secrets });
        let incoming = UnixListenerStream::new(self.listener);
        let server = tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming);
        tokio::select! {
            ended = server => ended.map_err(|error| format!("SDS: {error}")),
            () = drain.forced() => Ok(()),
        }
    }
}

#[derive(Clone)]
struct Service {
    secrets: SecretStore,
}

#[tonic::async_trait]
impl SecretDiscoveryService for Service {
    type DeltaSecretsStream = Outgoing<DeltaDiscoveryResponse>;
    type StreamSecretsStream = Outgoing<DiscoveryResponse>;

    async fn delta_secrets(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaSecretsStream>, Status> {
        let (sender, responses) = mpsc::channel(4);
        tokio::spawn(stream::run::<delta::Delta>(self.secrets.clone(), request.into_inner(), sender));
        Ok(Response::new(Box::pin(ReceiverStream::new(responses))))
    }

    async fn stream_secrets(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamSecretsStream>, Status> {
        let (sender, responses) = mpsc::channel(4);
        tokio::spawn(stream::run::<sotw::Sotw>(self.secrets.clone(), request.into_inner(), sender));
        Ok(Response::new(Box::pin(ReceiverStream::new(responses))))
    }

    async fn fetch_secrets(
        &self,
        _: Request<DiscoveryRequest>,
    ) -> Result<Response<DiscoveryResponse>, Status> {
        Err(Status::unimplemented("secrets are streamed"))
    }
}

/// What goes on the wire for one secret.
struct Sent {
    /// Of the content, so that it is the same after a restart.
    version: String,
    any: xds_codec::Any,
}

/// The secret of this name, if it is there.
fn secret(secrets: &SecretStore, name: &str) -> Option<Sent> {
    let inline = |text: &str| DataSource::Inline(text.as_bytes().to_vec());
    let (content, version) = if let Some(held) = secrets.certificate(name) {
        let (chain, key) = (inline(held.chain_pem()), inline(held.key_pem().as_str()));
        (SecretContent::Certificate(TlsCertificate { chain, key }), stdx::digest(held.chain_pem()))
    } else {
        let held = secrets.roots(name)?;
        let crl = held.crl_pem();
        let bundle = TrustBundle { roots: inline(held.pem()), crl: crl.map(|crl| inline(crl)) };
        (SecretContent::Roots(bundle), stdx::digest(&format!("{}{}", held.pem(), crl.map_or("", |it| it))))
    };
    let secret = Secret { name: Str::from(name), content };
    Some(Sent { version: version.to_string(), any: xds_codec::encode(&Resource::Secret(secret.into())) })
}

fn type_url() -> String {
    ResourceType::Secret.type_url().to_owned()
}

/// A request for another type on this stream is an error of the client.
fn check_type(url: &str) -> Result<(), Status> {
    if url.is_empty() || url == ResourceType::Secret.type_url() {
        return Ok(());
    }
    Err(Status::invalid_argument(format!("{url} is not served here")))
}
