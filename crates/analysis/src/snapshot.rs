//! All files together: what an analyzer may ask. Indexes are made when first asked for.

mod change;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};

use istio_api::yaml::Node;
use model::{Labels, Str};

use crate::builtin;
use crate::file::File;
use crate::hosts::Hosts;
use crate::kind::Kind;
use crate::mesh::{Mesh, Source};
use crate::object::Object;
use crate::own::{Calls, Modes};
use crate::workloads::{self, Workload};

/// What there is beside the files.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// A MeshConfig given on its own; it wins over what the objects contain.
    pub mesh_config: Option<Arc<(Str, Node)>>,
    /// A MeshNetworks given on its own.
    pub mesh_networks: Option<Arc<(Str, Node)>>,
    /// Seconds since the Unix epoch, to judge certificates by.
    pub now: i64,
}

/// Kind, namespace and name.
type Key = (Kind, Str, Str);

/// What an analyzer sees.
#[derive(Debug, Default)]
pub struct Snapshot {
    pub files: Vec<Arc<File>>,
    pub mesh: Mesh,
    pub settings: Settings,
    by_kind: HashMap<Kind, Vec<Arc<Object>>>,
    by_name: HashMap<Key, Arc<Object>>,
    /// Names that several objects have.
    contested: HashSet<Key>,
    /// Objects that stand for one that another place has already, and that place's object.
    pub duplicates: Vec<(Arc<Object>, Arc<Object>)>,
    workloads: OnceLock<WorkloadIndex>,
    hosts: OnceLock<Hosts>,
    calls: OnceLock<Calls>,
    modes: OnceLock<Modes>,
}

impl Snapshot {
    /// Puts files together. Of objects with the same name the first one counts.
    pub fn new(files: Vec<Arc<File>>, settings: Settings) -> Snapshot {
        let mut mesh = Mesh::default();
        if let Some(given) = &settings.mesh_config {
            mesh.sources.push(Source::file(&given.0, given.1.clone()));
        }
        let objects = files.iter().flat_map(|file| &file.objects);
        mesh.sources.extend(objects.filter_map(Source::of));
        let built_in = builtin::file(&mesh).map(Arc::new);

        let mut snapshot = Snapshot { mesh, settings, ..Snapshot::default() };
        for file in files.iter().chain(&built_in) {
            for object in &file.objects {
                snapshot.add(object);
            }
        }
        snapshot.files = files;
        snapshot
    }

    /// One file alone, without what is built in: all that an analyzer by file reads.
    pub(crate) fn of_file(file: Arc<File>) -> Snapshot {
        let mut snapshot = Snapshot::default();
        file.objects.iter().for_each(|object| snapshot.add(object));
        snapshot.files = vec![file];
        snapshot
    }

    fn add(&mut self, object: &Arc<Object>) {
        if !is_one(object) {
            return;
        }
        if let Some(key) = key(object) {
            match self.by_name.get(&key) {
                Some(first) => {
                    let is_duplicate = first.cluster == object.cluster;
                    if is_duplicate && !object.built_in {
                        self.duplicates.push((object.clone(), first.clone()));
                    }
                    self.contested.insert(key);
                    if is_duplicate {
                        return;
                    }
                }
                None => {
                    self.by_name.insert(key, object.clone());
                }
            }
        }
        self.by_kind.entry(object.kind).or_default().push(object.clone());
    }

    /// The objects of a kind, in the order they were given.
    pub fn of(&self, kind: Kind) -> &[Arc<Object>] {
        self.by_kind.get(&kind).map_or(&[], Vec::as_slice)
    }

    /// The objects of several kinds.
    pub fn of_all<'a>(&'a self, kinds: &'a [Kind]) -> impl Iterator<Item = &'a Arc<Object>> {
        kinds.iter().flat_map(|kind| self.of(*kind))
    }

    /// An object by name. Cluster-scoped kinds have an empty namespace.
    pub fn find(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Arc<Object>> {
        self.by_name.get(&(kind, Str::from(namespace), Str::from(name)))
    }

    /// A reference as Istio writes one, `NAME` or `NAMESPACE/NAME`, resolved.
    pub fn refer<'r>(reference: &'r str, namespace: &'r str) -> (&'r str, &'r str) {
        reference.split_once('/').unwrap_or((namespace, reference))
    }

    /// Everything with pods' labels, see [`Workload`].
    pub fn workloads(&self) -> &[Workload] {
        &self.workload_index().workloads
    }

    fn workload_index(&self) -> &WorkloadIndex {
        self.workloads.get_or_init(|| WorkloadIndex::new(workloads::all(self)))
    }

    /// The workloads that a selector selects, in one namespace or in all. The empty selector
    /// selects all of them.
    pub fn select(&self, namespace: Option<&str>, selector: &Labels) -> Vec<&Workload> {
        self.selected(namespace, selector).collect()
    }

