//! `lateen agent`: what stands beside a proxy, and the proxy itself: ours in this process, or a
//! stock Envoy as a child.

mod runner;
mod workload;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use agent::{Agent, AgentConfig, Ports, ProxyRunner};
use anyhow::Context as _;
use ir::bootstrap::Json;
use lifecycle::{Drain, Shutdown};
use model::Str;
use observe::LogFormat;

use runner::ProxyChoice;

/// Istio's `terminationDrainDuration`.
const DRAIN: Duration = Duration::from_secs(5);
/// More than the proxy's own drain: for what must end after it.
const LAST_BREATH: Duration = Duration::from_secs(5);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Role of the proxy: sidecar or router (a gateway)
    #[arg(value_name = "ROLE", default_value = "sidecar", value_parser = workload::role)]
    role: model::NodeType,
    /// Name of the pod
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    pod: String,
    /// Namespace of the pod
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE")]
    namespace: String,
    /// Service account of the pod; the certificate is for it
    #[arg(long, value_name = "NAME", env = "SERVICE_ACCOUNT", default_value = "default")]
    service_account: String,
    /// Address of the pod; several times or with commas if there are several
    #[arg(long = "ip", value_name = "ADDRESS", env = "INSTANCE_IP", value_delimiter = ',', required = true)]
    ips: Vec<IpAddr>,
    /// Label of the pod; can be given several times
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = workload::pair)]
    labels: Vec<(String, String)>,
    /// File of labels as Kubernetes' downward API writes it (KEY="VALUE" lines)
    #[arg(long, value_name = "FILE")]
    labels_file: Option<PathBuf>,
    /// Annotation of the pod; can be given several times
    #[arg(long = "annotation", value_name = "KEY=VALUE", value_parser = workload::pair)]
    annotations: Vec<(String, String)>,
    /// Name of the workload (a Deployment's); the pod's by default
    #[arg(long, value_name = "NAME", env = "ISTIO_META_WORKLOAD_NAME", default_value = "")]
    workload: String,
    /// The control plane's TLS port
    #[arg(long, value_name = "HOST:PORT", env = "CA_ADDR", default_value = "istiod.istio-system.svc:15012")]
    control_address: String,
    /// DNS name that the control plane's certificate must have
    #[arg(long, value_name = "NAME", default_value = "istiod.istio-system.svc")]
    control_san: String,
    /// Token of the service account
    #[arg(long, value_name = "FILE", default_value = "/var/run/secrets/tokens/istio-token")]
    token_file: PathBuf,
    /// Roots of the mesh
    #[arg(long, value_name = "FILE", default_value = "/var/run/secrets/istio/root-cert.pem")]
    root_cert_file: PathBuf,
    /// Validity to ask for
    #[arg(long, value_name = "DURATION", env = "SECRET_TTL", default_value = "24h", value_parser = stdx::duration::parse)]
    cert_ttl: Duration,
    /// Folder for the socket and the bootstrap of a proxy that is a process of its own
    #[arg(long, value_name = "DIR", default_value = "/var/run/lateen-agent")]
    runtime_dir: PathBuf,
    /// Which proxy: lateen, or envoy[=PATH]
    #[arg(long, value_name = "PROXY", default_value = "lateen")]
    proxy: ProxyChoice,
    /// Worker threads of the proxy; one per CPU where its configuration does not say
    #[arg(long, value_name = "N")]
    concurrency: Option<u32>,
    /// The proxy's administration, on 127.0.0.1; 15000 where its configuration does not say
    #[arg(long, value_name = "PORT")]
    admin_port: Option<u16>,
    /// The agent's health and merged statistics; 15020 where its configuration does not say
    #[arg(long, value_name = "PORT")]
    status_port: Option<u16>,
    /// Readiness
    #[arg(long, value_name = "PORT", default_value_t = 15021)]
    health_port: u16,
    /// The proxy's statistics
    #[arg(long, value_name = "PORT", default_value_t = 15090)]
    prometheus_port: u16,
    /// Where DNS is answered, or off
    #[arg(long, value_name = "IP:PORT", env = "DNS_PROXY_ADDR", default_value = "127.0.0.1:15053", value_parser = workload::dns)]
    dns: workload::Dns,
    /// Resolvers for names that the mesh does not know
    #[arg(long, value_name = "FILE", default_value = "/etc/resolv.conf")]
    resolv_conf: PathBuf,
    /// How long the proxy drains after SIGTERM; 5s where its configuration does not say
    #[arg(long, value_name = "DURATION", env = "TERMINATION_DRAIN_DURATION", value_parser = stdx::duration::parse)]
    drain_duration: Option<Duration>,
    /// Trust domain of the workload
    #[arg(long, value_name = "NAME", env = "TRUST_DOMAIN", default_value = "cluster.local")]
    trust_domain: String,
    /// DNS domain of the mesh
    #[arg(long, value_name = "NAME", default_value = "cluster.local")]
    domain: String,
    /// Cluster of the workload
    #[arg(long, value_name = "NAME", env = "ISTIO_META_CLUSTER_ID", default_value = "Kubernetes")]
    cluster_id: String,
    /// Mesh of the workload; the trust domain by default
    #[arg(long, value_name = "NAME", env = "ISTIO_META_MESH_ID")]
    mesh_id: Option<String>,
    /// Network of the workload
    #[arg(long, value_name = "NAME", env = "ISTIO_META_NETWORK", default_value = "")]
    network: String,
    /// Where the workload is: REGION/ZONE/SUBZONE
    #[arg(long, value_name = "PLACE", default_value = "")]
    locality: String,
    /// Format of log lines: text or json
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
    /// Settings of the proxy, a ProxyConfig as JSON or YAML; the pod's annotation proxy.istio.io/config by default
    #[arg(long, value_name = "CONFIG", env = "PROXY_CONFIG")]
    proxy_config: Option<String>,
    /// Level of Envoy's own log
    #[arg(long, value_name = "LEVEL", default_value = "warning")]
    proxy_log_level: String,
}

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    observe::init(args.log_format, "info").map_err(anyhow::Error::msg)?;
    let runner = args.proxy.runner(&args.proxy_log_level)?;
    let config = config(args)?;
    // What carries traffic has threads of its own; everything else is seldom and small.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .thread_keep_alive(Duration::from_secs(2))
        .build()
        .context("starting the runtime")?;
    let end = runtime.block_on(serve(config, runner));
    runtime.shutdown_timeout(Duration::from_millis(300));
    end.map(|()| ExitCode::SUCCESS)
}

