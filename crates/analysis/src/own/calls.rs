//! Who calls whom, as far as files say: a workload whose environment or arguments contain the URL
//! of a service, and a policy that lets the identity of a workload call another.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use model::Str;

use crate::analyzers::is_for_sidecars;
use crate::hosts::service_name;
use crate::kind::Kind;
use crate::object::labels_of;
use crate::snapshot::Snapshot;
use crate::value::Val;
use crate::workloads::{Workload, containers};

/// A Service, by namespace and name.
pub type Service = (Str, Str);

/// Calls between Services.
#[derive(Debug, Default)]
pub struct Calls(pub BTreeMap<Service, BTreeSet<Service>>);

impl Calls {
    pub fn new(snapshot: &Snapshot) -> Calls {
        let mut calls = Calls::default();
        let services = services_of_workloads(snapshot);
        let known: BTreeSet<Service> =
            snapshot.of(Kind::Service).iter().map(|s| (s.namespace.clone(), s.name().clone())).collect();
        for (workload, callers) in snapshot.workloads().iter().zip(&services) {
            let texts = texts(workload.object.pod_spec());
            let called = texts
                .iter()
                .flat_map(|text| urls(text))
                .map(|host| service_of(host, &workload.object.namespace));
            for callee in called.filter(|callee| known.contains(callee)) {
                calls.add(callers, &callee);
            }
        }
        allowed(snapshot, &services, &mut calls);
        calls
    }

    fn add(&mut self, callers: &[Service], callee: &Service) {
        for caller in callers.iter().filter(|caller| *caller != callee) {
            self.0.entry(caller.clone()).or_default().insert(callee.clone());
        }
    }
}

/// The rules that sidecars have for a Service, with the VirtualService they are in.
pub fn rules_by_service(snapshot: &Snapshot) -> BTreeMap<Service, Vec<(&crate::object::Object, Val<'_>)>> {
    let mut rules: BTreeMap<Service, Vec<_>> = BTreeMap::new();
    for object in snapshot.of(Kind::VirtualService).iter().filter(|object| is_for_sidecars(object)) {
        for host in object.spec().get("hosts").strings() {
            let (namespace, name) = service_name(host, &object.namespace);
            let list = rules.entry((namespace.into(), name.into())).or_default();
            list.extend(object.spec().get("http").items().map(|rule| (&**object, rule)));
        }
    }
    rules
}

/// The Services of each workload, in the order of the workloads.
fn services_of_workloads(snapshot: &Snapshot) -> Vec<Vec<Service>> {
    let mut by_namespace: HashMap<&Str, Vec<_>> = HashMap::new();
    for service in snapshot.of(Kind::Service) {
        let selector = labels_of(service.spec().get("selector"));
        if !selector.is_empty() {
            by_namespace.entry(&service.namespace).or_default().push((selector, service));
        }
    }
    let of = |workload: &Workload| {
        let here = by_namespace.get(&workload.object.namespace).into_iter().flatten();
        let selecting = here.filter(|(selector, _)| selector.select(&workload.labels));
        selecting.map(|(_, s)| (s.namespace.clone(), s.name().clone())).collect()
    };
    snapshot.workloads().iter().map(of).collect()
}

/// What containers are told at their start.
fn texts(pod: Val<'_>) -> Vec<&str> {
    containers(pod)
        .flat_map(|container| {
            let variables = container.get("env").items().map(|variable| variable.get("value").str());
            let words = container.get("args").items().chain(container.get("command").items()).map(Val::str);
            variables.chain(words).collect::<Vec<_>>()
        })
        .collect()
}

/// The hosts of URLs in a text.
fn urls(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("://").filter_map(|(at, mark)| {
        let rest = &text[at + mark.len()..];
        let end =
            rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '.')).unwrap_or(rest.len());
        Some(&rest[..end]).filter(|host| !host.is_empty())
    })
}

