//! From objects to groups of equal pods that should run. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use istio_api::k8s::{Container, Pod, PodSpec};
use istio_api::{Document, Kind};
use model::{Labels, ObjectRef, Str};
use redirect::CaptureConfig;

use crate::images::Images;

/// What makes pods: a Deployment, a Pod that stands alone, or the mesh itself (its gateway).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupKey {
    pub kind: &'static str,
    pub namespace: String,
    pub name: String,
}

/// Pods that are equal but for name and address.
#[derive(Clone, Debug)]
pub struct Group {
    pub key: GroupKey,
    pub replicas: usize,
    /// Stands for everything that, changed, needs new pods.
    pub hash: String,
    pub template: Arc<Template>,
}

/// What a pod is made from.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub spec: PodSpec,
    pub role: Role,
    /// Command lines of the containers that are started, by name; in order.
    pub commands: Vec<(Str, Vec<String>)>,
}

/// Which proxy a pod has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// None: injection is off.
    Plain,
    /// A sidecar, with capture rules unless the pod asks for none.
    Sidecar { capture: bool },
    /// The proxy is what the pod is for.
    Gateway,
}

/// Something that its owner should know, and that keeps a pod or container from running.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    pub object: ObjectRef,
    pub message: String,
}

/// Users that applications may not run as.
const PROXY_USER: u32 = 1337;

/// The groups that `documents` ask for, and what is wrong with them. Objects without a group
/// here do not run.
pub fn groups<'a>(
    documents: impl Iterator<Item = &'a Document>,
    images: &Images,
) -> (Vec<Group>, Vec<Problem>) {
    let documents: Vec<&Document> = documents.collect();
    let mut found =
        Found { groups: Vec::new(), problems: Vec::new(), images, off: injection_off(&documents) };
    for document in documents {
        match &document.body {
            Kind::Deployment(deployment) => {
                let template = &deployment.template;
                let replicas = deployment.replicas as usize;
                found.add(document, replicas, &template.labels, &template.annotations, &template.spec);
            }
            Kind::Pod(pod) if stands_alone(pod) => {
                found.add(document, 1, &document.labels, &document.annotations, &pod.spec);
            }
            _ => {}
        }
    }
    (found.groups, found.problems)
}

/// A pod that somebody else runs has an address already.
fn stands_alone(pod: &Pod) -> bool {
    pod.status.ips.is_empty() && pod.owner.is_none()
}

/// Namespaces where injection is switched off.
fn injection_off(documents: &[&Document]) -> Vec<Str> {
    let namespaces = documents.iter().filter(|document| matches!(document.body, Kind::Namespace));
    let off = namespaces.filter(|document| document.labels.get("istio-injection") == Some("disabled"));
    off.map(|document| document.object.name.clone()).collect()
}

struct Found<'a> {
    groups: Vec<Group>,
    problems: Vec<Problem>,
    images: &'a Images,
    off: Vec<Str>,
}

