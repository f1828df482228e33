//! `lateen`: every role of the mesh in one binary. This file only chooses the command; what a
//! command does is in `commands/`, one file (or folder) each.

mod args;
mod commands;

use std::process::ExitCode;

use clap::Parser;

/// Small, and gives memory back after a burst; musl's own allocator would do neither.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = args::Args::parse();
    match commands::run(args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("lateen: {error:#}");
            ExitCode::FAILURE
        }
    }
}
