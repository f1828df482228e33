//! `lateen exec`: a command in a container of a running mesh, with its namespaces and user.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The pod: its name or the beginning of it, with NAMESPACE/ before if that is needed
    pod: String,
    /// The container; the first one that is not the proxy by default
    #[arg(long, short)]
    container: Option<String>,
    /// The folder that `lateen up` was given
    #[arg(long, value_name = "DIR", default_value = super::up::RUNTIME_DIR)]
    runtime_dir: PathBuf,
    /// The command, after --
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    let status = local::exec_in(&args.runtime_dir, &args.pod, args.container.as_deref(), &args.command)?;
    Ok(ExitCode::from(status))
}
