//! `lateen demo SERVICE`: the services of the examples, so that a mesh can be tried without
//! pulling images. Bookinfo keeps the names, ports, paths, versions and headers of Istio's
//! sample, so that its tutorial files apply unchanged; `echo` says what it received.
//!
//! These are applications: they know nothing of the mesh but the headers a sidecar gives them.

mod bookinfo;
mod client;
mod context;
mod echo;
mod page;
mod productpage;
mod server;

use std::process::ExitCode;

use clap::ValueEnum;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which service to be
    service: Service,

    /// The version that it says it is: v1, v2, v3
    #[arg(long = "service-version", alias = "app-version", env = "SERVICE_VERSION", default_value = "v1")]
    service_version: String,

    /// The TCP port to listen on
    #[arg(long, default_value_t = 9080)]
    port: u16,

    /// For `echo`: a second port that echoes raw bytes
    #[arg(long)]
    tcp_port: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Service {
    Productpage,
    Details,
    Reviews,
    Ratings,
    Echo,
}

/// Serves until SIGTERM or Ctrl-C.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let app = server::App::new(args.service, &args.service_version);
        if let Some(port) = args.tcp_port {
            echo::listen_tcp(port).await?;
        }
        server::serve(app, args.port).await
    })?;
    Ok(ExitCode::SUCCESS)
}
