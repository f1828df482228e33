//! Which host is whose: Services and ServiceEntries by the names they can be called by, within the
//! namespaces they are exported to.

use std::collections::HashMap;
use std::sync::Arc;

use model::{Labels, Str};

use crate::kind::Kind;
use crate::object::{Object, labels_of};
use crate::snapshot::Snapshot;

/// Exported to every namespace.
pub const EVERYWHERE: &str = "*";
/// Exported to the object's own namespace.
pub const HERE: &str = ".";

/// Something that has a host.
#[derive(Clone, Debug)]
pub struct HostEntry {
    pub object: Arc<Object>,
    /// The port numbers that callers use.
    pub ports: Vec<i64>,
    /// What a ServiceEntry's `workloadSelector` asks for; empty without one.
    pub workload_labels: Labels,
}

/// All hosts, by namespace they can be seen from (`*` for all).
#[derive(Debug, Default)]
pub struct Hosts {
    exact: HashMap<(Str, Str), Arc<HostEntry>>,
    /// Hosts that begin with `*`: scope, what follows, whose.
    wildcards: Vec<(Str, Str, Arc<HostEntry>)>,
}

impl Hosts {
    pub fn new(snapshot: &Snapshot) -> Hosts {
        let mut hosts = Hosts::default();
        for object in snapshot.of(Kind::ServiceEntry) {
            let spec = object.spec();
            let entry = Arc::new(HostEntry {
                object: object.clone(),
                ports: spec.get("ports").items().filter_map(|port| port.get("number").int()).collect(),
                workload_labels: labels_of(spec.path("workloadSelector.labels")),
            });
            let scopes = scopes(&spec.get("exportTo").strings(), &object.namespace);
            for host in spec.get("hosts").strings() {
                for scope in &scopes {
                    hosts.insert(scope, &full_host(host, &object.namespace), &entry);
                }
            }
        }
        for object in snapshot.of(Kind::Service) {
            let ports = object.spec().get("ports").items().filter_map(|port| port.get("port").int());
            let entry = Arc::new(HostEntry {
                object: object.clone(),
                ports: ports.collect(),
                workload_labels: Labels::default(),
            });
            let export = object.annotation("networking.istio.io/exportTo").unwrap_or_default();
            let export: Vec<&str> = export.split(',').map(str::trim).filter(|s| !s.is_empty()).collect();
            for scope in scopes(&export, &object.namespace) {
                hosts.insert(&scope, &full_host(object.name(), &object.namespace), &entry);
            }
        }
        hosts
    }

    fn insert(&mut self, scope: &str, host: &str, entry: &Arc<HostEntry>) {
        if let Some(suffix) = host.strip_prefix('*') {
            self.wildcards.push((scope.into(), suffix.into(), entry.clone()));
        }
        self.exact.insert((scope.into(), host.into()), entry.clone());
    }

    /// Whose host this is, written in an object of `namespace` that is itself exported to
    /// `export_to`.
    pub fn find(&self, host: &str, namespace: &str, export_to: &[&str]) -> Option<&Arc<HostEntry>> {
        let full = Str::from(full_host(host, namespace));
        let exact = |scope: &str| self.exact.get(&(Str::from(scope), full.clone()));
        if let Some(found) = exact(EVERYWHERE) {
            return Some(found);
        }
        let here = [HERE];
        let scopes = if export_to.is_empty() { &here[..] } else { export_to };
        let found = scopes.iter().find_map(|scope| exact(if *scope == HERE { namespace } else { scope }));
        found.or_else(|| self.wildcard(host, namespace))
    }

    fn wildcard(&self, host: &str, namespace: &str) -> Option<&Arc<HostEntry>> {
        let host = host.strip_prefix('*').unwrap_or(host);
        let seen = |scope: &Str| **scope == *EVERYWHERE || **scope == *namespace;
        let fits = |(scope, suffix, _): &&(Str, Str, _)| seen(scope) && host.ends_with(&**suffix);
        self.wildcards.iter().find(fits).map(|(.., entry)| entry)
    }
}

/// The namespaces that `exportTo` names; nothing means everywhere.
pub fn scopes(export_to: &[&str], namespace: &str) -> Vec<Str> {
    if export_to.is_empty() || export_to.contains(&EVERYWHERE) {
        return vec![EVERYWHERE.into()];
    }
    let mut scopes: Vec<Str> =
        export_to.iter().map(|scope| Str::from(if *scope == HERE { namespace } else { scope })).collect();
    scopes.sort();
    scopes.dedup();
    scopes
}

/// A host as it is in the registry: a name without dots is a Service of the namespace.
pub fn full_host(host: &str, namespace: &str) -> String {
    if host.starts_with('*') || host.contains('.') {
        return host.to_owned();
    }
    format!("{host}.{namespace}.svc.cluster.local")
}

/// Namespace and name of the Service that a host names; for any other host, the namespace it was
/// written in and the host itself.
pub fn service_name<'h>(host: &'h str, namespace: &'h str) -> (&'h str, &'h str) {
    host.strip_suffix(".svc.cluster.local")
        .and_then(|rest| rest.rsplit_once('.'))
        .map_or((namespace, host), |(name, ns)| (ns, name))
}

/// Whether some name is meant by both, as Istio compares hosts of Gateways and VirtualServices.
pub fn overlap(a: &str, b: &str) -> bool {
    model::Host::new(a).overlaps(&model::Host::new(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::snapshot;

    #[test]
    fn hosts_are_seen_where_they_are_exported_to() {
        let snapshot = snapshot(
            "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: x}\nspec: {ports: [{port: 80}]}\n---\n\
             apiVersion: v1\nkind: Service\nmetadata:\n  name: b\n  namespace: x\n  \
             annotations: {networking.istio.io/exportTo: '.'}\nspec: {}\n---\n\
             apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: w, namespace: y}\n\
             spec: {hosts: ['*.example.com'], ports: [{number: 443, name: tls, protocol: TLS}], resolution: NONE}\n",
        );
        let hosts = snapshot.hosts();
        let name = |host: &str, ns: &str| hosts.find(host, ns, &[]).map(|e| e.object.full_name());
        assert_eq!(name("a", "x").as_deref(), Some("x/a"));
        assert_eq!(name("a", "y"), None);
        assert_eq!(name("a.x.svc.cluster.local", "y").as_deref(), Some("x/a"));
        assert_eq!(name("b", "x").as_deref(), Some("x/b"));
        assert_eq!(name("b.x.svc.cluster.local", "y"), None);
        assert_eq!(name("api.example.com", "x").as_deref(), Some("y/w"));
        assert_eq!(name("example.com", "x"), None);
    }

    #[test]
    fn a_full_host_names_its_service() {
        assert_eq!(service_name("a.x.svc.cluster.local", "y"), ("x", "a"));
        assert_eq!(service_name("a", "y"), ("y", "a"));
        assert_eq!(service_name("example.com", "y"), ("y", "example.com"));
    }
}
