//! Questions about a mesh that runs: `lateen status`, `lateen exec`.

use std::ffi::OsString;
use std::path::Path;

use crate::status::Status;
use crate::{exec, report};

/// The state of the mesh that runs in `runtime_dir`, for people or as JSON.
///
/// # Errors
/// No mesh runs there.
pub fn status(runtime_dir: &Path, json: bool) -> anyhow::Result<String> {
    let status = Status::measure(runtime_dir)?;
    Ok(if json { serde_json::to_string_pretty(&status)? } else { report::status_table(&status) })
}

/// Runs a command in a container and returns its exit status. Must be called before the process
/// has a second thread.
///
/// # Errors
/// There is no such container, or the command cannot be started.
pub fn exec_in(
    runtime_dir: &Path,
    pod: &str,
    container: Option<&str>,
    command: &[OsString],
) -> anyhow::Result<u8> {
    let process = Status::measure(runtime_dir)?.process(pod, container)?;
    exec::run(process.cast_signed(), command)
}
