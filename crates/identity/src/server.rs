//! TLS towards clients.

use std::sync::Arc;

use ir::DownstreamTls;
use ir::tls::CommonTls;
use rustls::server::{Acceptor, ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SignatureAlgorithm};
use stdx::Str;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::LazyConfigAcceptor;

use crate::error::TlsError;
use crate::handshake::{ServerStream, TlsInfo, refuse};
use crate::latest::{Generation, Latest};
use crate::names::Names;
use crate::provider::{limited, versions};
use crate::source::{self, Source};
use crate::validation::Validation;
use crate::verifier::ClientVerifier;
use crate::{Certificate, Roots, SecretStore};

/// TLS as one filter chain speaks it. Shared between workers; a handshake takes no lock.
pub struct ServerTls {
    tls: DownstreamTls,
    store: SecretStore,
    certificate: Source<Certificate>,
    alternative: Option<Source<Certificate>>,
    roots: Option<Source<Roots>>,
    validation: Arc<Validation>,
    built: Latest<Built>,
}

/// rustls settings made from one generation of secrets. Ticket keys are part of it.
struct Built {
    config: Arc<ServerConfig>,
    /// For clients that offer none of our application protocols: like Envoy we go on without
    /// one, where rustls would refuse.
    without_alpn: Arc<ServerConfig>,
    local: Arc<Names>,
}

impl ServerTls {
    /// Reads inline secrets and files; secrets by name may still be missing.
    ///
    /// # Errors
    /// There is no certificate, or something given cannot be used.
    pub fn new(tls: &DownstreamTls, store: &SecretStore) -> Result<Self, TlsError> {
        let CommonTls { certificate, alternative, validation, .. } = &tls.common;
        let none = || TlsError::Config("common_tls_context: no certificate for a server".to_owned());
        versions(&tls.common).map_err(TlsError::Config)?;
        limited(&tls.common).map_err(TlsError::Config)?;
        Ok(ServerTls {
            certificate: source::certificate(certificate.as_ref().ok_or_else(none)?, store)?,
            alternative: alternative.as_ref().map(|c| source::certificate(c, store)).transpose()?,
            roots: validation.as_ref().map(|v| source::roots(&v.roots, store)).transpose()?,
            validation: Arc::new(Validation::new(validation.as_ref(), tls.require_client_certificate)?),
            tls: tls.clone(),
            store: store.clone(),
            built: Latest::none(),
        })
    }

    /// Names of secrets that are not there yet.
    pub fn missing(&self) -> Vec<Str> {
        let roots = self.roots.as_ref().and_then(Source::missing);
        let alternative = self.alternative.as_ref().and_then(Source::missing);
        self.certificate.missing().into_iter().chain(alternative).chain(roots).collect()
    }

    /// Waits until every secret is there.
    pub async fn ready(&self) {
        self.certificate.wait().await;
        if let Some(alternative) = &self.alternative {
            alternative.wait().await;
        }
        if let Some(roots) = &self.roots {
            roots.wait().await;
        }
    }

    /// The rustls settings of the secrets as they are now.
    ///
    /// # Errors
    /// A secret is missing or unusable.
    pub fn config(&self) -> Result<Arc<ServerConfig>, TlsError> {
        Ok(self.built()?.config.clone())
    }