impl Found<'_> {
    fn add(
        &mut self,
        document: &Document,
        replicas: usize,
        labels: &Labels,
        annotations: &BTreeMap<Str, Str>,
        spec: &PodSpec,
    ) {
        let object = &document.object;
        let first = self.problems.len();
        let role = self.role(object, labels, annotations);
        self.judge(object, spec);
        let (commands, missing) = self.commands(object, spec, role);
        let problems = self.problems.get(first..).unwrap_or_default();
        let nothing = commands.is_empty() && role != Role::Gateway;
        // A container without a command costs only itself; everything else costs the pod.
        if document.broken || problems.len() > missing || nothing {
            return;
        }
        let strings =
            |map: &BTreeMap<Str, Str>| map.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let template = Template {
            labels: strings(&labels.0),
            annotations: strings(annotations),
            spec: spec.clone(),
            role,
            commands,
        };
        let kind = if matches!(document.body, Kind::Deployment(_)) { "Deployment" } else { "Pod" };
        let key = GroupKey { kind, namespace: object.namespace.to_string(), name: object.name.to_string() };
        self.groups.push(Group { key, replicas, hash: hash(&template), template: Arc::new(template) });
    }

    fn problem(&mut self, object: &ObjectRef, message: String) {
        self.problems.push(Problem { object: object.clone(), message });
    }

    /// Which proxy the pod gets, by Istio's labels and annotations.
    fn role(&mut self, object: &ObjectRef, labels: &Labels, annotations: &BTreeMap<Str, Str>) -> Role {
        let annotation = |key: &str| annotations.get(key).map(Str::as_str);
        if annotation("inject.istio.io/templates") == Some("gateway") {
            return Role::Gateway;
        }
        let inject = labels.get("sidecar.istio.io/inject").or(annotation("sidecar.istio.io/inject"));
        match inject {
            Some("false" | "disabled") => return Role::Plain,
            None if self.off.contains(&object.namespace) => return Role::Plain,
            _ => {}
        }
        if let Err(bad) = CaptureConfig::from_annotations(annotation) {
            bad.iter().for_each(|bad| self.problem(object, bad.to_string()));
        }
        let mode = annotation("sidecar.istio.io/interceptionMode").unwrap_or("REDIRECT");
        match mode {
            "REDIRECT" => {}
            "NONE" => return Role::Sidecar { capture: false },
            other => {
                self.problem(object, format!("interceptionMode {other} is not supported (REDIRECT, NONE)"))
            }
        }
        Role::Sidecar { capture: true }
    }

    /// What a pod may not ask for here.
    fn judge(&mut self, object: &ObjectRef, spec: &PodSpec) {
        let containers = spec.containers.iter().map(|container| &container.name);
        let volumes = spec.volumes.iter().map(|volume| &volume.name);
        for name in [&object.name, &object.namespace].into_iter().chain(containers).chain(volumes) {
            // Names become names of files.
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
            if !name.chars().all(plain) || name.starts_with('.') || name.len() > 253 {
                self.problem(object, format!("{name:?} is no name: a to z, 0 to 9, - and . only"));
            }
        }
        if spec.host_network {
            self.problem(
                object,
                "hostNetwork: a pod of the local mesh always has a network of its own".into(),
            );
        }
        let users = spec.containers.iter().map(|container| container.run_as_user).chain([spec.run_as_user]);
        for user in users.flatten() {
            match user {
                0 => self.problem(object, "runAsUser 0: containers of the local mesh are not root".into()),
                PROXY_USER => {
                    self.problem(object, "runAsUser 1337 is the proxy's: nothing would be captured".into())
                }
                _ => {}
            }
        }
    }

    /// The command of every container that has one, and the number of those that have none.
    fn commands(
        &mut self,
        object: &ObjectRef,
        spec: &PodSpec,
        role: Role,
    ) -> (Vec<(Str, Vec<String>)>, usize) {
        let mut commands = Vec::new();
        let mut missing = 0;
        // `istio-proxy` in a template customises the injected container.
        let own = spec.containers.iter().filter(|container| *container.name != *"istio-proxy");
        for container in own.filter(|_| role != Role::Gateway) {
            match command_of(container, self.images) {
                Some(command) => commands.push((container.name.clone(), command)),
                None => {
                    missing += 1;
                    let (name, image) = (&container.name, &container.image);
                    let message = format!(
                        "container {name} is not started: images are not pulled, and nothing stands in for \
                         {image} (give it a command, or --image {image}=COMMAND)"
                    );
                    self.problem(object, message);
                }
            }
        }
        (commands, missing)
    }
}

/// `command` is in the entry point's place, `args` in its arguments'.
fn command_of(container: &Container, images: &Images) -> Option<Vec<String>> {
    let strings = |words: &[Str]| words.iter().map(Str::to_string).collect::<Vec<_>>();
    let mut command = match container.command.is_empty() {
        false => strings(&container.command),
        true => images.entry_point(&container.image)?,
    };
    command.extend(strings(&container.args));
    Some(command)
}

/// Ten letters, as a ReplicaSet's name ends in.
pub fn hash(template: &Template) -> String {
    letters(stdx::digest(&format!("{template:?}")).0, 10)
}

/// Letters that make no words, as Kubernetes uses them in generated names.
pub fn letters(mut number: u128, count: usize) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut text = String::new();
    for _ in 0..count {
        let index = (number % ALPHABET.len() as u128) as usize;
        text.push(char::from(*ALPHABET.get(index).unwrap_or(&b'x')));
        number /= ALPHABET.len() as u128;
    }
    text
}

#[cfg(test)]
#[path = "workload_tests.rs"]
mod tests;
