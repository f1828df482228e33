//! `lateen up`: a mesh on this machine. What it does is in the crate `local`; here is what it is
//! told, and how the other roles of this binary are started.

mod roles;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use istio_api::MeshConfig;

use roles::{ProxyKind, UpRoles};

/// Where a mesh keeps what it needs while it runs.
pub const RUNTIME_DIR: &str = "/run/lateen";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files and folders of YAML: Deployments, Services and Istio's kinds; followed for changes
    #[arg(required = true, value_name = "FILES")]
    files: Vec<PathBuf>,
    /// Port of 127.0.0.1 that leads to the ingress gateway; 0 picks a free one
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    gateway_port: u16,
    /// Which proxy runs in pods: lateen, envoy (found in PATH), or envoy=PATH
    #[arg(long, value_name = "PROXY", default_value = "lateen")]
    proxy: ProxyKind,
    /// What stands in for an image, which is not pulled: NAME (or the beginning of it) and a command
    #[arg(long = "image", value_name = "NAME=COMMAND", value_parser = image)]
    images: Vec<(String, String)>,
    /// File that holds a MeshConfig
    #[arg(long, value_name = "FILE")]
    mesh_config: Option<PathBuf>,
    /// Worker threads of each proxy whose configuration does not say
    #[arg(long, value_name = "N", default_value_t = 1)]
    concurrency: u32,
    /// Validity of workload certificates
    #[arg(long, value_name = "DURATION", value_parser = stdx::duration::parse)]
    cert_ttl: Option<Duration>,
    /// Folder for what the mesh needs while it runs; removed at its end
    #[arg(long, value_name = "DIR", default_value = RUNTIME_DIR)]
    runtime_dir: PathBuf,
}

fn image(text: &str) -> Result<(String, String), String> {
    let (name, command) = text.split_once('=').ok_or("needs the form NAME=COMMAND")?;
    Ok((name.to_owned(), command.to_owned()))
}

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    // What is wrong with files is logged by the control plane, which reads them too.
    observe::init(observe::LogFormat::Text, "warn,source=off").map_err(anyhow::Error::msg)?;
    let trust_domain = trust_domain(args.mesh_config.as_deref())?;
    let mesh_config = args.mesh_config.map(std::path::absolute).transpose().context("working directory")?;
    let options = local::Options {
        files: args.files,
        runtime_dir: args.runtime_dir,
        gateway_port: args.gateway_port,
        images: args.images,
        trust_domain: trust_domain.clone(),
        mesh_config: mesh_config.clone(),
    };
    let roles = UpRoles::new(args.proxy, args.concurrency, args.cert_ttl, mesh_config, trust_domain);
    Ok(ExitCode::from(local::run(options, Box::new(roles))?))
}

/// As the control plane will choose it.
fn trust_domain(mesh_config: Option<&std::path::Path>) -> anyhow::Result<String> {
    let Some(file) = mesh_config else { return Ok(MeshConfig::default().trust_domain.to_string()) };
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    Ok(istio_api::parse_mesh_config(&file.display().to_string(), &text).config.trust_domain.to_string())
}
