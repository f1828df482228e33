//! Where requests end: nginx on the core of the load.

use std::time::Duration;

use std::path::Path;

use crate::machine::{Core, free_port, loopback};
use crate::peers::nginx;
use crate::process::Process;

/// The backend, until it is dropped.
#[derive(Debug)]
pub struct Backend {
    _process: Process,
    pub http1: u16,
    pub http2: u16,
}

impl Backend {
    /// # Errors
    /// It does not start.
    pub fn start(core: Core, folder: &Path) -> anyhow::Result<Backend> {
        let (http1, http2) = (free_port()?, free_port()?);
        std::fs::create_dir_all(folder.join("www"))?;
        std::fs::write(folder.join("www/1mib"), vec![b'x'; 1 << 20])?;
        let config = folder.join("backend.conf");
        std::fs::write(&config, nginx::backend(folder, http1, http2))?;
        let config = config.display().to_string();
        let mut process =
            Process::start("backend", core, folder, Path::new("/usr/sbin/nginx"), &["-c", &config])?;
        process.wait_listening(loopback(http1), Duration::from_secs(5))?;
        Ok(Backend { _process: process, http1, http2 })
    }
}
