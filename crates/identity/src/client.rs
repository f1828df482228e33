//! TLS towards servers.

use std::net::Ipv4Addr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use ir::UpstreamTls;
use ir::tls::CommonTls;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use stdx::Str;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use crate::error::TlsError;
use crate::handshake::{ClientStream, TlsInfo};
use crate::latest::{Generation, Latest};
use crate::names::Names;
use crate::provider::{limited, versions};
use crate::source::{self, Source};
use crate::validation::{Validation, check_name};
use crate::verifier::ServerVerifier;
use crate::{Certificate, Roots, SecretStore};

/// TLS as one transport socket of a cluster speaks it. Shared between workers.
pub struct ClientTls {
    tls: UpstreamTls,
    store: SecretStore,
    server_name: ServerName<'static>,
    certificate: Option<Source<Certificate>>,
    roots: Option<Source<Roots>>,
    validation: Arc<Validation>,
    built: Latest<Built>,
}

/// What one connection wants differently.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnectOptions<'a> {
    /// Offered instead of the configured protocols (`envoy.network.application_protocols`).
    pub alpn: Option<&'a [Str]>,
    /// Sent as SNI instead of the configured name.
    pub sni: Option<&'a Str>,
    /// The server must have this name, beside those that are configured. An error where nobody judges the
    /// server's certificate.
    pub san: Option<&'a str>,
}

/// rustls settings made from one generation of secrets, one per list of protocols, each with
/// sessions of its own: a session is bound to what was expected when it was made.
struct Built {
    base: ClientConfig,
    by_alpn: ArcSwap<Vec<(Arc<[Str]>, Arc<ClientConfig>)>>,
    local: Option<Arc<Names>>,
}

/// More lists than these (nobody has more than a handful) get settings without sessions.
const MAX_ALPN_LISTS: usize = 16;
/// A server per configuration, in rustls' count of eight sessions each. The table is allocated
/// at once, so more would cost every cluster.
const SESSIONS: usize = 8;

impl ClientTls {
    /// Reads inline secrets and files; secrets by name may still be missing.
    ///
    /// # Errors
    /// Something given cannot be used.
    pub fn new(tls: &UpstreamTls, store: &SecretStore) -> Result<Self, TlsError> {
        let CommonTls { certificate, validation, .. } = &tls.common;
        versions(&tls.common).map_err(TlsError::Config)?;
        limited(&tls.common).map_err(TlsError::Config)?;
        Ok(ClientTls {
            server_name: server_name(tls.sni.as_deref())?,
            certificate: certificate.as_ref().map(|c| source::certificate(c, store)).transpose()?,
            roots: validation.as_ref().map(|v| source::roots(&v.roots, store)).transpose()?,
            validation: Arc::new(Validation::new(validation.as_ref(), true)?),
            tls: tls.clone(),
            store: store.clone(),
            built: Latest::none(),
        })
    }

    /// Names of secrets that are not there yet.
    pub fn missing(&self) -> Vec<Str> {
        let certificate = self.certificate.as_ref().and_then(Source::missing);
        certificate.into_iter().chain(self.roots.as_ref().and_then(Source::missing)).collect()
    }

    /// Waits until every secret is there.
    pub async fn ready(&self) {
        if let Some(certificate) = &self.certificate {
            certificate.wait().await;
        }
        if let Some(roots) = &self.roots {
            roots.wait().await;
        }
    }

    /// The rustls settings of the secrets as they are now.
    ///
    /// # Errors
    /// A secret is missing or unusable.
    pub fn config(&self, options: ConnectOptions<'_>) -> Result<Arc<ClientConfig>, TlsError> {
        Ok(self.built()?.config(options.alpn.unwrap_or(&self.tls.common.alpn)))
    }

    /// The configured protocols.
    pub fn alpn(&self) -> &[Str] {
        &self.tls.common.alpn
    }

