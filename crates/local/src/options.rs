//! What a mesh is started with, and what this crate asks of its surroundings.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use istio_api::mesh::proxy::ProxySettings;
use redirect::Cidr;

use crate::render::{PROXY_DIR, PodPlan, ROOT_CERT_FILE, TOKEN_FILE};
use crate::workload::Role;

/// What the user says.
#[derive(Clone, Debug)]
pub struct Options {
    /// Files and folders of YAML.
    pub files: Vec<PathBuf>,
    /// Everything the mesh needs while it runs is here; nothing of it stays.
    pub runtime_dir: PathBuf,
    /// The port of 127.0.0.1 that leads to the ingress gateway. 0: any.
    pub gateway_port: u16,
    /// What stands in for an image: a prefix of its name, and a command line.
    pub images: Vec<(String, String)>,
    /// Of the identities that are shown.
    pub trust_domain: String,
    /// A file that holds a MeshConfig.
    pub mesh_config: Option<PathBuf>,
}

/// The other roles of the binary: how this crate starts them is the binary's to know.
pub trait Roles {
    /// Arguments that make this binary the control plane.
    fn control(&self, place: &ControlPlace) -> Vec<OsString>;

    /// Arguments and environment that make this binary the agent, with the proxy, of a pod.
    fn agent(&self, place: &AgentPlace) -> AgentCommand;

    /// Called once, before anything starts: makes keys in `state_dir`.
    ///
    /// # Errors
    /// Nothing can start without.
    fn prepare(&mut self, state_dir: &std::path::Path) -> anyhow::Result<()>;

    /// A token that authenticates a pod's service account to the control plane.
    ///
    /// # Errors
    /// Signing failed.
    fn token(&self, namespace: &str, service_account: &str, pod: &str) -> anyhow::Result<String>;

    /// The mesh's root certificates, PEM.
    ///
    /// # Errors
    /// They cannot be read.
    fn roots(&self) -> anyhow::Result<String>;
}

/// Where the control plane runs.
#[derive(Clone, Debug)]
pub struct ControlPlace {
    /// The address to bind: the bridge's, never all.
    pub address: Ipv4Addr,
    /// The user's files, and the folder with what this crate says.
    pub config: Vec<PathBuf>,
    /// Where Services get addresses from.
    pub service_range: Cidr,
    pub state_dir: PathBuf,
}

/// Where an agent runs, in the view of its pod.
#[derive(Clone, Debug)]
pub struct AgentPlace {
    /// Whether it is a gateway.
    pub router: bool,
    pub namespace: String,
    pub pod: String,
    pub workload: String,
    pub service_account: String,
    pub address: Ipv4Addr,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// What the proxy is started with.
    pub proxy: ProxySettings,
    /// The control plane's address.
    pub control: Ipv4Addr,
    pub token_file: PathBuf,
    pub root_cert_file: PathBuf,
    /// A folder of the agent's own, where it also starts.
    pub work_dir: PathBuf,
}

impl AgentPlace {
    /// Of a pod.
    pub(crate) fn of(plan: &PodPlan, proxy: ProxySettings) -> AgentPlace {
        AgentPlace {
            router: plan.template.role == Role::Gateway,
            namespace: plan.namespace.clone(),
            pod: plan.name.clone(),
            workload: plan.workload.clone(),
            service_account: plan.service_account().to_owned(),
            address: plan.address,
            labels: plan.template.labels.clone(),
            annotations: plan.template.annotations.clone(),
            proxy,
            control: plan.host,
            token_file: TOKEN_FILE.into(),
            root_cert_file: ROOT_CERT_FILE.into(),
            work_dir: PROXY_DIR.into(),
        }
    }
}

/// How an agent is started.
#[derive(Clone, Debug, Default)]
pub struct AgentCommand {
    pub arguments: Vec<String>,
    pub env: Vec<(String, String)>,
    /// Files of the host, and where the pod has them.
    pub files: Vec<(PathBuf, PathBuf)>,
}

/// Ports that this crate asks about.
pub mod ports {
    /// The control plane's `/ready`.
    pub const CONTROL_STATUS: u16 = 15014;
    /// The agent's health, where nothing says otherwise.
    pub const AGENT_STATUS: u16 = 15020;
    /// A proxy's `/healthz/ready`.
    pub const PROXY_HEALTH: u16 = 15021;
    /// Where the ingress gateway listens in its pod.
    pub const GATEWAY: u16 = 8080;
}
