//! One object as it was written: identity, metadata, content, and where each field is.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Labels, ObjectRef, Place, Str};

use crate::extensions::{TrafficExtension, WasmPlugin};
use crate::k8s::{ConfigMap, Deployment, EndpointSlice, Pod, Secret, Service};
use crate::networking::{
    DestinationRule, EnvoyFilter, Gateway, ProxyConfig, ServiceEntry, Sidecar, VirtualService, WorkloadEntry,
    WorkloadGroup,
};
use crate::security::{AuthorizationPolicy, PeerAuthentication, RequestAuthentication};
use crate::telemetry::Telemetry;

/// An object of one of the kinds in [`Kind`].
#[derive(Clone, Debug)]
pub struct Document {
    /// A namespaced object that names no namespace is in `default`.
    pub object: ObjectRef,
    /// As in `networking.istio.io/v1`.
    pub api_version: Str,
    /// Where the document begins.
    pub place: Place,
    pub labels: Labels,
    pub annotations: BTreeMap<Str, Str>,
    /// Seconds since the Unix epoch; 0 when absent, as in files. Older objects win conflicts.
    pub created: i64,
    pub resource_version: Option<Str>,
    /// Whether Istio would refuse this object. Its content is then what could be read of it, and
    /// must not take effect, except that a broken policy denies what it selects.
    pub broken: bool,
    pub body: Kind,
    pub places: Places,
}

impl Document {
    /// Where a field was written; the nearest parent's place if the field itself was not.
    pub fn place_of(&self, field: &str) -> Place {
        self.places.find(field).map_or_else(
            || self.place.clone(),
            |(line, column)| Place { file: self.place.file.clone(), line, column },
        )
    }

    /// Whether both say the same thing, wherever it was written.
    pub fn same_content(&self, other: &Document) -> bool {
        self.object == other.object
            && self.api_version == other.api_version
            && self.labels == other.labels
            && self.annotations == other.annotations
            && self.created == other.created
            && self.broken == other.broken
            && self.body == other.body
    }

    /// Whether a broken version must still take effect, by denying: security policies.
    pub fn denies_when_broken(&self) -> bool {
        matches!(self.body, Kind::PeerAuthentication(_) | Kind::AuthorizationPolicy(_))
    }
}

/// The content of an object, by kind. Shared, since snapshots keep it.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    Namespace,
    ServiceAccount,
    Service(Arc<Service>),
    Pod(Arc<Pod>),
    Deployment(Arc<Deployment>),
    EndpointSlice(Arc<EndpointSlice>),
    ConfigMap(Arc<ConfigMap>),
    Secret(Arc<Secret>),
    VirtualService(Arc<VirtualService>),
    DestinationRule(Arc<DestinationRule>),
    Gateway(Arc<Gateway>),
    ServiceEntry(Arc<ServiceEntry>),
    PeerAuthentication(Arc<PeerAuthentication>),
    AuthorizationPolicy(Arc<AuthorizationPolicy>),
    RequestAuthentication(Arc<RequestAuthentication>),
    Sidecar(Arc<Sidecar>),
    WorkloadEntry(Arc<WorkloadEntry>),
    WorkloadGroup(Arc<WorkloadGroup>),
    ProxyConfig(Arc<ProxyConfig>),
    EnvoyFilter(Arc<EnvoyFilter>),
    Telemetry(Arc<Telemetry>),
    WasmPlugin(Arc<WasmPlugin>),
    TrafficExtension(Arc<TrafficExtension>),
}

impl Kind {
    /// Whether it is one of Istio's, and not of Kubernetes itself.
    pub fn is_istio(&self) -> bool {
        !matches!(
            self,
            Kind::Namespace
                | Kind::ServiceAccount
                | Kind::Service(_)
                | Kind::Pod(_)
                | Kind::Deployment(_)
                | Kind::EndpointSlice(_)
                | Kind::ConfigMap(_)
                | Kind::Secret(_)
        )
    }
}

/// Where each field of an object is: field path to line and column. Kept for Istio's kinds only.
#[derive(Clone, Debug, Default)]
pub struct Places(Vec<(Box<str>, u32, u32)>);

impl Places {
    pub(crate) fn record(&mut self, path: &str, line: u32, column: u32) {
        self.0.push((path.into(), line, column));
    }

    pub(crate) fn sorted(mut self) -> Self {
        self.0.sort();
        self.0.dedup_by(|a, b| a.0 == b.0);
        self.0.shrink_to_fit();
        self
    }

    /// Line and column of a field, or of its nearest parent that was written.
    pub fn find(&self, field: &str) -> Option<(u32, u32)> {
        let mut path = field;
        loop {
            if let Ok(index) = self.0.binary_search_by(|(p, ..)| (**p).cmp(path)) {
                return self.0.get(index).map(|(_, line, column)| (*line, *column));
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Places;

    #[test]
    fn a_field_that_is_absent_has_its_parents_place() {
        let mut places = Places::default();
        places.record("spec", 1, 1);
        places.record("spec.http[0]", 2, 3);
        places.record("spec.http[0].route", 3, 5);
        let places = places.sorted();
        assert_eq!(places.find("spec.http[0].route"), Some((3, 5)));
        assert_eq!(places.find("spec.http[0].timeout"), Some((2, 3)));
        assert_eq!(places.find("spec.http[7].timeout"), Some((1, 1)));
        assert_eq!(places.find("status"), None);
    }
}
