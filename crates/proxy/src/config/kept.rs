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
    /// Of a value that was not decoded. Encodes, and decodes again to be sure: what does not come out as
    /// it went in stays as it is.
    pub fn new(value: &Arc<T>) -> Self {
        let bytes = xds_codec::encode(&T::wrap(value.clone())).value;
        let form = match unpack(&bytes) {
            Some(same) if same == *value => Form::Packed(bytes.into()),
            _ => Form::Whole(value.clone()),
        };
        Kept { digest: digest(value), form }
    }

    /// `encoded` is what the value was decoded from, if it was.
    pub fn of(value: &Arc<T>, encoded: Option<Box<[u8]>>) -> Self {
        let Some(bytes) = encoded else { return Self::new(value) };
        debug_assert!(unpack::<T>(&bytes).is_some_and(|same| same == *value), "decoded from other bytes");
        Kept { digest: digest(value), form: Form::Packed(bytes) }
    }

    /// The resource. Decoding costs some microseconds.
    pub fn value(&self) -> Arc<T> {
        match &self.form {
            // They could be decoded before.
            Form::Packed(bytes) => unpack(bytes).unwrap_or_else(|| Arc::new(T::nothing())),
            Form::Whole(value) => value.clone(),
        }
    }

    /// The resource, packed for `/config_dump`: as we write it, whoever wrote it.
    pub fn to_any(&self) -> Any {
        xds_codec::encode(&T::wrap(self.value()))
    }
}

fn unpack<T: Keep>(bytes: &[u8]) -> Option<Arc<T>> {
    T::unwrap(xds_codec::decode_bytes(T::TYPE, bytes).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_came_are_as_good_as_our_own() {
        let cluster = Cluster::new("c", ir::ClusterDiscovery::Static(LoadAssignment::default()));
        // `alt_stat_name`, empty: another writer may say what goes without saying.
        let bytes =
            [&xds_codec::encode(&Cluster::wrap(Arc::new(cluster))).value[..], &[0xe2, 0x01, 0]].concat();
        let value = unpack::<Cluster>(&bytes).expect("a cluster");
        let (came, made) = (Kept::of(&value, Some(bytes.into())), Kept::new(&value));
        assert!(came == made && came.value() == value && made.value() == value);
        assert_eq!(came.to_any().value, made.to_any().value, "shown as we write it");
        let other = Arc::new(Cluster::new("other", value.discovery.clone()));
        assert!(Kept::new(&other) != came);
    }
}
