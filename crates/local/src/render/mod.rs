//! From a template to one pod: its containers with environment, mounts and probes. Pure but for
//! the lookup of objects.

mod env;
mod volumes;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use istio_api::k8s::{Container, ProbeAction};
use istio_api::{Kind, PortRef};
use model::Str;

use crate::options::AgentCommand;
use crate::readiness::ProbePlan;
use crate::wire::{Check, ContainerSpec, Mount};
use crate::workload::{Role, Template};

use env::expand;
pub use volumes::Volumes;

pub const PROXY: &str = "istio-proxy";
const PROXY_USER: u32 = 1337;
/// Whom applications run as that name no user: nobody.
const NOBODY: u32 = 65534;

/// Paths in the proxy's container.
pub const TOKEN_FILE: &str = "/var/run/secrets/tokens/istio-token";
pub const ROOT_CERT_FILE: &str = "/var/run/secrets/istio/root-cert.pem";
pub const PROXY_DIR: &str = "/run/lateen/proxy";
/// Where this binary is in every container.
const BINARY: &str = "/run/lateen/bin/lateen";

/// Finds the content of a ConfigMap or Secret by kind, namespace and name.
pub type Lookup<'a> = &'a dyn Fn(&str, &str, &str) -> Option<Kind>;

/// One pod, before it is made.
#[derive(Clone, Debug)]
pub struct PodPlan {
    pub namespace: String,
    pub name: String,
    /// The Deployment's name, or the pod's.
    pub workload: String,
    pub address: Ipv4Addr,
    /// The bridge: name server, control plane and, for the pod, its host.
    pub host: Ipv4Addr,
    pub template: std::sync::Arc<Template>,
    /// The pod's folder under the runtime folder, and where logs go.
    pub folder: PathBuf,
    pub logs: PathBuf,
}

/// A container that is to run.
#[derive(Clone, Debug)]
pub struct Planned {
    pub spec: ContainerSpec,
    pub probe: Option<ProbePlan>,
}

impl PodPlan {
    pub fn service_account(&self) -> &str {
        &self.template.spec.service_account
    }

    pub fn has_proxy(&self) -> bool {
        self.template.role != Role::Plain
    }

    pub fn log_of(&self, container: &str) -> PathBuf {
        self.logs.join(format!("{}.{}.{container}.log", self.namespace, self.name))
    }

    /// The proxy's container.
    pub fn proxy(&self, agent: AgentCommand) -> Option<Planned> {
        if !self.has_proxy() {
            return None;
        }
        let mut command = vec![BINARY.to_owned()];
        command.extend(agent.arguments);
        let mut env = self.base_env();
        env.retain(|(name, _)| !agent.env.iter().any(|(own, _)| own == name));
        env.extend(agent.env);
        let own = [("tokens", TOKEN_FILE), ("istio", ROOT_CERT_FILE)];
        let mut mounts = self.base_mounts();
        mounts.extend(own.map(|(folder, file)| Mount {
            source: self.folder.join(folder),
            target: Path::new(file).parent().unwrap_or(Path::new("/")).to_owned(),
            read_only: true,
        }));
        mounts.push(self.writable("proxy", PROXY_DIR));
        mounts.extend(agent.files.into_iter().map(|(source, target)| Mount {
            source,
            target,
            read_only: true,
        }));
        let spec = self.spec(PROXY, command, env, mounts, PROXY_USER, Some(PROXY_DIR.to_owned()));
        Some(Planned { spec, probe: Some(ProbePlan::of_proxy(self.address)) })
    }

    /// The application's containers.
    ///
    /// # Errors
    /// What is missing, in words.
    pub fn applications(&self, lookup: Lookup<'_>) -> Result<Vec<Planned>, String> {
        let planned = self.template.commands.iter().filter_map(|(name, command)| {
            let container = self.template.spec.containers.iter().find(|container| container.name == *name)?;
            Some(self.application(container, command, lookup))
        });
        planned.collect()
    }

