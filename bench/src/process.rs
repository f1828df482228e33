//! Processes that we start, pin, measure and end.
//!
//! Each is a child of ours, known by its pid; the kernel ends it with us (`setpriv --pdeathsig`), so
//! an interrupted run leaves nothing behind.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::machine::{Core, TICK};

#[derive(Debug)]
pub struct Process {
    pub name: String,
    child: Child,
    log: PathBuf,
}

/// Memory of a process, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// All that is resident, pages of the program's file included.
    pub resident: u64,
    /// What is the process's own: heap and stacks.
    pub anonymous: u64,
    /// The most that was resident so far.
    pub peak: u64,
}

/// Time on a core.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cpu {
    pub user: Duration,
    pub system: Duration,
}

impl Cpu {
    pub fn since(self, before: Cpu) -> Cpu {
        Cpu { user: self.user.saturating_sub(before.user), system: self.system.saturating_sub(before.system) }
    }

    pub fn plus(self, other: Cpu) -> Cpu {
        Cpu { user: self.user + other.user, system: self.system + other.system }
    }
}

impl Process {
    /// Starts a program on one core. What it prints goes to `NAME.log` in `folder`.
    pub fn start(
        name: &str,
        core: Core,
        folder: &Path,
        program: &Path,
        args: &[&str],
    ) -> anyhow::Result<Process> {
        let log = folder.join(format!("{name}.log"));
        let output = File::create(&log).with_context(|| log.display().to_string())?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "SIGKILL", "--", "taskset", "-c", &core.to_string()])
            .arg(program)
            .args(args)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Process { name: name.to_owned(), child, log })
    }

    /// Waits until `address` takes connections.
    ///
    /// # Errors
    /// The process ended, or time is over: by name, with the end of its log.
    pub fn wait_listening(&mut self, address: SocketAddr, limit: Duration) -> anyhow::Result<Duration> {
        self.wait(limit, |_| TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok())
    }

    /// Waits until `ready` says so, and returns how long that took.
    pub fn wait(&mut self, limit: Duration, ready: impl Fn(&Process) -> bool) -> anyhow::Result<Duration> {
        let start = Instant::now();
        while !ready(self) {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status} instead of starting; its log:\n{}", self.name, self.log_tail());
            }
            if start.elapsed() > limit {
                bail!("{} is not ready after {limit:?}; its log:\n{}", self.name, self.log_tail());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(start.elapsed())
    }

    fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// User and system time so far, of all threads.
    pub fn cpu(&self) -> anyhow::Result<Cpu> {
        let path = format!("/proc/{}/stat", self.pid());
        let text = std::fs::read_to_string(&path).with_context(|| format!("{} is gone", self.name))?;
        cpu_of(&text).with_context(|| path)
    }

    pub fn memory(&self) -> anyhow::Result<Memory> {
        let path = format!("/proc/{}/status", self.pid());
        let text = std::fs::read_to_string(&path).with_context(|| format!("{} is gone", self.name))?;
        let [resident, anonymous, peak] = ["VmRSS:", "RssAnon:", "VmHWM:"].map(|name| kilobytes(&text, name));
        Ok(Memory { resident, anonymous, peak })
    }
}

/// How long a program may take to end by itself: longer than any of them drains.
const END_WITHIN: Duration = Duration::from_secs(8);

impl Drop for Process {
    /// Asks first: a binary that counts for `scripts/dist.sh` writes what it counted when it ends.
    fn drop(&mut self) {
        let asked = Instant::now();
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            let _ = kill_process(pid, Signal::TERM);
        }
        while matches!(self.child.try_wait(), Ok(None)) && asked.elapsed() < END_WITHIN {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `utime` and `stime`, fields 14 and 15 (proc_pid_stat(5)). The name in parentheses may hold anything.
fn cpu_of(stat: &str) -> Option<Cpu> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let mut time = || Some(TICK * fields.next()?.parse::<u32>().ok()?);
    Some(Cpu { user: time()?, system: time()? })
}

fn kilobytes(status: &str, field: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_read_behind_a_name_with_blanks() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 9 9 20 0 2 0 100";
        let expected = Cpu { user: Duration::from_millis(2500), system: Duration::from_millis(500) };
        assert_eq!(cpu_of(stat), Some(expected));
    }

    #[test]
    fn memory_is_in_bytes() {
        let status = "Name:\tx\nVmRSS:\t    2048 kB\nRssAnon:\t 1024 kB\n";
        assert_eq!(kilobytes(status, "VmRSS:"), 2 << 20);
        assert_eq!(kilobytes(status, "RssAnon:"), 1 << 20);
    }
}
