//! Where requests end, on the core of the load: what `server` has, and nginx for files.

use std::path::Path;
use std::time::Duration;

use crate::hop::Protocol;
use crate::load::h2load::H2Load;
use crate::machine::{Core, free_port, loopback};
use crate::peers::nginx;
use crate::process::Process;
use crate::scenario::{Load, Throughput};

const LIMIT: Duration = Duration::from_secs(5);

/// The backend, until it is dropped.
#[derive(Debug)]
pub struct Backend {
    _processes: Vec<Process>,
    files: u16,
    pub http1: u16,
    pub http2: u16,
    pub grpc: u16,
    pub websocket: u16,
}

impl Backend {
    /// # Errors
    /// It does not start.
    pub fn start(core: Core, folder: &Path) -> anyhow::Result<Backend> {
        let own = |service: &str| own(service, core, folder);
        let (http1_process, http1) = own("http1")?;
        let (http2_process, http2) = own("http2")?;
        let (grpc_process, grpc) = own("grpc")?;
        let (websocket_process, websocket) = own("websocket")?;
        let (nginx, files) = nginx(core, folder)?;
        let processes = vec![http1_process, http2_process, grpc_process, websocket_process, nginx];
        Ok(Backend { _processes: processes, files, http1, http2, grpc, websocket })
    }

    /// Where this load ends.
    pub fn port(&self, it: &Throughput) -> u16 {
        match (it.load, it.protocol) {
            (Load::Wrk(wrk), _) if wrk.path != "/" => self.files,
            (Load::WebSocket(_), _) => self.websocket,
            (Load::H2Load(H2Load { grpc: true, .. }), _) => self.grpc,
            (_, Protocol::Http2) => self.http2,
            _ => self.http1,
        }
    }
}

/// nginx, which has the files: it sends them with `sendfile`.
fn nginx(core: Core, folder: &Path) -> anyhow::Result<(Process, u16)> {
    let port = free_port()?;
    std::fs::create_dir_all(folder.join("www"))?;
    std::fs::write(folder.join("www/1mib"), vec![b'x'; 1 << 20])?;
    let config = folder.join("backend.conf");
    std::fs::write(&config, nginx::backend(folder, port))?;
    let config = config.display().to_string();
    let mut process =
        Process::start("backend", core, folder, Path::new("/usr/sbin/nginx"), &["-c", &config])?;
    process.wait_listening(loopback(port), LIMIT)?;
    Ok((process, port))
}

/// This program, as a backend.
fn own(service: &str, core: Core, folder: &Path) -> anyhow::Result<(Process, u16)> {
    let port = free_port()?;
    let program = std::env::current_exe()?;
    let args = ["serve", service, &port.to_string()];
    let mut process = Process::start(&format!("backend-{service}"), core, folder, &program, &args)?;
    process.wait_listening(loopback(port), LIMIT)?;
    Ok((process, port))
}
