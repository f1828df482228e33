//! What a proxy is to have: resources in the form in which they are sent, shared by everyone who
//! has the same.

use std::fmt;
use std::sync::Arc;

use ir::{Resource, ResourceType};
use model::Origin;
use stdx::{Digest, Str};

/// The resources of one type, by name. A changed copy shares what did not change.
pub type TypeSet = imbl::OrdMap<Str, Arc<Encoded>>;

/// Everything one proxy (or many equal ones) is to have. Types that did not change share their
/// map with the set before.
#[derive(Clone, Debug, Default)]
pub struct ResourceSet {
    types: [Arc<TypeSet>; ResourceType::ALL.len()],
}

impl ResourceSet {
    /// The resources of a type.
    pub fn of(&self, ty: ResourceType) -> &Arc<TypeSet> {
        &self.types[ty as usize]
    }

    /// Puts the resources of a type in place of those before.
    pub fn set(&mut self, ty: ResourceType, resources: Arc<TypeSet>) {
        self.types[ty as usize] = resources;
    }
}

impl FromIterator<Arc<Encoded>> for ResourceSet {
    fn from_iter<I: IntoIterator<Item = Arc<Encoded>>>(resources: I) -> Self {
        let mut set = ResourceSet::default();
        for resource in resources {
            Arc::make_mut(&mut set.types[resource.ty as usize]).insert(resource.name.clone(), resource);
        }
        set
    }
}

/// A resource ready to be sent.
pub struct Encoded {
    pub ty: ResourceType,
    pub name: Str,
    /// Of the content ([`Resource::version`]), not of the bytes.
    pub version: Digest,
    /// The protobuf message, without its `Any`.
    pub body: Vec<u8>,
    /// Other resources that this one names, sorted.
    pub references: Vec<Reference>,
    /// The object that it comes from, if it is one.
    pub origin: Option<Origin>,
}

/// The version is of all of the content.
impl PartialEq for Encoded {
    fn eq(&self, other: &Self) -> bool {
        (self.ty, &self.name, self.version) == (other.ty, &other.name, other.version)
    }
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} ({} bytes)", self.ty, self.name, self.version, self.body.len())
    }
}

/// A resource named by another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    pub ty: ResourceType,
    pub name: Str,
}

/// A resource that is not sent, because the server could not read its own output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withheld {
    pub ty: ResourceType,
    pub name: Str,
    /// What the decoder said.
    pub reason: String,
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} is withheld: {}", self.ty, self.name, self.reason)
    }
}

impl Encoded {
    /// Encodes a resource, and decodes it again: what does not come back as it was is not sent.
    ///
    /// # Errors
    /// The decoder refused the encoder's output, or read something else from it.
    pub fn new(resource: &Resource) -> Result<Encoded, Withheld> {
        let (ty, name) = (resource.ty(), resource.name());
        let withheld = |reason: String| Withheld { ty, name: name.clone(), reason };
        let any = xds_codec::encode(resource);
        match xds_codec::decode(&any) {
            Err(error) => return Err(withheld(error.to_string())),
            Ok(back) if back != *resource => return Err(withheld("it reads back differently".into())),
            Ok(_) => {}
        }
        let references = crate::references::of(resource);
        let origin = crate::references::origin(resource);
        Ok(Encoded { ty, name, version: resource.version(), body: any.value, references, origin })
    }
}
