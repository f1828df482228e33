//! Asking the control plane for a certificate.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use identity::{ClientTls, ConnectOptions, SecretStore, TlsError};
use ir::UpstreamTls;
use stdx::Str;
use tokio::net::TcpStream;
use tonic::client::Grpc;
use tonic::codegen::http::Uri;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use crate::AgentConfig;
use crate::bootstrap::control_tls;
use crate::proto::{CREATE_CERTIFICATE, IstioCertificateRequest, IstioCertificateResponse};

/// The whole exchange, the connection included.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    #[error("{path}: {error}", path = .0.display(), error = .1)]
    Token(PathBuf, io::Error),
    #[error("control plane {0}: {1}")]
    Unreachable(Str, String),
    #[error("control plane refuses: {0}")]
    Refused(String),
    #[error("control plane answered with {0}")]
    Answer(&'static str),
}

/// Someone who signs.
pub trait Authority: Send + Sync + 'static {
    /// A chain (PEM each, leaf first, root last) for a request (PEM).
    fn sign(
        &self,
        csr: String,
        lifetime: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<String>, SignError>> + Send + '_>>;
}

/// `istio.v1.auth.IstioCertificateService` of the control plane. A workload that has a good
/// certificate shows it; where it has none, or that fails, its token speaks for it.
pub struct ControlAuthority {
    address: Str,
    token_file: PathBuf,
    secrets: SecretStore,
    with_certificate: Arc<ClientTls>,
    with_token: Arc<ClientTls>,
}

impl ControlAuthority {
    /// # Errors
    /// The control plane's names cannot be used.
    pub fn new(config: &AgentConfig, secrets: &SecretStore) -> Result<Self, TlsError> {
        let tls = control_tls(config);
        let mut anonymous = UpstreamTls { ..tls.clone() };
        anonymous.common.certificate = None;
        Ok(ControlAuthority {
            address: config.control_address.clone(),
            token_file: config.token_file.clone(),
            secrets: secrets.clone(),
            with_certificate: Arc::new(ClientTls::new(&tls, secrets)?),
            with_token: Arc::new(ClientTls::new(&anonymous, secrets)?),
        })
    }

    async fn request(&self, csr: String, lifetime: Duration) -> Result<Vec<String>, SignError> {
        if self.has_good_certificate() {
            match self.call(&self.with_certificate, None, csr.clone(), lifetime).await {
                Ok(chain) => return Ok(chain),
                Err(error) => {
                    tracing::info!(%error, "certificate not accepted for its renewal, using the token")
                }
            }
        }
        let token = tokio::fs::read_to_string(&self.token_file).await;
        let token = token.map_err(|error| SignError::Token(self.token_file.clone(), error))?;
        self.call(&self.with_token, Some(token.trim()), csr, lifetime).await
    }

    fn has_good_certificate(&self) -> bool {
        let certificate = self.secrets.certificate(identity::WORKLOAD_CERTIFICATE);
        certificate
            .is_some_and(|certificate| certificate.names.check_time(crate::renewal::unix_now()).is_ok())
    }

    async fn call(
        &self,
        tls: &Arc<ClientTls>,
        token: Option<&str>,
        csr: String,
        lifetime: Duration,
    ) -> Result<Vec<String>, SignError> {
        let seconds = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX);
        let mut request = Request::new(IstioCertificateRequest { csr, validity_duration: seconds });
        if let Some(token) = token {
            let bearer = format!("Bearer {token}").parse();
            let bearer =
                bearer.map_err(|_| SignError::Refused("the token is not printable ASCII".to_owned()))?;
            request.metadata_mut().insert("authorization", bearer);
        }
        let unreachable = |why: String| SignError::Unreachable(self.address.clone(), why);
        let exchange = async {
            let channel =
                self.connect(tls.clone()).await.map_err(|error| unreachable(with_causes(&error)))?;
            let mut grpc = Grpc::new(channel);
            grpc.ready().await.map_err(|error| unreachable(with_causes(&error)))?;
            let codec: ProstCodec<IstioCertificateRequest, IstioCertificateResponse> = ProstCodec::default();
            let path = PathAndQuery::from_static(CREATE_CERTIFICATE);
            let response = grpc.unary(request, path, codec).await;
            response.map_err(|status| self.refused(&status))
        };
        let answer = tokio::time::timeout(TIMEOUT, exchange).await;
        let chain = answer.map_err(|_| unreachable("no answer in time".to_owned()))??.into_inner().cert_chain;
        if chain.len() < 2 { Err(SignError::Answer("no chain up to a root")) } else { Ok(chain) }
    }

    /// A status of the server, or one that tonic made of a broken connection.
    fn refused(&self, status: &Status) -> SignError {
        match std::error::Error::source(status) {
            Some(cause) => SignError::Unreachable(self.address.clone(), with_causes(cause)),
            None => SignError::Refused(format!("{:?}: {}", status.code(), status.message())),
        }
    }

    async fn connect(&self, tls: Arc<ClientTls>) -> Result<Channel, tonic::transport::Error> {
        let address = self.address.clone();
        let connect = tower::service_fn(move |_: Uri| {
            let (address, tls) = (address.clone(), tls.clone());
            async move {
                let stream = TcpStream::connect(address.as_str()).await?;
                stream.set_nodelay(true)?;
                let (stream, _) =
                    tls.connect(stream, ConnectOptions::default()).await.map_err(io::Error::other)?;
                Ok::<_, io::Error>(TokioIo::new(stream))
            }
        });
        Endpoint::from_static("http://control").connect_with_connector(connect).await
    }
}

impl Authority for ControlAuthority {
    fn sign(
        &self,
        csr: String,
        lifetime: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<String>, SignError>> + Send + '_>> {
        Box::pin(self.request(csr, lifetime))
    }
}

/// An error with what caused it: "transport error" alone helps nobody.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
