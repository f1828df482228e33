//! `lateen`: every role of the mesh in one binary. This file only chooses the command; what a
//! command does is in `commands/`, one file (or folder) each.

mod args;
mod commands;

use std::process::ExitCode;

use clap::Parser;

/// Small, and gives memory back after a burst; musl's own allocator would do neither.
#[global_allocator]
static ALLOCATOR: net::Allocator = net::Allocator;

fn main() -> ExitCode {
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            let command = std::env::args().nth(1);
            // Asking for help is no error, and goes to standard output.
            return match error.use_stderr() {
                true => ExitCode::from(args::usage_status(command.as_deref())),
                false => ExitCode::SUCCESS,
            };
        }
    };
    match commands::run(args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("lateen: {error:#}");
            ExitCode::FAILURE
        }
    }
}
