//! `lateen proxy`: the data plane from an Envoy bootstrap file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use lifecycle::{Drain, Shutdown};
use observe::LogFormat;
use proxy::{Proxy, ProxyConfig};
use xds_codec::json::ReadBootstrap;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Envoy's v3 bootstrap, in YAML or JSON
    #[arg(short = 'c', long, value_name = "FILE")]
    config_path: PathBuf,
    /// Worker threads; 0 means one per CPU
    #[arg(long, value_name = "N", default_value_t = 0)]
    concurrency: usize,
    /// Where to listen for administration, in place of the file's `admin.address`
    #[arg(long, value_name = "IP:PORT")]
    admin: Option<SocketAddr>,
    /// Seconds that open connections have to end after SIGTERM
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    drain_time_s: u64,
    /// Format of log lines: text or json
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    log_format: LogFormat,
    /// Check the file and the resources in it, and exit
    #[arg(long)]
    validate: bool,
}

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    observe::init(args.log_format, "info").map_err(anyhow::Error::msg)?;
    let mut config = ProxyConfig::of_file(read_bootstrap(&args.config_path)?);
    config.concurrency = args.concurrency;
    config.admin = args.admin;
    config.drain_time = Duration::from_secs(args.drain_time_s);
    if args.validate {
        proxy::check(&config).with_context(|| args.config_path.display().to_string())?;
        println!("configuration {} is valid", args.config_path.display());
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(config, &args.config_path))
}

fn read_bootstrap(path: &Path) -> anyhow::Result<ReadBootstrap> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let is_json = path.extension().is_some_and(|extension| extension == "json");
    let read = match is_json {
        true => xds_codec::json::bootstrap_from_json(&text),
        false => xds_codec::json::bootstrap_from_yaml(&text),
    };
    let read = read.with_context(|| path.display().to_string())?;
    for ignored in &read.ignored {
        tracing::warn!("{}: without effect: {ignored}", path.display());
    }
    Ok(read)
}

async fn serve(config: ProxyConfig, path: &Path) -> anyhow::Result<ExitCode> {
    let mut signals = Shutdown::new()?;
    let proxy = Proxy::build(config).with_context(|| path.display().to_string())?;
    let handle = proxy.handle();
    match handle.admin() {
        Some(admin) => tracing::info!(%admin, "proxy is up"),
        None => tracing::info!("proxy is up"),
    }
    let drain = Drain::new();
    let running = proxy.run(drain.watch());
    tokio::pin!(running);
    tokio::select! {
        ended = &mut running => return Ok(ended.map(|()| ExitCode::SUCCESS)?),
        signal = signals.recv() => tracing::info!(%signal, "ending"),
    }
    drain.start();
    tokio::select! {
        ended = &mut running => ended?,
        // A second signal: now, please.
        _ = signals.recv() => {
            handle.quit();
            running.await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
