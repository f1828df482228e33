//! The hidden command behind the processes of a pod; see the crate `local`.

use std::ffi::OsString;
use std::process::ExitCode;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    step: Vec<OsString>,
}

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    match local::Step::parse(&args.step) {
        Some(step) => Ok(ExitCode::from(step.run())),
        None => anyhow::bail!("this command is `lateen up`'s own"),
    }
}
