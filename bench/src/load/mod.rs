//! What makes requests, and what it found.

pub mod h2load;
pub mod open_loop;
pub mod websocket;
pub mod wrk;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::machine::Core;

/// What a load generator counted.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Outcome {
    pub requests: u64,
    pub per_second: f64,
    /// Failed requests: no answer, or not the one that was asked for.
    pub errors: u64,
}

/// Runs a load generator to its end and returns what it printed.
fn output(
    core: Core,
    folder: &Path,
    program: &str,
    args: &[String],
    limit: Duration,
) -> anyhow::Result<String> {
    let limit = format!("{}", limit.as_secs() + 10);
    let output = Command::new("setpriv")
        .args(["--pdeathsig", "SIGKILL", "--", "timeout", "--signal=KILL", &limit])
        .args(["taskset", "-c", &core.to_string(), program])
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{program} {} ended with {}:\n{text}{errors}", args.join(" "), output.status);
    }
    Ok(text)
}
