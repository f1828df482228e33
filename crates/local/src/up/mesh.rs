//! What should run, what does, and the difference.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use istio_api::Kind;
use istio_api::k8s::PodSpec;
use istio_api::mesh::MeshConfig;
use model::{Labels, ObjectRef, Str};
use registry::Snapshot;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::pods::{Content, Pods};
use crate::addresses::Pool;
use crate::control::ControlState;
use crate::dns::Dns;
use crate::documents::{self, Documents};
use crate::images::Images;
use crate::links::Links;
use crate::options::{Options, Roles};
use crate::pod::{self, Order, ProxyStart, ProxyState, Report, Surroundings};
use crate::relay::Relay;
use crate::render::PodPlan;
use crate::report::Reporter;
use crate::status::Status;
use crate::workload::{self, Group, GroupKey, Problem, Role, Template};

/// After this long the table is printed with whatever is ready.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between a pod's disappearance from its neighbours' configuration and its SIGTERM.
const LINGER: Duration = Duration::from_secs(1);
/// From SIGTERM to SIGKILL of a pod that leaves while the mesh runs.
const GRACE: Duration = Duration::from_secs(15);

/// What a mesh is made of.
pub struct Parts {
    pub options: Options,
    pub images: Images,
    pub roles: Rc<dyn Roles>,
    pub links: Links,
    pub relay: Relay,
    pub dns: Option<Dns>,
    pub documents: Documents,
    pub pool: Pool,
    pub reports: mpsc::UnboundedSender<(u64, Report)>,
    pub logs: PathBuf,
}

/// The mesh as the supervisor knows it.
pub struct Mesh {
    pub(super) parts: Parts,
    pub(super) around: Surroundings,
    pub(super) reporter: Option<Reporter>,
    pub(super) snapshot: Rc<std::cell::RefCell<Option<Arc<Snapshot>>>>,
    pub(super) groups: BTreeMap<GroupKey, Group>,
    pub(super) problems: BTreeSet<Problem>,
    pub(super) pods: Pods,
    pub(super) control: ControlState,
    pub(super) begun: Instant,
    /// As last written.
    pub(super) status: Status,
}

impl Mesh {
    pub fn new(parts: Parts) -> Mesh {
        let snapshot: Rc<std::cell::RefCell<Option<Arc<Snapshot>>>> = Rc::default();
        let around = Surroundings {
            links: parts.links.clone(),
            roles: parts.roles.clone(),
            reports: parts.reports.clone(),
            lookup: Rc::new(lookup(snapshot.clone())),
            proxy_start: Rc::new(proxy_start(snapshot.clone())),
        };
        Mesh {
            around,
            reporter: None,
            snapshot,
            groups: BTreeMap::new(),
            problems: BTreeSet::new(),
            pods: Pods::default(),
            control: ControlState::default(),
            begun: Instant::now(),
            status: Status::default(),
            parts,
        }
    }

    /// From here on pods are made.
    pub fn begin(&mut self, reporter: Reporter, control: ControlState) -> anyhow::Result<()> {
        self.reporter = Some(reporter);
        self.control = control;
        self.begun = Instant::now();
        self.settle()
    }

    pub fn say(&self, text: &str) {
        if let Some(reporter) = &self.reporter {
            reporter.line(text);
        }
    }

