//! One pod, from its namespaces to its end: a task that gives orders to the pod's init and
//! reports what becomes of them.

mod container;
mod life;
mod log;
mod sandbox;

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use istio_api::Kind;
use istio_api::mesh::proxy::ProxySettings;
use tokio::sync::mpsc;

use crate::links::Links;
use crate::options::Roles;
use crate::render::{PodPlan, Volumes};

pub use life::run;

/// What a pod waits for that is about to end.
pub const LEAVING: &str = "leaving";

/// What a pod's task needs of its surroundings.
#[derive(Clone)]
pub struct Surroundings {
    pub links: Links,
    pub roles: Rc<dyn Roles>,
    pub reports: mpsc::UnboundedSender<(u64, Report)>,
    /// Finds ConfigMaps and Secrets.
    pub lookup: Rc<dyn Fn(&str, &str, &str) -> Option<Kind>>,
    pub proxy_start: Rc<dyn Fn(&PodPlan) -> ProxyStart>,
}

/// What a pod's proxy is started with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProxyStart {
    pub settings: ProxySettings,
    /// Where connections of the pod, and connections to it, are captured to.
    pub outbound_port: u16,
    pub inbound_port: u16,
}

/// To a pod's task.
#[derive(Debug)]
pub enum Order {
    /// End the pod: after `linger`, in which its neighbours forget it, everything in it gets
    /// SIGTERM, and SIGKILL after `grace`.
    Leave { linger: Duration, grace: Duration },
    /// The content of volumes has changed.
    Refill(Volumes),
}

/// From a pod's task, with the pod's number.
#[derive(Debug)]
pub enum Report {
    State(State),
    /// A line for people, without the pod's name.
    Note(String),
    /// The pod and everything of it is gone.
    Gone,
}

/// How a pod is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Everything in it is ready for traffic.
    pub ready: bool,
    /// Why not, in words.
    pub waits_for: String,
    pub proxy: ProxyState,
    /// The init's process id on the host.
    pub init: Option<i32>,
    pub containers: Vec<ContainerState>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerState {
    pub name: String,
    /// The process id in the pod's namespace, while it runs.
    pub pid: Option<i32>,
    pub ready: bool,
    pub restarts: u32,
    pub log: PathBuf,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyState {
    /// The pod has none.
    #[default]
    None,
    Starting,
    Ready,
    NotReady,
    /// It ended, and is about to be started again.
    Crashed,
}

impl std::fmt::Display for ProxyState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            ProxyState::None => "none",
            ProxyState::Starting => "starting",
            ProxyState::Ready => "ready",
            ProxyState::NotReady => "not ready",
            ProxyState::Crashed => "crashed",
        })
    }
}

/// A pod that is to be made.
pub struct Birth {
    /// Stands for the pod in reports.
    pub number: u64,
    pub plan: PodPlan,
    pub orders: mpsc::UnboundedReceiver<Order>,
}
