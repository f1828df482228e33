//! Before anything is made: may we, are we alone, and what did an earlier run leave?

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::folder;
use crate::status::Status;

/// A reason not to start that is the user's to mend: exit status 2.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("missing permission: {0}\n  `lateen up` makes network namespaces; run it as root")]
    Permission(String),
    #[error("another `lateen up` ({0}) runs on this machine; there can be one at a time")]
    Busy(String),
    #[error("{0}")]
    Usage(String),
}

/// Everything that a mesh has in its runtime folder.
const OWN: [&str; 6] = [LOCK, "config", "control", "logs", "pods", "status.json"];
const LOCK: &str = "lock";

/// Capabilities by bit, and what they are needed for.
const NEEDED: [(u32, &str); 6] = [
    (21, "CAP_SYS_ADMIN (namespaces and mounts)"),
    (12, "CAP_NET_ADMIN (links, addresses and capture rules)"),
    (7, "CAP_SETUID (processes run as unprivileged users)"),
    (6, "CAP_SETGID (processes run as unprivileged users)"),
    (0, "CAP_CHOWN (files of unprivileged users)"),
    (5, "CAP_KILL (processes of unprivileged users)"),
];

/// Names the permissions that are missing.
///
/// # Errors
/// There are some.
pub fn permissions() -> Result<(), Refusal> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    missing(&status).map_or(Ok(()), |missing| Err(Refusal::Permission(missing)))
}

fn missing(status: &str) -> Option<String> {
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let mask = line.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(0);
    let missing: Vec<&str> =
        NEEDED.iter().filter(|(bit, _)| mask & (1 << bit) == 0).map(|(_, name)| *name).collect();
    if missing.is_empty() { None } else { Some(missing.join(", ")) }
}

/// Held while a mesh runs; the kernel gives it up with the process, however that ends.
pub struct Lock {
    _folder: Flock<File>,
    /// Bound in the abstract name space of the host's network, where the bridge is too: two
    /// runtime folders do not make two meshes.
    _network: std::os::unix::net::UnixListener,
}

/// Takes the lock, in a runtime folder that is made if it is not there.
///
/// # Errors
/// [`Refusal`]: somebody has it, or the folder is somebody else's. Or the folder cannot be made.
pub fn lock(runtime_dir: &Path) -> anyhow::Result<Lock> {
    let network = abstract_lock().map_err(|_| Refusal::Busy(holder(runtime_dir)))?;
    if is_foreign(runtime_dir) {
        let dir = runtime_dir.display();
        return Err(
            Refusal::Usage(format!("--runtime-dir {dir}: has other things in it; it must be empty")).into()
        );
    }
    loop {
        fs::create_dir_all(runtime_dir).with_context(|| runtime_dir.display().to_string())?;
        let path = runtime_dir.join(LOCK);
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.with_context(|| path.display().to_string())?;
        let Ok(held) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else {
            return Err(Refusal::Busy(holder(runtime_dir)).into());
        };
        // Its former holder may have removed the file just before we got the lock.
        let same = |metadata: fs::Metadata| Some((metadata.dev(), metadata.ino()));
        let (ours, named) = (held.metadata().ok().and_then(same), fs::metadata(&path).ok().and_then(same));
        if ours.is_some() && ours == named {
            return Ok(Lock { _folder: held, _network: network });
        }
    }
}

/// Whether the folder has something in it that is not ours: what is in it will be removed.
fn is_foreign(runtime_dir: &Path) -> bool {
    let entries = fs::read_dir(runtime_dir).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| !entry.file_name().to_str().is_some_and(is_own_name))
}

fn is_own_name(name: &str) -> bool {
    OWN.contains(&name.trim_start_matches('.').trim_end_matches(".fresh"))
}

fn abstract_lock() -> std::io::Result<std::os::unix::net::UnixListener> {
    use std::os::linux::net::SocketAddrExt;
    let address = std::os::unix::net::SocketAddr::from_abstract_name(b"lateen-up")?;
    std::os::unix::net::UnixListener::bind_addr(&address)
}

fn holder(runtime_dir: &Path) -> String {
    Status::read(runtime_dir)
        .map_or_else(|_| "in another folder".to_owned(), |status| format!("process {}", status.pid))
}

/// Removes what a run that was killed left: processes that have not ended yet, and its files.
/// Links are removed elsewhere. Returns what there was, for people.
///
/// # Errors
/// A file could not be removed.
pub fn clean(runtime_dir: &Path) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    if let Ok(status) = Status::read(runtime_dir) {
        let pids = status.pods.iter().filter_map(|pod| pod.pid).chain(status.control.pid);
        let left: Vec<i32> = pids.map(u32::cast_signed).filter(|pid| is_ours(*pid)).collect();
        if !left.is_empty() {
            found.push(format!("{} processes", left.len()));
            end(&left);
        }
    }
    let own = |entry: &fs::DirEntry| {
        entry.file_name().to_str().is_some_and(|name| name != LOCK && is_own_name(name))
    };
    for entry in fs::read_dir(runtime_dir)?.flatten().filter(own) {
        let path = entry.path();
        found.push(entry.file_name().to_string_lossy().into_owned());
        if path.is_dir() { folder::remove(&path)? } else { fs::remove_file(&path)? }
    }
    Ok(found)
}

/// Whether the process is one of this program's (numbers are used again) and alive.
fn is_ours(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let Some((name, rest)) = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')) else {
        return false;
    };
    name.starts_with("lateen") && !rest.trim_start().starts_with(['Z', 'X'])
}

/// Removes the lock's file, and the folder if nothing else is in it.
pub fn remove_folder(runtime_dir: &Path) {
    let _ = fs::remove_file(runtime_dir.join(LOCK));
    let _ = fs::remove_dir(runtime_dir);
}

/// They end by themselves when their parent is dead; those that are stuck are killed.
fn end(pids: &[i32]) {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(3) && pids.iter().any(|pid| is_ours(*pid)) {
        for pid in pids.iter().filter(|pid| is_ours(**pid)) {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_capabilities_are_named() {
        assert_eq!(missing("Name:\tx\nCapEff:\t000001ffffffffff\n"), None);
        let some = missing("CapEff:\t0000000000201fff\n");
        assert_eq!(some, None);
        let without = missing("CapEff:\t0000000000200fff\n").unwrap();
        assert!(without.contains("CAP_NET_ADMIN") && !without.contains("SYS_ADMIN"), "{without}");
        assert!(missing("").unwrap().contains("CAP_SYS_ADMIN"));
    }

    #[test]
    fn other_peoples_files_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, theirs) = (dir.path().join("status.json"), dir.path().join("thesis.tex"));
        fs::write(&ours, "").unwrap();
        assert!(!is_foreign(dir.path()));
        fs::write(&theirs, "").unwrap();
        assert!(is_foreign(dir.path()));
        assert_eq!(clean(dir.path()).unwrap(), ["status.json"]);
        assert!(!ours.exists() && theirs.exists());
    }

    #[test]
    fn there_is_one_lock() {
        let dir = tempfile::tempdir().unwrap();
        let lock = lock(dir.path());
        if let Ok(lock) = lock {
            let second = super::lock(dir.path());
            assert!(matches!(second.err().unwrap().downcast_ref(), Some(Refusal::Busy(_))));
            drop(lock);
        }
    }
}
