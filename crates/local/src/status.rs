//! How the mesh is, as a file in the runtime folder: for `lateen status` and `lateen exec`.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::folder;
use crate::render::PROXY;

const FILE: &str = "status.json";

/// The mesh.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The process id of `lateen up`.
    pub pid: u32,
    pub gateway_url: String,
    pub control: ControlStatus,
    pub pods: Vec<PodStatus>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlStatus {
    pub pid: Option<u32>,
    pub ready: bool,
    pub address: Option<Ipv4Addr>,
    /// Resident memory in bytes, measured when it is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resident: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodStatus {
    pub name: String,
    pub namespace: String,
    pub address: Ipv4Addr,
    /// The SPIFFE id; empty for a pod without a proxy.
    pub identity: String,
    pub ready: bool,
    /// Why it is not ready.
    pub waits_for: String,
    /// The proxy's state.
    pub proxy: String,
    /// The pod's first process, as the host numbers it.
    pub pid: Option<u32>,
    pub containers: Vec<ContainerStatus>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerStatus {
    pub name: String,
    /// As the pod numbers it.
    pub pod_pid: Option<u32>,
    /// As the host numbers it, found when it is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    pub ready: bool,
    pub restarts: u32,
    pub log: PathBuf,
    /// Resident memory in bytes, with all child processes, measured when it is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resident: Option<u64>,
}

impl Status {
    /// # Errors
    /// The file could not be written.
    pub fn write(&self, runtime_dir: &Path) -> anyhow::Result<()> {
        folder::write(&runtime_dir.join(FILE), &serde_json::to_vec_pretty(self)?)
    }

    /// # Errors
    /// There is none: no mesh runs there.
    pub fn read(runtime_dir: &Path) -> anyhow::Result<Status> {
        let file = runtime_dir.join(FILE);
        let text =
            std::fs::read(&file).with_context(|| format!("no mesh runs in {}", runtime_dir.display()))?;
        serde_json::from_slice(&text).with_context(|| file.display().to_string())
    }

    /// The state on disk, with process ids and memory as they are now.
    ///
    /// # Errors
    /// No mesh runs there.
    pub fn measure(runtime_dir: &Path) -> anyhow::Result<Status> {
        let mut status = Status::read(runtime_dir)?;
        if !Path::new(&format!("/proc/{}", status.pid)).exists() {
            bail!("the mesh in {} has ended (its process {} is gone)", runtime_dir.display(), status.pid);
        }
        let processes = Processes::now();
        status.control.resident = status.control.pid.map(|pid| processes.resident(pid));
        for pod in &mut status.pods {
            for container in &mut pod.containers {
                container.pid =
                    pod.pid.zip(container.pod_pid).and_then(|(init, pid)| processes.find(init, pid));
                container.resident = container.pid.map(|pid| processes.resident(pid));
            }
        }
        Ok(status)
    }

    /// The process of a container on the host. The pod may be given as `NAMESPACE/NAME`, or by the
    /// beginning of its name if that is enough; the container defaults to the first that is not
    /// the proxy.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub fn process(&self, pod: &str, container: Option<&str>) -> anyhow::Result<u32> {
        let (namespace, name) =
            pod.split_once('/').map_or((None, pod), |(namespace, name)| (Some(namespace), name));
        let in_namespace = |p: &&PodStatus| namespace.is_none_or(|namespace| p.namespace == namespace);
        let exact = self.pods.iter().filter(in_namespace).find(|p| p.name == name);
        let found: Vec<&PodStatus> = match exact {
            Some(pod) => vec![pod],
            None => self.pods.iter().filter(in_namespace).filter(|p| p.name.starts_with(name)).collect(),
        };
        let pod = match found.as_slice() {
            [pod] => *pod,
            [] => bail!("no pod {pod}"),
            many => bail!("{pod} is the beginning of {} pods", many.len()),
        };
        let container = match container {
            Some(name) => pod.containers.iter().find(|c| c.name == name),
            None => pod.containers.iter().find(|c| c.name != PROXY).or(pod.containers.first()),
        };
        let container = container.with_context(|| format!("pod {} has no such container", pod.name))?;
        container
            .pid
            .with_context(|| format!("container {} of pod {} does not run", container.name, pod.name))
    }
}

