//! `lateen control`: the control plane. Reads configuration, translates it for connected proxies
//! and serves it, signs their certificates, and says what it does on the monitoring port.

mod authority;
mod configz;
mod exposition;
mod mesh_domain;
mod metrics;
mod monitoring;
mod push;
mod refusals;
mod registrar;
mod servers;
mod syncz;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use lifecycle::{Readiness, Shutdown, Tasks};
use model::Str;
use source::{Debounce, HubBuilder};
use tokio::net::TcpListener;
use xds_server::{Options, XdsServer};

use mesh_domain::MeshDomain;
use metrics::Metrics;
use registrar::{Machines, Registrar};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// File or folder of YAML to serve, followed for changes; can be given several times
    #[arg(long = "config-dir", value_name = "PATH", required = true)]
    config_dirs: Vec<PathBuf>,
    /// File that holds a MeshConfig
    #[arg(long, value_name = "FILE")]
    mesh_config: Option<PathBuf>,
    /// Addresses for Services that have none, as in 10.96.0.0/16
    #[arg(long, value_name = "CIDR")]
    service_cidr: Option<registry::Block>,
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    bind: IpAddr,
    /// Plaintext xDS, for whoever reaches the address; 0 picks a free port
    #[arg(long, value_name = "PORT", default_value_t = 15010)]
    xds_port: u16,
    /// xDS and certificates over TLS; 0 picks a free port
    #[arg(long, value_name = "PORT", default_value_t = 15012)]
    secure_xds_port: u16,
    /// Metrics, readiness and debug pages over HTTP; 0 picks a free port
    #[arg(long, value_name = "PORT", default_value_t = 15014)]
    monitoring_port: u16,
    /// Folder of the certificate authority (ca-key.pem, ca-cert.pem, root-cert.pem) and of the key
    /// that signs tokens (token-key.pem); what is missing is made
    #[arg(long, value_name = "DIR", default_value = "lateen-ca")]
    ca_dir: PathBuf,
    /// Trust domain of identities; the MeshConfig's by default
    #[arg(long, value_name = "NAME")]
    trust_domain: Option<String>,
    /// Validity of certificates whose request names none
    #[arg(long, value_name = "DURATION", value_parser = stdx::duration::parse)]
    cert_ttl: Option<Duration>,
    /// Longest validity of a certificate; --cert-ttl if that is given, else 90 days
    #[arg(long, value_name = "DURATION", value_parser = stdx::duration::parse)]
    max_cert_ttl: Option<Duration>,
    /// DNS domain of the mesh
    #[arg(long, value_name = "NAME", default_value = "cluster.local")]
    domain: String,
    /// Cluster id of workloads
    #[arg(long, value_name = "NAME", default_value = "Kubernetes")]
    cluster_id: String,
    /// Network of workloads
    #[arg(long, value_name = "NAME", default_value = "")]
    network: String,
    /// Further DNS name or address for the certificate of the TLS port; can be given several times
    #[arg(long, value_name = "NAME")]
    advertise: Vec<String>,
    /// Log as one JSON object per line
    #[arg(long)]
    log_json: bool,
}

/// Runs until a signal ends it, or a part of it fails.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let format = if args.log_json { observe::LogFormat::Json } else { observe::LogFormat::Text };
    observe::init(format, "info").map_err(anyhow::Error::msg)?;
    // Translation has a thread of its own; what is left waits for sockets.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .thread_keep_alive(Duration::from_secs(2))
        .build()
        .context("starting the runtime")?;
    let end = runtime.block_on(serve(args));
    // Clients reconnect by themselves; nothing that is under way is worth waiting for.
    runtime.shutdown_background();
    end.map(|()| ExitCode::SUCCESS)
}

async fn serve(args: Args) -> anyhow::Result<()> {
    let mut shutdown = Shutdown::new().context("installing signal handlers")?;
    let readiness = Readiness::new();
    let listening = readiness.token("listeners");

    let domain = MeshDomain::choose(args.trust_domain.as_deref(), args.mesh_config.as_deref())?;
    let authority = authority::open(&args, &domain)?;
    let plain = listen(args.bind, args.xds_port).await?;
    let secure = listen(args.bind, args.secure_xds_port).await?;
    let monitoring = listen(args.bind, args.monitoring_port).await?;
    let (plain_at, secure_at, monitoring_at) =
        (plain.local_addr()?, secure.local_addr()?, monitoring.local_addr()?);

    let settings = registry::Settings {
        features: super::features::of_environment(),
        domain: Str::from(&args.domain),
        service_block: args.service_cidr,
        cluster_id: Str::from(&args.cluster_id),
        network: Str::from(&args.network),
    };
    let debounce = Debounce::from_env(|name| std::env::var(name).ok()).map_err(anyhow::Error::msg)?;
    let files = source_file::FileSource::new(args.config_dirs).mesh_config(args.mesh_config);
    let (machines, door) = Machines::new(registrar::GRACE);
    let mut builder = HubBuilder::new(settings, debounce, &readiness).source(files).source(machines);
    if let Some(override_) = domain.as_source() {
        builder = builder.source(override_);
    }
    let (hub, hub_task) = builder.build();

    let metrics = Arc::new(Metrics::default());
    let discovery = discovery::Discovery::start(metrics.clone()).context("starting translation")?;
    let registrar = Registrar::new(discovery.clone(), hub.clone(), door);
    let xds = XdsServer::new(Arc::new(registrar), metrics.clone(), Options::default());
    let pages = monitoring::Pages {
        hub: hub.clone(),
        status: xds.status(),
        metrics: metrics.clone(),
        authority: authority.counters.clone(),
        root_not_after: authority.issuer.ca().not_after(),
        readiness: readiness.clone(),
        started: std::time::Instant::now(),
    };

    let mut tasks: Tasks<String> = Tasks::new();
    tasks.spawn("sources", hub_task.run());
    tasks.spawn("pushes", push::run(hub.clone(), discovery.clone(), metrics));
    tasks.spawn("findings of translation", push::report_findings(hub.clone(), discovery));
    tasks.spawn("findings of proxies", refusals::report(hub.clone(), xds.status()));
    tasks.spawn("trust domain", domain.watch(hub));
    tasks.spawn("plain xDS", servers::plain(plain, xds.clone()));
    tasks.spawn("secure xDS", servers::secure(secure, xds, authority));
    tasks.spawn("monitoring", monitoring::serve(monitoring, pages));
    listening.ready();
    tracing::info!(xds = %plain_at, secure_xds = %secure_at, monitoring = %monitoring_at, "control plane is listening");

    tokio::select! {
        signal = shutdown.recv() => {
            tracing::info!(%signal, "control plane ends");
            Ok(())
        }
        () = announce(readiness) => unreachable!("announcing never ends"),
        end = tasks.next_end() => match end {
            Some((name, end)) => anyhow::bail!("{name} {end}"),
            None => anyhow::bail!("nothing is left to run"),
        },
    }
}

/// Says when everything is there.
async fn announce(readiness: Readiness) {
    readiness.wait().await;
    tracing::info!("control plane is ready");
    std::future::pending().await
}

async fn listen(address: IpAddr, port: u16) -> anyhow::Result<TcpListener> {
    let address = SocketAddr::new(address, port);
    TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))
}