    /// The name sent as SNI, or an address that stands for none.
    pub fn server_name(&self) -> ServerName<'static> {
        self.server_name.clone()
    }

    /// The whole handshake, the check of the server included. Put a timeout around it. With
    /// TLS 1.3 a server's refusal of *our* certificate comes as an error of the first read: give
    /// that to [`TlsError::from_io`].
    ///
    /// # Errors
    /// A secret is missing, the handshake fails, or the server is not one of those expected.
    pub async fn connect<IO>(
        &self,
        io: IO,
        options: ConnectOptions<'_>,
    ) -> Result<(ClientStream<IO>, TlsInfo), TlsError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let built = self.built()?;
        let protocols = options.alpn.unwrap_or(&self.tls.common.alpn);
        let connector = TlsConnector::from(built.config(protocols));
        let name = match options.sni {
            Some(sni) => server_name(Some(sni))?,
            None => self.server_name(),
        };
        let stream = connector.connect(name, io).await.map_err(TlsError::from_io)?;
        let (local, sni) = (built.local.clone(), options.sni.cloned().or_else(|| self.tls.sni.clone()));
        let keep = self.store.keeps_servers();
        let info = TlsInfo::of(stream.get_ref().1, &self.validation, local, sni, protocols, keep)?;
        if let Some(san) = options.san {
            check_name(info.peer.as_deref(), san)?;
        }
        Ok((stream, info))
    }

    fn generation(&self) -> Generation {
        let of_certificate = self.certificate.as_ref().map_or(0, Source::generation);
        [of_certificate, 0, self.roots.as_ref().map_or(0, Source::generation)]
    }

    fn built(&self) -> Result<Arc<Built>, TlsError> {
        self.built.get(|| self.generation(), || self.build())
    }

    fn build(&self) -> Result<(Generation, Built), TlsError> {
        let certificate = self.certificate.as_ref().map(Source::load).transpose()?;
        let roots = self.roots.as_ref().map(Source::load).transpose()?;
        let versions = versions(&self.tls.common).map_err(TlsError::Config)?;
        let trusted = roots.as_ref().filter(|_| self.validation.judges()).map(|roots| roots.value.clone());
        let verifier = ServerVerifier { roots: trusted, validation: self.validation.clone() };
        let builder =
            ClientConfig::builder_with_provider(limited(&self.tls.common).map_err(TlsError::Config)?)
                .with_protocol_versions(&versions)
                .map_err(|error| TlsError::Config(error.to_string()))?
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(verifier));
        let base = match &certificate {
            Some(certificate) => builder
                .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certificate.value.key.clone()))),
            None => builder.with_no_client_auth(),
        };
        let generation = [
            certificate.as_ref().map_or(0, |certificate| certificate.generation),
            0,
            roots.map_or(0, |roots| roots.generation),
        ];
        let local = certificate.map(|certificate| certificate.value.names.clone());
        Ok((generation, Built { base, by_alpn: ArcSwap::default(), local }))
    }
}

impl Built {
    /// The settings for these protocols, made on first use.
    fn config(&self, protocols: &[Str]) -> Arc<ClientConfig> {
        let find = |all: &[(Arc<[Str]>, Arc<ClientConfig>)]| {
            all.iter().find(|(list, _)| **list == *protocols).map(|(_, config)| config.clone())
        };
        if let Some(config) = find(&self.by_alpn.load()) {
            return config;
        }
        let mut config = self.base.clone();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        if self.by_alpn.load().len() >= MAX_ALPN_LISTS {
            config.resumption = Resumption::disabled();
            return Arc::new(config);
        }
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        let entry = (Arc::from(protocols), Arc::new(config));
        // Whoever comes second finds the first one's and drops its own.
        self.by_alpn.rcu(|all| match find(all) {
            Some(_) => all.clone(),
            None => Arc::new(all.iter().chain([&entry]).cloned().collect()),
        });
        find(&self.by_alpn.load()).unwrap_or(entry.1)
    }
}

/// rustls wants a name; an address is never sent.
fn server_name(sni: Option<&str>) -> Result<ServerName<'static>, TlsError> {
    match sni {
        Some(sni) => ServerName::try_from(sni.to_owned())
            .map_err(|_| TlsError::Config(format!("sni: {sni:?} cannot be a server name"))),
        None => Ok(ServerName::from(std::net::IpAddr::from(Ipv4Addr::UNSPECIFIED))),
    }
}
