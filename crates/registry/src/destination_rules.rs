//! DestinationRules: merging within a namespace, and which one a client is told.

use std::sync::Arc;

use istio_api::Document;
use istio_api::networking::{DestinationRule, Subset, TrafficPolicy};
use model::{Host, Labels, ObjectRef};

use crate::config::{self, Spec};
use crate::{Config, Export, Snapshot};

/// DestinationRules of one namespace for one host, merged as Istio does: those with the same
/// `exportTo` and the same clients; the oldest one's traffic policy; the subsets of all, of several with one name the
/// oldest.
#[derive(Clone, Debug, PartialEq)]
pub struct MergedRule {
    /// The oldest of them.
    pub object: ObjectRef,
    pub host: Host,
    /// With the object that says it.
    pub traffic_policy: Option<(TrafficPolicy, ObjectRef)>,
    pub subsets: Vec<MergedSubset>,
    pub export_to: Export,
    /// The clients of its own namespace that it is for; `None`: all, of whatever namespace.
    pub selector: Option<Labels>,
}

/// A subset, and the object that declares it.
#[derive(Clone, Debug, PartialEq)]
pub struct MergedSubset {
    pub subset: Subset,
    pub object: ObjectRef,
}

impl MergedRule {
    pub fn subset(&self, name: &str) -> Option<&MergedSubset> {
        self.subsets.iter().find(|merged| merged.subset.name == *name)
    }
}

/// The host under which a document's DestinationRule is found.
pub(crate) fn host_of(snapshot: &Snapshot, document: &Document) -> Option<Host> {
    let spec = DestinationRule::of(&document.body)?;
    Some(snapshot.resolve(&spec.host, &document.object.namespace))
}

/// The rules of a namespace for exactly this host, merged; several if they differ in `exportTo`
/// or in the clients that they are for.
pub(crate) fn merged(snapshot: &Snapshot, namespace: &str, host: &Host) -> Vec<Arc<MergedRule>> {
    let documents = snapshot.objects_in(DestinationRule::KIND, namespace);
    let documents = documents.filter(|d| host_of(snapshot, d).as_ref() == Some(host));
    let mut configs: Vec<Config<DestinationRule>> = documents.filter_map(|d| Config::of(d)).collect();
    config::sort(&mut configs);
    let mut rules: Vec<MergedRule> = Vec::new();
    for config in configs {
        let default = &snapshot.mesh.default_destination_rule_export_to;
        let export_to = Export::new(&config.spec.export_to, default, namespace);
        let selector = config.spec.workload_selector.as_ref().map(|selector| selector.match_labels.clone());
        match rules.iter_mut().find(|rule| rule.export_to == export_to && rule.selector == selector) {
            Some(rule) => merge(rule, &config),
            None => {
                let mut rule = MergedRule {
                    object: config.object.clone(),
                    host: host.clone(),
                    traffic_policy: None,
                    subsets: Vec::new(),
                    export_to,
                    selector,
                };
                merge(&mut rule, &config);
                rules.push(rule);
            }
        }
    }
    rules.into_iter().map(Arc::new).collect()
}

fn merge(rule: &mut MergedRule, config: &Config<DestinationRule>) {
    if rule.traffic_policy.is_none() {
        rule.traffic_policy = config.spec.traffic_policy.clone().map(|p| (p, config.object.clone()));
    }
    for subset in &config.spec.subsets {
        if rule.subset(&subset.name).is_none() {
            rule.subsets.push(MergedSubset { subset: subset.clone(), object: config.object.clone() });
        }
    }
}

/// The client's namespace, the service's, the root namespace. Rules of another namespace than the
/// client's must be exported to it, and must not be for single clients.
pub(crate) fn lookup<'s>(
    snapshot: &'s Snapshot,
    client: &str,
    labels: &Labels,
    service_namespace: &str,
    host: &Host,
) -> Option<&'s Arc<MergedRule>> {
    let root = &*snapshot.mesh.root_namespace;
    // In the root namespace only what is private to it is meant for its own clients first: the
    // mesh-wide defaults there must not hide a service's own rule.
    let private = |rule: &MergedRule| match &rule.export_to {
        Export::All => false,
        Export::Namespaces(names) => names.len() == 1 && names.contains(root),
    };
    let selects = |rule: &MergedRule| rule.selector.as_ref().is_some_and(|selector| selector.select(labels));
    let own = in_namespace(snapshot, client, host, selects);
    let whole = |rule: &MergedRule| rule.selector.is_none();
    let local = own.or_else(|| {
        in_namespace(snapshot, client, host, |rule| whole(rule) && (client != root || private(rule)))
    });
    let exported = |namespace| {
        in_namespace(snapshot, namespace, host, |rule| whole(rule) && rule.export_to.sees(client))
    };
    local.or_else(|| exported(service_namespace)).or_else(|| exported(root))
}

/// The rule for the most specific host that covers this one.
fn in_namespace<'s>(
    snapshot: &'s Snapshot,
    namespace: &str,
    host: &Host,
    visible: impl Fn(&MergedRule) -> bool,
) -> Option<&'s Arc<MergedRule>> {
    let find = |rules: &'s Arc<Vec<Arc<MergedRule>>>| rules.iter().find(|rule| visible(rule));
    if let Some(rule) = snapshot.rules.get(&(namespace.into(), host.clone())).and_then(find) {
        return Some(rule);
    }
    let wildcards = (namespace.into(), Host::new("*"))..(namespace.into(), Host::new("+"));
    let covering = snapshot.rules.range(wildcards).filter(|((_, wildcard), _)| wildcard.covers(host));
    let mut covering: Vec<_> = covering.collect();
    covering.sort_by_key(|((_, wildcard), _)| std::cmp::Reverse(wildcard.as_str().len()));
    covering.into_iter().find_map(|(_, rules)| find(rules))
}
