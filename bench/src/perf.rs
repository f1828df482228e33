//! Samples of a running peer, for a flame graph.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};

use crate::peers::Running;

/// `perf record` on all processes of a peer, until it is dropped.
pub struct Perf(Child);

impl Perf {
    /// # Errors
    /// `perf` is not there.
    pub fn start(peer: &Running, file: &Path) -> anyhow::Result<Perf> {
        let pids: Vec<String> = peer.processes.iter().map(|process| process.pid().to_string()).collect();
        // Stacks are unwound from what DWARF says: release builds keep no frame pointers. 997 is no
        // divisor of the timers' frequency.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "SIGKILL", "--", "perf", "record", "--quiet", "-F", "997"])
            .args(["--call-graph", "dwarf,16384", "-p", &pids.join(","), "-o"])
            .arg(file)
            .stdin(Stdio::null())
            .spawn()
            .context("cannot start perf (Debian: linux-perf)")?;
        // Until it has attached itself.
        std::thread::sleep(Duration::from_millis(300));
        Ok(Perf(child))
    }
}

impl Drop for Perf {
    /// An interrupt lets it write what it has.
    fn drop(&mut self) {
        if let Some(pid) = Pid::from_raw(self.0.id() as i32) {
            let _ = kill_process(pid, Signal::INT);
        }
        let _ = self.0.wait();
    }
}
