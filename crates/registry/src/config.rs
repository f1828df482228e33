//! An Istio object as translation sees it: content and where it came from.

use std::cmp::Ordering;
use std::sync::Arc;

use istio_api::networking::{DestinationRule, Gateway, ServiceEntry, Sidecar, VirtualService};
use istio_api::security::{AuthorizationPolicy, PeerAuthentication};
use istio_api::{Document, Kind};
use model::{ObjectRef, Origin};

/// An Istio object. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct Config<T> {
    pub object: ObjectRef,
    /// Seconds since the Unix epoch, 0 if not known.
    pub created: i64,
    pub spec: Arc<T>,
}

impl<T> Config<T> {
    /// The origin of something that a field of this object says.
    pub fn origin(&self, field: &str) -> Origin {
        Origin { object: self.object.clone(), field: field.into() }
    }
}

/// Kinds that a [`Config`] can be of. Sealed: the module is private.
pub trait Spec: Sized {
    const KIND: &'static str;
    fn of(kind: &Kind) -> Option<&Arc<Self>>;
}

macro_rules! spec {
    ($($kind:ident),*) => {$(
        impl Spec for $kind {
            const KIND: &'static str = stringify!($kind);
            fn of(kind: &Kind) -> Option<&Arc<Self>> {
                match kind {
                    Kind::$kind(spec) => Some(spec),
                    _ => None,
                }
            }
        }
    )*};
}

spec!(
    VirtualService,
    DestinationRule,
    Gateway,
    ServiceEntry,
    Sidecar,
    PeerAuthentication,
    AuthorizationPolicy
);

impl<T: Spec> Config<T> {
    pub(crate) fn of(document: &Document) -> Option<Self> {
        let spec = T::of(&document.body)?.clone();
        Some(Config { object: document.object.clone(), created: document.created, spec })
    }
}

/// Istio's order of precedence, first wins: the older one, then by name, then by namespace.
pub(crate) fn precedence(a: (i64, &ObjectRef), b: (i64, &ObjectRef)) -> Ordering {
    let key = |(created, object): (i64, &ObjectRef)| (created, object.name.clone(), object.namespace.clone());
    key(a).cmp(&key(b))
}

/// Sorts by [`precedence`].
pub(crate) fn sort<T>(configs: &mut [Config<T>]) {
    configs.sort_by(|a, b| precedence((a.created, &a.object), (b.created, &b.object)));
}