    /// The whole handshake, the check of the client included. Put a timeout around it. A client
    /// that is refused gets its alert.
    ///
    /// # Errors
    /// A secret is missing, the handshake fails, or the client is not one of those expected.
    pub async fn accept<IO>(&self, io: IO) -> Result<(ServerStream<IO>, TlsInfo), TlsError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let built = self.built()?;
        let mut acceptor = LazyConfigAcceptor::new(Acceptor::default(), io);
        let start = match (&mut acceptor).await {
            Ok(start) => start,
            Err(error) => return Err(refused(acceptor.take_io(), error).await),
        };
        let hello = start.client_hello();
        let sni = hello.server_name().map(Str::from);
        let config = if self.shares_protocol(&hello) { &built.config } else { &built.without_alpn };
        let stream = match start.into_stream(config.clone()).into_fallible().await {
            Ok(stream) => stream,
            Err((error, io)) => return Err(refuse(io, error).await),
        };
        let local = Some(built.local.clone());
        let (ours, keep) = (&self.tls.common.alpn, self.store.keeps_clients());
        let info = TlsInfo::of(stream.get_ref().1, &self.validation, local, sni, ours, keep)?;
        Ok((stream, info))
    }

    /// Whether rustls will find a protocol, or was not asked to.
    fn shares_protocol(&self, hello: &ClientHello<'_>) -> bool {
        let ours = &self.tls.common.alpn;
        let shared = |mut theirs: Box<dyn Iterator<Item = &[u8]> + '_>| {
            theirs.any(|theirs| ours.iter().any(|ours| ours.as_bytes() == theirs))
        };
        ours.is_empty() || hello.alpn().is_none_or(|theirs| shared(Box::new(theirs)))
    }

    fn generation(&self) -> Generation {
        let alternative = self.alternative.as_ref().map_or(0, Source::generation);
        [self.certificate.generation(), alternative, self.roots.as_ref().map_or(0, Source::generation)]
    }

    fn built(&self) -> Result<Arc<Built>, TlsError> {
        self.built.get(|| self.generation(), || self.build())
    }

    fn build(&self) -> Result<(Generation, Built), TlsError> {
        let certificate = self.certificate.load()?;
        let roots = self.roots.as_ref().map(Source::load).transpose()?;
        let versions = versions(&self.tls.common).map_err(TlsError::Config)?;
        let alternative = self.alternative.as_ref().map(Source::load).transpose()?;
        let provider = limited(&self.tls.common).map_err(TlsError::Config)?;
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .map_err(|error| TlsError::Config(error.to_string()))?;
        let judges = roots.is_some() || self.tls.require_client_certificate;
        let builder = if judges {
            let trusted = roots.as_ref().filter(|_| self.validation.judges()).map(|roots| &*roots.value);
            let verifier =
                ClientVerifier::new(trusted, self.validation.clone(), self.tls.require_client_certificate);
            builder.with_client_cert_verifier(Arc::new(verifier.map_err(TlsError::Config)?))
        } else {
            builder.with_no_client_auth()
        };
        let keys = [Some(&certificate), alternative.as_ref()];
        let keys = keys.into_iter().flatten().map(|one| one.value.key.clone()).collect();
        let mut without_alpn = builder.with_cert_resolver(Arc::new(Certificates::new(keys)));
        // Sessions live in tickets alone: nothing is shared between workers, and the keys go
        // with this generation.
        without_alpn.session_storage = Arc::new(NoServerSessionStorage {});
        without_alpn.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()
            .map_err(|error| TlsError::Config(format!("ticket keys: {error}")))?;
        let mut config = without_alpn.clone();
        config.alpn_protocols = self.tls.common.alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let generation = [
            certificate.generation,
            alternative.map_or(0, |alternative| alternative.generation),
            roots.map_or(0, |roots| roots.generation),
        ];
        let (config, without_alpn) = (Arc::new(config), Arc::new(without_alpn));
        Ok((generation, Built { config, without_alpn, local: certificate.value.names.clone() }))
    }
}

/// Of several certificates each client gets the first that it can judge.
#[derive(Debug)]
struct Certificates(Vec<Arc<CertifiedKey>>);

impl Certificates {
    /// Elliptic curves first, as Envoy has it: they cost both sides less.
    fn new(mut keys: Vec<Arc<CertifiedKey>>) -> Self {
        keys.sort_by_key(|key| key.key.algorithm() != SignatureAlgorithm::ECDSA);
        Certificates(keys)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let fits = |key: &&Arc<CertifiedKey>| key.key.choose_scheme(hello.signature_schemes()).is_some();
        self.0.iter().find(fits).or(self.0.first()).cloned()
    }
}

async fn refused<IO: AsyncRead + AsyncWrite + Unpin>(io: Option<IO>, error: std::io::Error) -> TlsError {
    match io {
        Some(io) => refuse(io, error).await,
        None => TlsError::from_io(error),
    }
}