    /// The files say something new.
    pub fn desire(&mut self, snapshot: Arc<Snapshot>) {
        let (mut groups, problems) = workload::groups(super::documents(&snapshot), &self.parts.images);
        if !groups.iter().any(|group| is_ingress(&group.template)) {
            groups.push(gateway());
        }
        self.groups = groups.into_iter().map(|group| (group.key.clone(), group)).collect();
        let problems: BTreeSet<Problem> = problems.into_iter().collect();
        for problem in problems.difference(&self.problems) {
            self.say(&format!("{}: {}", problem.object, problem.message));
        }
        self.problems = problems;
        *self.snapshot.borrow_mut() = Some(snapshot.clone());
        let own_service = ObjectRef::new("Service", documents::GATEWAY_NAMESPACE, documents::GATEWAY_NAME);
        let (namespace, name) = (documents::GATEWAY_NAMESPACE, documents::GATEWAY_NAME);
        match snapshot.object(&own_service) {
            // The user's own goes before ours.
            Some(_) => self.parts.documents.take("Service", namespace, name),
            None => {
                let service = documents::gateway_service();
                if let Err(error) = self.parts.documents.put("Service", namespace, name, &service) {
                    self.say(&format!("{error:#}"));
                }
            }
        }
        self.refill();
    }

    /// ConfigMaps and Secrets may have changed: files of volumes follow, variables cannot.
    fn refill(&mut self) {
        let (lookup, start) = (self.around.lookup.clone(), self.around.proxy_start.clone());
        let mut stale = Vec::new();
        for entry in self.pods.iter_mut() {
            let now = Content::of(entry, &*lookup, &*start);
            let Some(was) = entry.content.replace(now.clone()) else { continue };
            if let Some(volumes) = now.volumes.filter(|volumes| was.volumes.as_ref() != Some(volumes)) {
                entry.order(Order::Refill(volumes));
            }
            if (was.env.is_some() && now.env != was.env) || now.proxy != was.proxy {
                stale.push(entry.plan.name.clone());
            }
        }
        for name in stale {
            self.say(&format!("{name}: its environment, or how its proxy is to start, has changed; that takes effect in new pods only"));
        }
    }

    /// A pod's task has something to say.
    pub fn reported(&mut self, number: u64, report: Report) {
        let Some(entry) = self.pods.get_mut(number) else { return };
        match report {
            Report::Note(text) => {
                let line = format!("{}: {text}", entry.plan.name);
                self.say(&line);
            }
            Report::Gone => {
                let line = format!("{}: gone", entry.plan.name);
                self.forget(number);
                self.say_after_start(&line);
            }
            Report::State(state) => {
                let (was, is) = (entry.state.ready, state.ready);
                let proxy = (entry.state.proxy, state.proxy);
                let line = match (was, is) {
                    (false, true) => Some(format!("{}: ready", entry.plan.name)),
                    (true, false) if state.waits_for == pod::LEAVING => {
                        Some(format!("{}: leaving", entry.plan.name))
                    }
                    (true, false) => Some(format!("{}: not ready ({})", entry.plan.name, state.waits_for)),
                    _ if proxy.0 != proxy.1 && proxy.0 != ProxyState::None => {
                        Some(format!("{}: proxy {}", entry.plan.name, proxy.1))
                    }
                    _ => None,
                };
                entry.state = state;
                if let Some(line) = line {
                    self.say_after_start(&line);
                }
            }
        }
    }

    fn say_after_start(&self, line: &str) {
        if self.reporter.as_ref().is_some_and(Reporter::has_started) {
            self.say(line);
        }
    }

    pub fn control(&mut self, state: ControlState) {
        let was = std::mem::replace(&mut self.control, state);
        if was.ready != state.ready {
            self.say_after_start(if state.ready {
                "control plane: ready"
            } else {
                "control plane: not ready"
            });
        }
    }

    pub fn forget(&mut self, number: u64) {
        if let Some(entry) = self.pods.remove(number) {
            self.parts.documents.take("Pod", &entry.plan.namespace, &entry.plan.name);
            self.parts.pool.give_back(entry.plan.address);
        }
    }

    pub fn has_pods(&self) -> bool {
        !self.pods.is_empty()
    }

    pub fn end_all(&mut self, grace: Duration) {
        if let Some(reporter) = &mut self.reporter {
            reporter.ending();
        }
        for entry in self.pods.iter_mut() {
            entry.order(Order::Leave { linger: Duration::ZERO, grace });
        }
    }

