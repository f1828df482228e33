//! What a proxy is to have: resources in the form in which they are sent, shared by everyone who
//! has the same.

use std::fmt;
use std::sync::Arc;

use ir::{Resource, ResourceType, RouteConfig};
use model::Origin;
use stdx::{Digest, Str};

use crate::hosts::{EncodedHost, Hosts, Parts};

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
    pub body: Body,
    /// Other resources that this one names, sorted.
    pub references: Arc<[Reference]>,
    /// What leads here from the version before.
    pub step: Option<Step>,
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

/// The bytes of a message, in parts that others have too. Together they are one encoding.
#[derive(Debug, Default)]
pub struct Body {
    own: Vec<u8>,
    hosts: Vec<Arc<EncodedHost>>,
    /// Of all of it.
    len: usize,
}

impl From<Vec<u8>> for Body {
    fn from(own: Vec<u8>) -> Self {
        let len = own.len();
        Body { own, hosts: Vec::new(), len }
    }
}

impl Body {
    /// Bytes of the message.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The message in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.len());
        self.parts().for_each(|part| all.extend_from_slice(part));
        all
    }

    /// The message in pieces.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&*self.own).chain(self.hosts.iter().map(|host| &*host.bytes))
    }

    /// Of a route configuration: its virtual hosts.
    pub fn hosts(&self) -> &[Arc<EncodedHost>] {
        &self.hosts
    }
}

/// How a version differs from one that clients may have.
#[derive(Debug)]
pub struct Step {
    /// The version before.
    pub from: Digest,
    /// What is named by the parts that the version before does not have, sorted.
    pub references: Vec<Reference>,
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
        let references = crate::references::of(resource).into();
        let origin = crate::references::origin(resource);
        let (version, body) = (resource.version(), any.value.into());
        Ok(Encoded { ty, name, version, body, references, step: None, origin })
    }

    /// As [`new`](Self::new), of a route configuration: only virtual hosts that `hosts` does not have are
    /// encoded. `before` is the version that clients may have.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn routes(
        config: &Arc<RouteConfig>,
        before: Option<&Encoded>,
        hosts: &mut Hosts,
    ) -> Result<Encoded, Withheld> {
        let (ty, name) = (ResourceType::Route, config.name.clone());
        let withheld = |reason: String| Withheld { ty, name: name.clone(), reason };
        let rest = config.without_hosts();
        let own = xds_codec::routes::encode_rest(config);
        match xds_codec::decode_bytes(ty, &own) {
            Err(error) => return Err(withheld(error.to_string())),
            Ok(Resource::Route(back)) if *back == rest => {}
            Ok(_) => return Err(withheld("it reads back differently".into())),
        }
        let before = before.filter(|before| before.ty == ty);
        let parts = Parts::of(config, before.map_or(&[], |before| before.body.hosts()), hosts);
        let parts = parts.map_err(withheld)?;
        let step = before.map(|before| Step {
            from: before.version,
            references: crate::references::of_parts(&rest, parts.new.iter()),
        });
        let references = match before.filter(|before| before.body.own == own) {
            Some(before) => parts.references_after(before, config),
            None => crate::references::of_parts(&rest, parts.all.iter()).into(),
        };
        let version = config.version_with(&parts.versions);
        let origin = crate::references::origin(&Resource::Route(config.clone()));
        let body = Body { len: own.len() + parts.len, own, hosts: parts.all };
        Ok(Encoded { ty, name, version, body, references, step, origin })
    }
}