fn config(args: Args) -> anyhow::Result<AgentConfig> {
    let settings = workload::proxy_settings(&args);
    let default = Ports::default();
    let ports = Ports {
        admin: args.admin_port.or(settings.admin_port).unwrap_or(default.admin),
        status: args.status_port.or(settings.status_port).unwrap_or(default.status),
        health: args.health_port,
        prometheus: args.prometheus_port,
    };
    let mut workload = workload::config(&args)?;
    if let Some(mode) = settings.interception {
        workload.metadata.entry("INTERCEPTION_MODE".into()).or_insert_with(|| Json::Text(mode.name().into()));
    }
    Ok(AgentConfig {
        workload,
        control_address: Str::from(args.control_address),
        control_san: Str::from(args.control_san),
        token_file: args.token_file,
        root_cert_file: args.root_cert_file,
        cert_ttl: args.cert_ttl,
        runtime_dir: args.runtime_dir,
        concurrency: args.concurrency.or(settings.concurrency).filter(|count| *count > 0),
        ports,
        dns: args.dns.0,
        resolv_conf: args.resolv_conf,
        drain: args.drain_duration.or(settings.termination_drain).unwrap_or(DRAIN),
        listener_drain: settings.drain_duration,
        log_flush_interval: settings.file_flush_interval,
        log_flush_kib: settings.file_flush_min_size_kb.filter(|kib| *kib > 0),
        max_connections: settings.connections.and_then(|connections| connections.max_connections),
    })
}

async fn serve(config: AgentConfig, runner: Arc<dyn ProxyRunner>) -> anyhow::Result<()> {
    let mut signals = Shutdown::new().context("installing signal handlers")?;
    let (patience, identity) = (config.drain + LAST_BREATH, config.workload.identity());
    let dns: Option<SocketAddr> = config.dns;
    let agent = Agent::build(config, runner).await?;
    tracing::info!(%identity, ?dns, "agent is up");
    let drain = Drain::new();
    let running = agent.run(drain.guard());
    tokio::pin!(running);
    tokio::select! {
        ended = &mut running => return Ok(ended?),
        signal = signals.recv() => tracing::info!(%signal, "ending"),
    }
    let ending = drain.drain(patience);
    tokio::pin!(ending);
    tokio::select! {
        ended = &mut running => ended?,
        _ = &mut ending => {}
        // A second signal: now, please.
        _ = signals.recv() => {}
    }
    Ok(())
}
