//! Processes that die with their parent: the holder of a pod's namespaces, and the guard before
//! a child of the supervisor that needs no namespaces.

use std::ffi::OsString;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Command;

use anyhow::{Context, bail};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid};

use super::Step;
use crate::wire::Event;

/// Makes the namespaces of a pod, starts its init in them and waits for it.
///
/// # Errors
/// A namespace could not be made, or the init not started.
pub fn run() -> anyhow::Result<u8> {
    set_pdeathsig(Signal::SIGKILL)?;
    let flags = CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWPID;
    unshare(flags).context("new namespaces")?;
    // Nothing that is mounted from here on is seen outside, and nothing outside comes in.
    let none: Option<&str> = None;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).context("private mounts")?;
    let mut init =
        Command::new(super::binary()).arg0("lateen").args(Step::Init.arguments()).spawn().context("init")?;
    let mut supervisor = socket()?;
    let created = Event::Created { pid: init.id().cast_signed() };
    writeln!(supervisor, "{}", serde_json::to_string(&created)?)?;
    drop(supervisor);
    let status = init.wait()?;
    Ok(status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1).clamp(0, 255) as u8)
}

/// The socket to the supervisor: standard input.
pub fn socket() -> anyhow::Result<UnixStream> {
    let owned = std::io::stdin().as_fd().try_clone_to_owned().context("standard input")?;
    Ok(UnixStream::from(owned))
}

/// Becomes `command` (arguments of this binary), to be killed when the supervisor dies.
///
/// # Errors
/// The supervisor is gone already, or the command could not be started.
pub fn guard(parent: i32, command: &[OsString]) -> anyhow::Result<u8> {
    set_pdeathsig(Signal::SIGKILL)?;
    // It may have died before the line above.
    if getppid() != Pid::from_raw(parent) {
        bail!("the supervisor is gone");
    }
    let error = Command::new(super::binary()).arg0("lateen").args(command).exec();
    Err(error).context("exec")
}
