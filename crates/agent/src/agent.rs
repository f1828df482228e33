//! Putting the parts together, and taking them apart in the right order.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use identity::{SecretStore, TRUST_BUNDLE, TlsError, WORKLOAD_CERTIFICATE};
use lifecycle::{Drain, DrainGuard, DrainWatch, Tasks};
use net::ResolvConf;

use crate::authority::ControlAuthority;
use crate::bootstrap::{bootstrap, sds_socket};
use crate::dns::{DnsConfig, DnsServer, NameTableHandle, SearchContext};
use crate::metrics::Metrics;
use crate::proxy::{ProxyRunner, ProxyStart};
use crate::renewal::{Renewal, TrustFile};
use crate::sds::SdsServer;
use crate::status::{Page, Status};
use crate::{AgentConfig, names};

/// Istio's `DNS_FORWARD_TIMEOUT`.
const DNS_FORWARD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the proxy has to end once it was told to end at once.
const FORCED_END: Duration = Duration::from_secs(3);
const FIRST_RESTART: Duration = Duration::from_millis(200);
const LAST_RESTART: Duration = Duration::from_secs(10);
/// A proxy that ran this long is restarted without delay.
const STABLE: Duration = Duration::from_secs(60);

/// Why an agent cannot start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error("{path}: {error}", path = .0.display(), error = .1)]
    Path(PathBuf, io::Error),
    #[error("DNS on {0}: {1}")]
    Dns(std::net::SocketAddr, io::Error),
    #[error("health and statistics: {0}")]
    Status(io::Error),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("{0} ended: {1}")]
    Ended(&'static str, String),
}

/// An agent whose sockets are open.
pub struct Agent {
    config: Arc<AgentConfig>,
    runner: Arc<dyn ProxyRunner>,
    secrets: SecretStore,
    renewal: Renewal,
    sds: Option<SdsServer>,
    dns: Option<DnsServer>,
    pages: Vec<(&'static str, Page)>,
    status: Arc<Status>,
}

/// How the end began.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Drain,
    AtOnce,
}

impl Agent {
    /// Opens everything that a proxy or a workload may ask for.
    ///
    /// # Errors
    /// A socket cannot be opened, a folder not be made; the error says which.
    pub async fn build(config: AgentConfig, runner: Arc<dyn ProxyRunner>) -> Result<Self, AgentError> {
        let config = Arc::new(config);
        make_private_dir(&config.runtime_dir)?;
        let secrets = SecretStore::new();
        let mut trust = TrustFile::new(&config.root_cert_file);
        trust.refresh(&secrets);
        let authority = Arc::new(ControlAuthority::new(&config, &secrets)?);
        let identity = config.workload.identity();
        let mut renewal = Renewal::new(identity, config.cert_ttl, authority, secrets.clone(), trust);
        let metrics = Arc::<Metrics>::default();
        renewal.metrics = metrics.clone();
        let dns = open_dns(&config).await?;
        let status = Status::new(config.ports, secrets.clone(), metrics, dns.as_ref().map(DnsServer::tables));
        let in_process = runner.in_process();
        let sds = if in_process { None } else { Some(open_sds(&config, &secrets)?) };
        let pages = open_pages(&status, in_process).await.map_err(AgentError::Status)?;
        Ok(Agent { config, runner, secrets, renewal, sds, dns, pages, status })
    }

    /// The secrets, for those who share this process.
    pub fn secrets(&self) -> SecretStore {
        self.secrets.clone()
    }

    /// Runs until `drain` begins, then drains the proxy for the configured time, and ends it. The
    /// guard is held until then; a forced drain ends everything at once.
    ///
    /// # Errors
    /// A part that must run ended by itself.
    pub async fn run(self, drain: DrainGuard) -> Result<(), AgentError> {
        let proxy_drain = Drain::new();
        let supervisor = Supervisor {
            runner: self.runner.clone(),
            start: ProxyStart {
                bootstrap: Arc::new(bootstrap(&self.config, !self.runner.in_process())),
                config: self.config.clone(),
                secrets: self.secrets.clone(),
            },
            status: self.status.clone(),
        };
        let mut supervised = tokio::spawn(supervisor.run(proxy_drain.guard()));
        let (config, status) = (self.config.clone(), self.status.clone());
        let mut parts = self.start(&drain.watch());
        let end = tokio::select! {
            () = drain.draining() => End::Drain,
            () = status.drain.notified() => End::Drain,
            () = status.quit.notified() => End::AtOnce,
            Some((name, end)) = parts.next_end() => {
                proxy_drain.drain(Duration::ZERO).await;
                let _ = tokio::time::timeout(FORCED_END, &mut supervised).await;
                return Err(AgentError::Ended(name, end.to_string()));
            }
        };
        if end == End::Drain {
            tracing::info!(seconds = config.drain.as_secs_f64(), "draining");
            proxy_drain.start();
            tokio::select! {
                () = tokio::time::sleep(config.drain) => {}
                () = drain.forced() => {}
                () = status.quit.notified() => {}
                _ = &mut supervised => {}
            }
        }
        proxy_drain.drain(Duration::ZERO).await;
        if !supervised.is_finished() && tokio::time::timeout(FORCED_END, supervised).await.is_err() {
            tracing::warn!("the proxy did not end in time");
        }
        parts.stop().await;
        Ok(())
    }

