//! The last step before the application: its own view of the file system, its user, `exec`.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_no_new_privs;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};

use super::rootfs;
use crate::wire::ContainerSpec;

/// Becomes the container that the file describes.
///
/// # Errors
/// A step before `exec` or `exec` itself failed.
pub fn run(file: &Path) -> anyhow::Result<u8> {
    let text = std::fs::read(file).with_context(|| file.display().to_string())?;
    let spec: ContainerSpec = serde_json::from_slice(&text).context("container")?;
    unshare(CloneFlags::CLONE_NEWNS).context("mount namespace")?;
    rootfs::enter(&spec.root, &spec.mounts)?;
    // A proxy has as many sockets as it has connections; applications are not worse off.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most).context("limit of open files")?;
    become_user(spec.uid, spec.gid)?;
    let directory = spec.working_dir.as_deref().unwrap_or("/");
    std::env::set_current_dir(directory).with_context(|| format!("workingDir {directory}"))?;
    let (program, arguments) = spec.command.split_first().context("no command")?;
    let error = Command::new(program).args(arguments).env_clear().envs(spec.env).exec();
    Err(error).with_context(|| program.clone())
}

/// Gives up root for good: no groups, no way back, no set-user-id programs.
pub fn become_user(uid: u32, gid: u32) -> anyhow::Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    setgroups(&[gid]).context("groups")?;
    setresgid(gid, gid, gid).context("group")?;
    setresuid(uid, uid, uid).context("user")?;
    set_no_new_privs().context("no_new_privs")
}
