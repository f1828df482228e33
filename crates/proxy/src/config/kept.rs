//! Resources as they are kept while nobody looks at them: encoded. A proxy in a mesh is told of
//! thousands of services and talks to a handful; `ir` takes about five times the bytes.

use std::sync::Arc;

use ir::{Cluster, LoadAssignment, Resource, ResourceType};
use stdx::{Digest, digest};
use xds_codec::Any;

/// A type that is kept encoded.
pub trait Keep: std::hash::Hash + PartialEq + Sized {
    const TYPE: ResourceType;
    fn wrap(value: Arc<Self>) -> Resource;
    fn unwrap(resource: Resource) -> Option<Arc<Self>>;
    /// Nothing can be sent to it.
    fn nothing() -> Self;
}

impl Keep for Cluster {
    const TYPE: ResourceType = ResourceType::Cluster;
    fn wrap(value: Arc<Self>) -> Resource {
        Resource::Cluster(value)
    }
    fn unwrap(resource: Resource) -> Option<Arc<Self>> {
        if let Resource::Cluster(value) = resource { Some(value) } else { None }
    }
    fn nothing() -> Self {
        Cluster::new("", ir::ClusterDiscovery::Static(LoadAssignment::default()))
    }
}

impl Keep for LoadAssignment {
    const TYPE: ResourceType = ResourceType::Endpoints;
    fn wrap(value: Arc<Self>) -> Resource {
        Resource::Endpoints(value)
    }
    fn unwrap(resource: Resource) -> Option<Arc<Self>> {
        if let Resource::Endpoints(value) = resource { Some(value) } else { None }
    }
    fn nothing() -> Self {
        LoadAssignment::default()
    }
}

/// A resource, encoded. Two are equal if their content is.
#[derive(Debug)]
pub struct Kept<T> {
    digest: Digest,
    form: Form<T>,
}

#[derive(Debug)]
enum Form<T> {
    Packed(Box<[u8]>),
    Whole(Arc<T>),
}

impl<T> PartialEq for Kept<T> {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl<T: Keep> Kept<T> {
    /// Encodes, and decodes again to be sure: what does not come out as it went in stays as it is.
    pub fn new(value: &Arc<T>) -> Self {
        let bytes = xds_codec::encode(&T::wrap(value.clone())).value;
        let form = match unpack(&bytes) {
            Some(same) if same == *value => Form::Packed(bytes.into()),
            _ => Form::Whole(value.clone()),
        };
        Kept { digest: digest(value), form }
    }

    /// The resource. Decoding costs some microseconds.
    pub fn value(&self) -> Arc<T> {
        match &self.form {
            // It could be decoded when it was encoded.
            Form::Packed(bytes) => unpack(bytes).unwrap_or_else(|| Arc::new(T::nothing())),
            Form::Whole(value) => value.clone(),
        }
    }

    /// The resource, packed for `/config_dump`.
    pub fn to_any(&self) -> Any {
        match &self.form {
            Form::Packed(bytes) => Any { type_url: T::TYPE.type_url().to_owned(), value: bytes.to_vec() },
            Form::Whole(value) => xds_codec::encode(&T::wrap(value.clone())),
        }
    }
}

fn unpack<T: Keep>(bytes: &[u8]) -> Option<Arc<T>> {
    T::unwrap(xds_codec::decode_bytes(T::TYPE, bytes).ok()?)
}
