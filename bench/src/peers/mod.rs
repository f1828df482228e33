//! The proxies that are compared, and how each is started for one hop.

pub mod envoy;
mod haproxy;
pub mod nginx;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::certificates::Certificates;
use crate::hop::Hop;
use crate::machine::{Cores, loopback};
use crate::process::{Cpu, Memory, Process};

/// How long a proxy may take to listen.
const START: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Peer {
    Lateen,
    HaProxy,
    Envoy,
    Nginx,
    /// HAProxy in `mode tcp`: what copying the bytes costs.
    TcpRelay,
}

impl Peer {
    pub fn name(self) -> &'static str {
        match self {
            Peer::Lateen => "lateen",
            Peer::HaProxy => "haproxy",
            Peer::Envoy => "envoy",
            Peer::Nginx => "nginx",
            Peer::TcpRelay => "tcp-relay",
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What all peers of a run share.
#[derive(Debug)]
pub struct Site {
    pub cores: Cores,
    /// Configuration and logs.
    pub folder: PathBuf,
    pub certificates: Certificates,
    pub lateen: PathBuf,
    pub envoy: PathBuf,
    /// Where `perf` writes samples of Lateen's first measured round.
    pub perf: Option<PathBuf>,
}

/// A peer that runs: one process for each hop.
#[derive(Debug)]
pub struct Running {
    pub peer: Peer,
    pub processes: Vec<Process>,
    /// Where load goes.
    pub port: u16,
}

impl Running {
    /// Starts the peer for all hops, the last first, and waits until each listens.
    ///
    /// # Errors
    /// One does not: by name, with its log.
    pub fn start(site: &Site, peer: Peer, hops: &[Hop]) -> anyhow::Result<Running> {
        let mut processes = Vec::new();
        for hop in hops.iter().rev() {
            let mut process = start(site, peer, hop)?;
            process.wait_listening(loopback(hop.listen), START)?;
            processes.push(process);
        }
        Ok(Running { peer, processes, port: hops[0].listen })
    }

    pub fn cpu(&self) -> anyhow::Result<Cpu> {
        self.processes.iter().try_fold(Cpu::default(), |sum, process| Ok(sum.plus(process.cpu()?)))
    }

    pub fn memory(&self) -> anyhow::Result<Memory> {
        let mut sum = Memory::default();
        for process in &self.processes {
            let one = process.memory()?;
            sum.resident += one.resident;
            sum.anonymous += one.anonymous;
        }
        Ok(sum)
    }
}

fn start(site: &Site, peer: Peer, hop: &Hop) -> anyhow::Result<Process> {
    let name = format!("{peer}-{}", hop.listen);
    let file = |extension: &str| site.folder.join(format!("{name}.{extension}"));
    let run =
        |program: &Path, args: &[&str]| Process::start(&name, site.cores.proxy, &site.folder, program, args);
    match peer {
        Peer::Lateen | Peer::Envoy => {
            let config = write(
                file("json"),
                envoy::bootstrap(hop, &site.certificates, &file("access.log")).to_string(),
            )?;
            match peer {
                Peer::Lateen => run(&site.lateen, &["proxy", "-c", &config, "--concurrency", "1"]),
                _ => run(&site.envoy, &envoy::arguments(&config)),
            }
        }
        Peer::HaProxy | Peer::TcpRelay => {
            let config = write(file("cfg"), haproxy::config(hop, &site.certificates))?;
            run(Path::new("/usr/sbin/haproxy"), &["-db", "-f", &config])
        }
        Peer::Nginx => {
            let config = write(file("conf"), nginx::proxy(hop, &file("access.log")))?;
            run(Path::new("/usr/sbin/nginx"), &["-c", &config])
        }
    }
}

fn write(path: PathBuf, text: String) -> anyhow::Result<String> {
    std::fs::write(&path, text)?;
    Ok(path.display().to_string())
}