/// All processes of the host at one moment.
struct Processes {
    /// By process id: parent, id in the innermost namespace, resident bytes.
    all: HashMap<u32, (u32, u32, u64)>,
}

impl Processes {
    fn now() -> Processes {
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let all = entries.filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let status = std::fs::read_to_string(entry.path().join("status")).ok()?;
            Some((pid, parse(&status)?))
        });
        Processes { all: all.collect() }
    }

    /// The process that `init` and its namespace number `pid`.
    fn find(&self, init: u32, pid: u32) -> Option<u32> {
        let mut children = self.all.iter().filter(|(_, (parent, inner, _))| *parent == init && *inner == pid);
        children.next().map(|(pid, _)| *pid)
    }

    /// Resident memory of a process and all its descendants.
    fn resident(&self, root: u32) -> u64 {
        let mut total = 0;
        let mut open = vec![root];
        while let Some(pid) = open.pop() {
            total += self.all.get(&pid).map_or(0, |(_, _, resident)| *resident);
            open.extend(self.all.iter().filter(|(_, (parent, ..))| *parent == pid).map(|(pid, _)| *pid));
        }
        total
    }
}

fn parse(status: &str) -> Option<(u32, u32, u64)> {
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let parent = field("PPid:")?.parse().ok()?;
    let inner = field("NSpid:")?.split_whitespace().next_back()?.parse().ok()?;
    // A kernel thread has no memory.
    let kilobytes: u64 =
        field("VmRSS:").and_then(|text| text.split_whitespace().next()?.parse().ok()).unwrap_or(0);
    Some((parent, inner, kilobytes * 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_found_by_their_inner_number() {
        let text = "Name:\tx\nPid:\t77\nPPid:\t7\nNSpid:\t77\t2\nVmRSS:\t    1024 kB\n";
        assert_eq!(parse(text), Some((7, 2, 1 << 20)));
        let processes =
            Processes { all: [(77, (7, 2, 10)), (78, (77, 3, 5)), (79, (78, 4, 1)), (80, (8, 2, 9))].into() };
        assert_eq!(processes.find(7, 2), Some(77));
        assert_eq!(processes.find(7, 3), None);
        assert_eq!(processes.resident(77), 16);
    }

    #[test]
    fn pods_are_found_by_the_beginning_of_their_name() {
        let pod = |namespace: &str, name: &str, pid| PodStatus {
            name: name.into(),
            namespace: namespace.into(),
            address: Ipv4Addr::LOCALHOST,
            identity: String::new(),
            ready: true,
            waits_for: String::new(),
            proxy: String::new(),
            pid: Some(1),
            containers: [(PROXY, pid + 1), ("app", pid)]
                .map(|(name, pid)| ContainerStatus {
                    name: name.into(),
                    pod_pid: Some(2),
                    pid: Some(pid),
                    ready: true,
                    restarts: 0,
                    log: PathBuf::new(),
                    resident: None,
                })
                .into(),
        };
        let pods = vec![pod("a", "web-v1-x", 10), pod("a", "web-v2-x", 20), pod("b", "web-v1-x", 30)];
        let status = Status { pods, ..Status::default() };
        assert_eq!(status.process("web-v2", None).unwrap(), 20);
        assert_eq!(status.process("web-v2", Some(PROXY)).unwrap(), 21);
        assert_eq!(status.process("b/web-v1", None).unwrap(), 30);
        for bad in ["web", "b/web-v2", "none"] {
            assert!(status.process(bad, None).is_err(), "{bad}");
        }
        assert!(status.process("web-v2", Some("other")).is_err());
    }
}
