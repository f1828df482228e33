//! `lateen status`: the pods of the mesh that runs on this machine, and their memory.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// How to print it
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// The folder that `lateen up` was given
    #[arg(long, value_name = "DIR", default_value = super::up::RUNTIME_DIR)]
    runtime_dir: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
}

pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    println!("{}", local::status(&args.runtime_dir, args.output == Output::Json)?);
    Ok(ExitCode::SUCCESS)
}