    /// As [`Snapshot::select`], one by one: who asks for any of thousands stops at the first.
    pub fn selected<'a, 's>(
        &'a self,
        namespace: Option<&'s str>,
        selector: &'s Labels,
    ) -> impl Iterator<Item = &'a Workload> + use<'a, 's> {
        let index = self.workload_index();
        // The rarest label of the selector leads to the fewest workloads.
        let rarest = selector.0.iter().map(|(k, v)| index.with_label(k, v)).min_by_key(|list| list.len());
        let positions: &[usize] = match (rarest, namespace) {
            (Some(list), _) => list,
            (None, Some(namespace)) => index.in_namespace(namespace),
            (None, None) => &index.everything,
        };
        positions.iter().filter_map(|i| index.workloads.get(*i)).filter(move |workload| {
            namespace.is_none_or(|ns| *workload.object.namespace == *ns) && selector.select(&workload.labels)
        })
    }

    /// Who calls whom.
    pub fn calls(&self) -> &Calls {
        self.calls.get_or_init(|| Calls::new(self))
    }

    /// What workloads ask of their callers' TLS.
    pub fn modes(&self) -> &Modes {
        self.modes.get_or_init(|| Modes::new(self))
    }

    /// Services and ServiceEntries by the hosts they have.
    pub fn hosts(&self) -> &Hosts {
        self.hosts.get_or_init(|| Hosts::new(self))
    }

    /// The labels of a namespace, if it is among the files.
    pub fn namespace_labels(&self, name: &str) -> Option<&Labels> {
        self.find(Kind::Namespace, "", name).map(|namespace| &namespace.labels)
    }
}

/// Whether this counts as an object. One without a name is none, and that has been said where it
/// was read.
fn is_one(object: &Object) -> bool {
    let may_be_nameless = matches!(object.kind, Kind::IstioOperator | Kind::AlertRules | Kind::Other);
    may_be_nameless || !object.name().is_empty()
}

/// What an object is found by; nothing if it cannot be.
fn key(object: &Object) -> Option<Key> {
    let has_name = !object.name().is_empty() && object.kind != Kind::Other;
    has_name.then(|| (object.kind, object.namespace.clone(), object.name().clone()))
}

/// Workloads by label and by namespace: with thousands of each, selectors must not ask every one.
#[derive(Debug, Default)]
struct WorkloadIndex {
    workloads: Vec<Workload>,
    /// The position of each.
    everything: Vec<usize>,
    by_label: HashMap<Str, HashMap<Str, Vec<usize>>>,
    by_namespace: HashMap<Str, Vec<usize>>,
}

impl WorkloadIndex {
    fn new(workloads: Vec<Workload>) -> Self {
        let mut index = WorkloadIndex::default();
        for (i, workload) in workloads.iter().enumerate() {
            index.by_namespace.entry(workload.object.namespace.clone()).or_default().push(i);
            for (key, value) in &workload.labels.0 {
                index.by_label.entry(key.clone()).or_default().entry(value.clone()).or_default().push(i);
            }
        }
        index.everything = (0..workloads.len()).collect();
        index.workloads = workloads;
        index
    }

    fn with_label(&self, key: &str, value: &str) -> &[usize] {
        self.by_label.get(key).and_then(|values| values.get(value)).map_or(&[], Vec::as_slice)
    }

    fn in_namespace(&self, namespace: &str) -> &[usize] {
        self.by_namespace.get(namespace).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::snapshot;

    #[test]
    fn selectors_find_workloads_by_namespace_and_labels() {
        let snapshot = snapshot(
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: x, labels: {app: a, v: '1'}}\n---\n\
             apiVersion: v1\nkind: Pod\nmetadata: {name: b, namespace: y, labels: {app: a}}\n",
        );
        let names = |ns: Option<&str>, selector: &[(&str, &str)]| -> Vec<String> {
            let selector: Labels = selector.iter().copied().collect();
            snapshot.select(ns, &selector).iter().map(|w| w.object.name().to_string()).collect()
        };
        assert_eq!(names(None, &[("app", "a")]), ["a", "b"]);
        assert_eq!(names(Some("y"), &[("app", "a")]), ["b"]);
        assert_eq!(names(None, &[("app", "a"), ("v", "1")]), ["a"]);
        assert_eq!(names(Some("x"), &[]), ["a"]);
        assert!(names(None, &[("app", "z")]).is_empty());
    }

    #[test]
    fn of_two_objects_with_one_name_the_first_counts() {
        let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n";
        let snapshot = snapshot(&format!("{text}---\n{text}"));
        assert_eq!(snapshot.duplicates.len(), 1);
        // And the built-in ingress gateway.
        assert_eq!(snapshot.of(Kind::Pod).len(), 2);
    }
}