    /// Everything but the proxy.
    fn start(self, drain: &DrainWatch) -> Tasks<String> {
        let mut parts = Tasks::new();
        let renewal = self.renewal;
        parts.spawn("certificate renewal", async move {
            renewal.run().await;
            Ok(())
        });
        if let Some(sds) = self.sds {
            parts.spawn("SDS", sds.serve(drain.clone()));
        }
        if let Some(dns) = self.dns {
            let (tables, watch) = (dns.tables(), drain.clone());
            parts.spawn("DNS", async move {
                dns.serve(watch).await;
                Ok(())
            });
            parts.spawn("name table", follow_names(self.config.clone(), self.secrets.clone(), tables));
        }
        for (name, page) in self.pages {
            parts.spawn(name, page.serve());
        }
        parts
    }
}

async fn open_dns(config: &AgentConfig) -> Result<Option<DnsServer>, AgentError> {
    let Some(listen) = config.dns else { return Ok(None) };
    let text = std::fs::read_to_string(&config.resolv_conf)
        .map_err(|error| AgentError::Path(config.resolv_conf.clone(), error))?;
    let conf = ResolvConf::parse(&text);
    let context = SearchContext {
        namespace: config.workload.namespace.clone(),
        service_domain: format!("svc.{}", config.workload.domain).into(),
        search: conf.search,
    };
    let resolvers = conf.nameservers.into_iter().filter(|server| *server != listen).collect();
    let dns = DnsConfig { listen, context, resolvers, forward_timeout: DNS_FORWARD_TIMEOUT };
    DnsServer::bind(dns).await.map(Some).map_err(|error| AgentError::Dns(listen, error))
}

fn open_sds(config: &AgentConfig, secrets: &SecretStore) -> Result<SdsServer, AgentError> {
    let socket = sds_socket(&config.runtime_dir);
    SdsServer::bind(&socket, secrets.clone()).map_err(|error| AgentError::Path(socket, error))
}

/// Envoy has listeners of its own for readiness and statistics.
async fn open_pages(status: &Arc<Status>, in_process: bool) -> io::Result<Vec<(&'static str, Page)>> {
    let mut pages = vec![("status", Page::status(status).await?)];
    if in_process {
        pages.push(("health", Page::health(status).await?));
        pages.push(("statistics", Page::prometheus(status).await?));
    }
    Ok(pages)
}

/// The name table's stream, from the first certificate on.
async fn follow_names(
    config: Arc<AgentConfig>,
    secrets: SecretStore,
    tables: NameTableHandle,
) -> Result<(), String> {
    secrets.certificate_slot(WORKLOAD_CERTIFICATE).wait().await;
    let client = names::subscribe(&config, &secrets, tables).map_err(|error| error.to_string())?;
    // The client runs until it is dropped.
    std::future::pending::<()>().await;
    drop(client);
    Ok(())
}

/// Keeps the proxy running.
struct Supervisor {
    runner: Arc<dyn ProxyRunner>,
    start: ProxyStart,
    status: Arc<Status>,
}

impl Supervisor {
    /// Until a drain has ended the proxy. It starts with the first certificate: before that it
    /// could not even talk to the control plane.
    async fn run(self, drain: DrainGuard) {
        let (certificate, roots) = (
            self.start.secrets.certificate_slot(WORKLOAD_CERTIFICATE),
            self.start.secrets.roots_slot(TRUST_BUNDLE),
        );
        tokio::select! {
            _ = async { tokio::join!(certificate.wait(), roots.wait()) } => {}
            () = drain.draining() => return,
        }
        let mut pause = FIRST_RESTART;
        loop {
            let began = Instant::now();
            self.status.set_running(true);
            let ended = self.runner.run(self.start.clone(), drain.clone()).await;
            self.status.set_running(false);
            if drain.is_draining() {
                return;
            }
            if began.elapsed() > STABLE {
                pause = FIRST_RESTART;
            }
            let reason = ended.err().unwrap_or_else(|| "ended without being asked".to_owned());
            tracing::error!(reason, again_in = ?pause, "the proxy ended");
            Metrics::add(&self.status.metrics.proxy_restarts);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = drain.draining() => return,
            }
            pause = (pause * 2).min(LAST_RESTART);
        }
    }
}

/// Keys pass through here (the SDS socket), so nobody else may look.
fn make_private_dir(path: &Path) -> Result<(), AgentError> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| AgentError::Path(path.to_owned(), error))
}