    /// Until it is time to print the table with whatever there is.
    pub async fn patience(&self) {
        match &self.reporter {
            Some(reporter) if !reporter.has_started() => {
                tokio::time::sleep_until(self.begun + PATIENCE).await
            }
            _ => std::future::pending().await,
        }
    }

    pub fn lose_patience(&mut self) {
        self.print_table();
    }

    /// Makes and ends pods until there are as many of each kind as asked for, and tells everybody.
    pub fn settle(&mut self) -> anyhow::Result<()> {
        for group in self.groups.values() {
            let plan = self.pods.plan(group);
            for number in plan.leave {
                self.pods.leave(number, LINGER, GRACE);
            }
            for _ in 0..plan.make {
                let Some(address) = self.parts.pool.take() else {
                    anyhow::bail!("there are no addresses left for pods");
                };
                let (host, runtime) = (self.parts.pool.bridge(), &self.parts.options.runtime_dir);
                let birth = self.pods.birth(group, address, host, runtime, &self.parts.logs);
                tokio::task::spawn_local(crate::pod::run(birth, self.around.clone()));
            }
        }
        for number in self.pods.without_group(&self.groups) {
            self.pods.leave(number, LINGER, GRACE);
        }
        let (lookup, start) = (self.around.lookup.clone(), self.around.proxy_start.clone());
        for entry in self.pods.iter_mut().filter(|entry| entry.content.is_none()) {
            entry.content = Some(Content::of(entry, &*lookup, &*start));
        }
        self.tell()
    }
}

fn lookup(
    snapshot: Rc<std::cell::RefCell<Option<Arc<Snapshot>>>>,
) -> impl Fn(&str, &str, &str) -> Option<Kind> {
    move |kind, namespace, name| {
        let snapshot = snapshot.borrow();
        Some(snapshot.as_ref()?.object_anywhere(&ObjectRef::new(kind, namespace, name))?.body.clone())
    }
}

fn proxy_start(snapshot: Rc<std::cell::RefCell<Option<Arc<Snapshot>>>>) -> impl Fn(&PodPlan) -> ProxyStart {
    move |plan| {
        let snapshot = snapshot.borrow();
        let strings = |(key, value): (&String, &String)| (Str::from(key), Str::from(value));
        let template = &plan.template;
        let labels = Labels(template.labels.iter().map(strings).collect());
        let annotations = template.annotations.iter().map(strings).collect();
        let of = |snapshot: &Arc<Snapshot>| {
            let settings = snapshot.proxy_settings(&plan.namespace, &labels, &annotations);
            let view = snapshot.view();
            let mesh = view.mesh();
            (settings, mesh.proxy_listen_port, mesh.proxy_inbound_listen_port)
        };
        let default = MeshConfig::default();
        let (settings, outbound_port, inbound_port) = snapshot.as_ref().map(of).unwrap_or_else(|| {
            let ports = (default.proxy_listen_port, default.proxy_inbound_listen_port);
            (Default::default(), ports.0, ports.1)
        });
        ProxyStart { settings, outbound_port, inbound_port }
    }
}

/// What the relay leads to.
pub(super) fn is_ingress(template: &Template) -> bool {
    template.role == Role::Gateway
        && template.labels.get("istio").is_some_and(|value| value == "ingressgateway")
}

/// The gateway that is part of the mesh.
fn gateway() -> Group {
    let template = Template {
        labels: documents::gateway_labels(),
        annotations: BTreeMap::new(),
        spec: PodSpec {
            service_account: Str::from("istio-ingressgateway-service-account"),
            ..PodSpec::default()
        },
        role: Role::Gateway,
        commands: Vec::new(),
    };
    let namespace = documents::GATEWAY_NAMESPACE.to_owned();
    let key = GroupKey { kind: "Gateway", namespace, name: documents::GATEWAY_NAME.to_owned() };
    Group { key, replicas: 1, hash: workload::hash(&template), template: Arc::new(template) }
}
