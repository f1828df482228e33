//! What tells series apart. It is looked up for every request in a mesh, so it is borrowed from there, and
//! made into one of its own only for a series that is new.

use std::hash::{Hash, Hasher};

use hashbrown::Equivalent;
use ir::cluster::ServiceRef;
use ir::endpoint::WorkloadRef;
use ir::filter::Reporter;
use stdx::Str;

use crate::access_log::Flags;
use crate::telemetry::peer::Peer;

/// As a request or connection has it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct KeyRef<'a> {
    pub reporter: Reporter,
    pub remote: PeerRef<'a>,
    pub local_principal: &'a str,
    pub remote_principal: &'a str,
    pub service: ServiceOf<'a>,
    pub protocol: &'static str,
    pub status: u16,
    pub grpc_status: Option<u32>,
    pub flags: Flags,
    pub security: &'static str,
}

/// A workload as metrics name it. Empty means unknown.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(super) struct PeerRef<'a> {
    pub workload: &'a str,
    pub namespace: &'a str,
    pub canonical_name: &'a str,
    pub canonical_revision: &'a str,
    pub app: &'a str,
    pub version: &'a str,
    pub cluster: &'a str,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum ServiceOf<'a> {
    Known {
        host: &'a str,
        name: &'a str,
        namespace: &'a str,
    },
    /// `PassthroughCluster` and the like; with the host that the client asked for.
    Cluster {
        name: &'a str,
        host: Option<&'a [u8]>,
    },
}

/// As it is kept.
pub(super) struct Key {
    reporter: Reporter,
    remote: Peer,
    local_principal: Str,
    remote_principal: Str,
    service: Service,
    protocol: &'static str,
    status: u16,
    grpc_status: Option<u32>,
    flags: Flags,
    security: &'static str,
}

enum Service {
    Known(ServiceRef),
    Cluster { name: Str, host: Option<Box<[u8]>> },
}

impl KeyRef<'_> {
    pub fn to_key(self) -> Key {
        let PeerRef { workload, namespace, canonical_name, canonical_revision, app, version, cluster } =
            self.remote;
        Key {
            reporter: self.reporter,
            remote: Peer {
                workload: workload.into(),
                namespace: namespace.into(),
                canonical_name: canonical_name.into(),
                canonical_revision: canonical_revision.into(),
                app: app.into(),
                version: version.into(),
                cluster: cluster.into(),
            },
            local_principal: self.local_principal.into(),
            remote_principal: self.remote_principal.into(),
            service: match self.service {
                ServiceOf::Known { host, name, namespace } => Service::Known(ServiceRef {
                    host: host.into(),
                    name: name.into(),
                    namespace: namespace.into(),
                }),
                ServiceOf::Cluster { name, host } => {
                    Service::Cluster { name: name.into(), host: host.map(Into::into) }
                }
            },
            protocol: self.protocol,
            status: self.status,
            grpc_status: self.grpc_status,
            flags: self.flags,
            security: self.security,
        }
    }
}

impl Key {
    fn borrowed(&self) -> KeyRef<'_> {
        KeyRef {
            reporter: self.reporter,
            remote: (&self.remote).into(),
            local_principal: &self.local_principal,
            remote_principal: &self.remote_principal,
            service: match &self.service {
                Service::Known(service) => service.into(),
                Service::Cluster { name, host } => ServiceOf::Cluster { name, host: host.as_deref() },
            },
            protocol: self.protocol,
            status: self.status,
            grpc_status: self.grpc_status,
            flags: self.flags,
            security: self.security,
        }
    }
}

// Both have to be the same, or what is kept is not found.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.borrowed().hash(state);
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.borrowed() == other.borrowed()
    }
}

impl Eq for Key {}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        *self == key.borrowed()
    }
}

impl<'a> From<&'a Peer> for PeerRef<'a> {
    fn from(it: &'a Peer) -> Self {
        PeerRef {
            workload: &it.workload,
            namespace: &it.namespace,
            canonical_name: &it.canonical_name,
            canonical_revision: &it.canonical_revision,
            app: &it.app,
            version: &it.version,
            cluster: &it.cluster,
        }
    }
}

/// What an endpoint's metadata tell of it.
impl<'a> From<&'a WorkloadRef> for PeerRef<'a> {
    fn from(it: &'a WorkloadRef) -> Self {
        PeerRef {
            workload: &it.name,
            namespace: &it.namespace,
            canonical_name: &it.canonical_name,
            canonical_revision: &it.canonical_revision,
            cluster: &it.cluster,
            ..PeerRef::default()
        }
    }
}

impl<'a> From<&'a ServiceRef> for ServiceOf<'a> {
    fn from(it: &'a ServiceRef) -> Self {
        ServiceOf::Known { host: &it.host, name: &it.name, namespace: &it.namespace }
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::*;

    fn hash(it: impl Hash) -> u64 {
        foldhash::fast::FixedState::default().hash_one(it)
    }

    #[test]
    fn what_is_kept_is_found() {
        let workload = WorkloadRef { name: "w".into(), cluster: "c".into(), ..WorkloadRef::default() };
        let service = ServiceRef { host: "h".into(), name: "n".into(), namespace: "s".into() };
        let key = KeyRef {
            reporter: Reporter::Source,
            remote: (&workload).into(),
            local_principal: "spiffe://a",
            remote_principal: "",
            service: (&service).into(),
            protocol: "http",
            status: 200,
            grpc_status: None,
            flags: Flags::default(),
            security: "unknown",
        };
        let cluster = ServiceOf::Cluster { name: "PassthroughCluster", host: Some(b"h") };
        for key in [key, KeyRef { service: cluster, grpc_status: Some(0), ..key }] {
            let kept = key.to_key();
            assert!(key.equivalent(&kept) && hash(key) == hash(&kept) && kept == key.to_key());
            for other in [
                KeyRef { status: 503, ..key },
                KeyRef { remote: PeerRef { app: "w", ..key.remote }, ..key },
                KeyRef { local_principal: "", remote_principal: "spiffe://a", ..key },
                KeyRef { service: ServiceOf::Cluster { name: "PassthroughCluster", host: None }, ..key },
            ] {
                assert!(!other.equivalent(&kept));
            }
        }
    }
}