    fn application(
        &self,
        container: &Container,
        command: &[String],
        lookup: Lookup<'_>,
    ) -> Result<Planned, String> {
        let env =
            self.env(container, lookup).map_err(|why| format!("container {}: {why}", container.name))?;
        let command = command.iter().map(|word| expand(word, &env)).collect();
        let mut mounts = self.base_mounts();
        for mount in &container.volume_mounts {
            if !self.template.spec.volumes.iter().any(|volume| volume.name == mount.name) {
                return Err(format!("container {}: no volume {}", container.name, mount.name));
            }
            let source = self.volume(&mount.name).join(mount.sub_path.trim_start_matches('/'));
            let target = PathBuf::from(mount.mount_path.as_str());
            mounts.push(Mount { source, target, read_only: mount.read_only });
        }
        let user = container.run_as_user.or(self.template.spec.run_as_user).unwrap_or(NOBODY);
        let directory = container.working_dir.as_ref().map(Str::to_string);
        let probe = match &container.readiness_probe {
            Some(probe) => Some(ProbePlan::of(probe, self.check(container, &probe.action)?)),
            None => None,
        };
        let spec = self.spec(&container.name, command, env, mounts, user, directory);
        Ok(Planned { spec, probe })
    }

    fn spec(
        &self,
        name: &str,
        command: Vec<String>,
        env: Vec<(String, String)>,
        mounts: Vec<Mount>,
        user: u32,
        working_dir: Option<String>,
    ) -> ContainerSpec {
        ContainerSpec {
            name: name.to_owned(),
            command,
            env,
            working_dir,
            uid: user,
            gid: user,
            mounts,
            root: self.folder.join("root").join(name),
            log: self.log_of(name),
        }
    }

    /// What a container's environment begins with.
    fn base_env(&self) -> Vec<(String, String)> {
        let host = std::env::var("PATH").unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".to_owned());
        let pairs = [
            ("PATH", format!("{host}:/run/lateen/bin")),
            ("HOSTNAME", self.name.clone()),
            ("HOME", "/".into()),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value)).to_vec()
    }

    fn base_mounts(&self) -> Vec<Mount> {
        let files = ["resolv.conf", "hosts", "hostname"];
        let mut mounts = Vec::from(files.map(|file| Mount {
            source: self.folder.join("etc").join(file),
            target: Path::new("/etc").join(file),
            read_only: true,
        }));
        mounts.push(Mount { source: crate::init::binary(), target: BINARY.into(), read_only: true });
        mounts
    }

    fn writable(&self, folder: &str, target: &str) -> Mount {
        Mount { source: self.folder.join(folder), target: target.into(), read_only: false }
    }

    pub fn volume(&self, name: &str) -> PathBuf {
        self.folder.join("volumes").join(name)
    }

    fn check(&self, container: &Container, action: &ProbeAction) -> Result<Check, String> {
        let port = |port: &PortRef| match port {
            PortRef::Number(number) => Ok(*number),
            PortRef::Name(name) => {
                let found = container.ports.iter().find(|port| port.name == *name).map(|port| port.port);
                found.ok_or_else(|| format!("container {}: readinessProbe: no port {name}", container.name))
            }
        };
        let unsupported =
            |what| Err(format!("container {}: readinessProbe: {what} is not supported", container.name));
        Ok(match action {
            ProbeAction::HttpGet { https: true, .. } => return unsupported("scheme HTTPS"),
            ProbeAction::Grpc { .. } => return unsupported("grpc"),
            ProbeAction::HttpGet { path, port: at, host, headers, .. } => Check::Http {
                address: match host {
                    Some(host) => {
                        host.parse().map_err(|_| format!("readinessProbe: host {host} is no address"))?
                    }
                    None => self.address,
                },
                port: port(at)?,
                path: path.to_string(),
                headers: headers.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect(),
            },
            ProbeAction::TcpSocket { port: at } => Check::Tcp { address: self.address, port: port(at)? },
            ProbeAction::Exec { command } => Check::Exec {
                container: container.name.to_string(),
                command: command.iter().map(Str::to_string).collect(),
            },
        })
    }
}

#[cfg(test)]
mod tests;
