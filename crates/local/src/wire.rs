//! What the supervisor and a pod's init say to each other: JSON, one message per line, over a
//! Unix socket that is the init's standard input. When the socket closes, the pod ends.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// From the supervisor to a pod's init.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Order {
    /// Configure the namespace; its link is there. Answered by [`Event::Connected`].
    Connect(Network),
    /// Start a container. Answered by [`Event::Started`] or [`Event::Exited`].
    Start(ContainerSpec),
    /// Send a signal to a container's main process.
    Signal { container: String, signal: i32 },
    /// Look once. Answered by [`Event::Checked`] with the same id.
    Check { id: u64, check: Check, timeout_ms: u64 },
    /// SIGTERM to every process; SIGKILL after the grace period. Then the init exits.
    End { grace_ms: u64 },
}

/// From a pod's init to the supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The namespaces are there. The init's process id as the host sees it.
    Created {
        pid: i32,
    },
    Connected,
    Started {
        container: String,
        pid: i32,
    },
    /// A container's main process ended, or could not be started.
    Exited {
        container: String,
        reason: String,
        success: bool,
    },
    Checked {
        id: u64,
        failure: Option<String>,
    },
    /// The init cannot go on.
    Failed {
        reason: String,
    },
}

/// The network of a pod.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Network {
    pub hostname: String,
    /// The name of the link that was moved into the namespace; it becomes `eth0`.
    pub link: String,
    pub address: Ipv4Addr,
    pub prefix: u8,
    pub gateway: Ipv4Addr,
    pub capture: Option<Capture>,
}

/// What the redirect rules are made of.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Capture {
    /// The pod's `traffic.sidecar.istio.io/…` annotations.
    pub annotations: BTreeMap<String, String>,
    /// Queries to this server go to the agent.
    pub dns_server: Ipv4Addr,
    /// Where connections of the pod, and connections to it, are captured to.
    pub outbound_port: u16,
    pub inbound_port: u16,
    /// The agent's, where nothing is captured.
    pub status_port: u16,
}

/// A process and what it sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    pub name: String,
    pub command: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    pub working_dir: Option<String>,
    pub uid: u32,
    pub gid: u32,
    pub mounts: Vec<Mount>,
    /// An empty folder that becomes the root of the container.
    pub root: PathBuf,
    /// Both output streams are appended here.
    pub log: PathBuf,
}

/// A file or folder of the host that appears in a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    pub source: PathBuf,
    pub target: PathBuf,
    pub read_only: bool,
}

/// A look at the pod, from inside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Check {
    Http {
        address: Ipv4Addr,
        port: u16,
        path: String,
        headers: Vec<(String, String)>,
    },
    Tcp {
        address: Ipv4Addr,
        port: u16,
    },
    /// In the container's view of the file system, as its user.
    Exec {
        container: String,
        command: Vec<String>,
    },
}
