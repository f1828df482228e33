//! One module per command: its arguments, and `run`, which does it and gives the exit status.

pub mod agent;
pub mod analyze;
pub mod control;
pub mod demo;
pub mod docs;
pub mod exec;
mod features;
mod files;
pub mod local_step;
pub mod logs;
pub mod manifest;
pub mod proxy;
pub mod simulate;
pub mod status;
pub mod up;
pub mod validate;

use std::process::ExitCode;

use crate::args::{Args, Command};

/// Runs the command that was asked for.
pub fn run(args: Args) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::Up(args) => up::run(args),
        Command::Analyze(args) => analyze::run(args),
        Command::Docs(args) => docs::run(args),
        Command::Control(args) => control::run(args),
        Command::Agent(args) => agent::run(args),
        Command::Proxy(args) => proxy::run(args),
        Command::Simulate(args) => simulate::run(args),
        Command::Status(args) => status::run(args),
        Command::Exec(args) => exec::run(args),
        Command::Logs(args) => logs::run(args),
        Command::Validate(args) => validate::run(args),
        Command::Manifest(args) => manifest::run(args),
        Command::Demo(args) => demo::run(args),
        Command::LocalStep(args) => local_step::run(args),
    }
}