/// The Service that a pod's resolver would find: a name, `NAME.NAMESPACE`, or the whole.
fn service_of(host: &str, namespace: &str) -> Service {
    let short = host.strip_suffix(".svc.cluster.local").or_else(|| host.strip_suffix(".svc")).unwrap_or(host);
    match short.split_once('.') {
        Some((name, namespace)) => (namespace.into(), name.into()),
        None => (namespace.into(), short.into()),
    }
}

/// An ALLOW policy names its callers by service account.
fn allowed(snapshot: &Snapshot, services: &[Vec<Service>], calls: &mut Calls) {
    let mut by_account: HashMap<String, Vec<Service>> = HashMap::new();
    for (workload, of) in snapshot.workloads().iter().zip(services) {
        let account = account(workload);
        by_account.entry(account).or_default().extend(of.iter().cloned());
    }
    let positions: HashMap<*const Workload, usize> = snapshot
        .workloads()
        .iter()
        .enumerate()
        .map(|(i, workload)| (std::ptr::from_ref(workload), i))
        .collect();
    for policy in snapshot.of(Kind::AuthorizationPolicy) {
        if !matches!(policy.spec().get("action").str(), "" | "ALLOW") {
            continue;
        }
        let selector = labels_of(policy.spec().path("selector.matchLabels"));
        if selector.is_empty() {
            continue;
        }
        let rules = policy.spec().get("rules").items().flat_map(|rule| rule.get("from").items());
        let principals = rules.flat_map(|from| from.path("source.principals").strings());
        let callers: Vec<Service> = principals
            .filter_map(|principal| by_account.get(principal.split_once('/')?.1))
            .flatten()
            .cloned()
            .collect();
        for workload in snapshot.select(Some(&policy.namespace), &selector) {
            let position = positions.get(&std::ptr::from_ref(workload));
            for callee in position.and_then(|i| services.get(*i)).into_iter().flatten() {
                calls.add(&callers, callee);
            }
        }
    }
}

/// The identity of a workload without its trust domain: `ns/NAMESPACE/sa/ACCOUNT`.
pub fn account(workload: &Workload) -> String {
    let account = workload.object.pod_spec().get("serviceAccountName").text().unwrap_or("default");
    format!("ns/{}/sa/{account}", workload.object.namespace)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::testing::snapshot;

    /// Services `a`, `b` and `c`, of which `a` calls `b` by its environment, and `b` may call `c`.
    pub const CHAIN: &str = "\
apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {selector: {app: a}, ports: [{port: 80}]}\n---\n\
apiVersion: v1\nkind: Service\nmetadata: {name: b}\nspec: {selector: {app: b}, ports: [{port: 80}]}\n---\n\
apiVersion: v1\nkind: Service\nmetadata: {name: c}\nspec: {selector: {app: c}, ports: [{port: 80}]}\n---\n\
apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {template: {metadata: {labels: {app: a}}, \
  spec: {containers: [{name: a, env: [{name: B, value: 'http://b.default:80/x'}, {name: C, value: c}]}]}}}\n---\n\
apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: b}\nspec: {template: {metadata: {labels: {app: b}}, \
  spec: {serviceAccountName: bs, containers: []}}}\n---\n\
apiVersion: v1\nkind: Pod\nmetadata: {name: c, labels: {app: c}}\nspec: {containers: []}\n---\n\
apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: c}\nspec:\n  \
  selector: {matchLabels: {app: c}}\n  rules: [{from: [{source: {principals: [cluster.local/ns/default/sa/bs]}}]}]\n---\n";

    #[test]
    fn urls_and_policies_say_who_calls_whom() {
        let calls = Calls::new(&snapshot(CHAIN));
        let names: Vec<String> = calls
            .0
            .iter()
            .flat_map(|(from, to)| to.iter().map(move |to| format!("{} {}", from.1, to.1)))
            .collect();
        assert_eq!(names, ["a b", "b c"]);
    }
}
