//! Commands inside a container that runs: `lateen exec`, and exec probes.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Command;

use anyhow::{Context, bail};
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl::set_no_new_privs;

use crate::init::Step;

/// A command that runs `command` beside process `pid`, in a process group of its own.
pub fn enter(pid: i32, command: &[String]) -> Command {
    let step = Step::Enter { pid, command: command.iter().map(OsString::from).collect() };
    let mut enter = Command::new(crate::init::binary());
    enter.arg0("lateen").args(step.arguments()).process_group(0);
    enter
}

/// Enters the namespaces of `pid`, with its user, environment and limits of privilege, runs
/// `command` and returns its exit status. The calling process must have one thread, and is of no
/// use for anything else afterwards.
///
/// # Errors
/// The process is gone or starting, or the command cannot be started.
pub fn run(pid: i32, command: &[OsString]) -> anyhow::Result<u8> {
    let (program, arguments) = command.split_first().context("no command")?;
    let (uid, gid) = owner(pid)?;
    if uid == 0 {
        bail!("the container is starting");
    }
    let environment = environment(pid)?;
    enter_namespaces(pid)?;
    std::env::set_current_dir("/")?;
    set_no_new_privs()?;
    let mut child = Command::new(program);
    child.args(arguments).env_clear().envs(environment).uid(uid).gid(gid);
    let status = child.status().with_context(|| program.display().to_string())?;
    Ok(status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1).clamp(0, 255) as u8)
}

fn enter_namespaces(pid: i32) -> anyhow::Result<()> {
    let kinds = [
        ("ipc", CloneFlags::CLONE_NEWIPC),
        ("uts", CloneFlags::CLONE_NEWUTS),
        ("net", CloneFlags::CLONE_NEWNET),
        ("pid", CloneFlags::CLONE_NEWPID),
        // The last: from here on paths mean something else.
        ("mnt", CloneFlags::CLONE_NEWNS),
    ];
    let mut open = Vec::new();
    for (name, kind) in kinds {
        let path = format!("/proc/{pid}/ns/{name}");
        open.push((name, kind, File::open(&path).with_context(|| path)?));
    }
    for (name, kind, file) in &open {
        setns(file, *kind).with_context(|| format!("enter {name} namespace"))?;
    }
    Ok(())
}

/// Effective user and group of a process.
fn owner(pid: i32) -> anyhow::Result<(u32, u32)> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| path)?;
    let field = |name: &str| -> Option<u32> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    field("Uid:").zip(field("Gid:")).context("process status")
}

fn environment(pid: i32) -> anyhow::Result<Vec<(OsString, OsString)>> {
    let path = format!("/proc/{pid}/environ");
    let bytes = fs::read(&path).with_context(|| path)?;
    let pairs = bytes.split(|byte| *byte == 0).filter_map(|pair| {
        let equals = pair.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (pair.get(..equals)?, pair.get(equals + 1..)?);
        Some((OsString::from_vec(name.to_vec()), OsString::from_vec(value.to_vec())))
    });
    Ok(pairs.collect())
}
