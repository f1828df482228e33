//! `lateen manifest`: what is installed in a cluster, as YAML.

use std::io::Write;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the definitions of Istio's kinds, to be piped to `kubectl apply -f -`
    Generate,
}

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Command::Generate = args.command;
    // Whoever reads may have had enough.
    let _ = std::io::stdout().write_all(istio_api::schema::definitions().as_bytes());
    Ok(ExitCode::SUCCESS)
}
