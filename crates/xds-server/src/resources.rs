//! What a proxy is to have: resources in the form in which they are sent, shared by everyone who
//! has the same.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use ir::{Resource, ResourceType, RouteConfig};
use model::Origin;
use stdx::{Digest, Str};

use crate::hosts::{EncodedHost, Hosts};

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
    pub references: Vec<Reference>,
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
}

impl From<Vec<u8>> for Body {
    fn from(own: Vec<u8>) -> Self {
        Body { own, hosts: Vec::new() }
    }
}

impl Body {
    /// Bytes of the message.
    pub fn len(&self) -> usize {
        self.own.len() + self.hosts.iter().map(|host| host.bytes.len()).sum::<usize>()
    }

    pub fn is_empty(&self) -> bool {
        self.own.is_empty() && self.hosts.is_empty()
    }

    /// The message in one piece.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.len());
        all.extend_from_slice(&self.own);
        self.hosts.iter().for_each(|host| all.extend_from_slice(&host.bytes));
        all
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

/// The parts that are not among those of before.
fn new_in<'a>(
    now: &'a [Arc<EncodedHost>],
    before: &[Arc<EncodedHost>],
) -> impl Iterator<Item = &'a Arc<EncodedHost>> {
    let known: HashSet<*const EncodedHost> = before.iter().map(Arc::as_ptr).collect();
    now.iter().filter(move |host| !known.contains(&Arc::as_ptr(host)))
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
        let encoded: Result<Vec<_>, String> =
            config.virtual_hosts.iter().map(|host| hosts.encode(host)).collect();
        let hosts = encoded.map_err(withheld)?;
        let versions: Vec<Digest> = hosts.iter().map(|host| host.version).collect();
        let resource = Resource::Route(config.clone());
        let references = crate::references::of_parts(&rest, hosts.iter());
        let step = before.filter(|before| before.ty == ty).map(|before| Step {
            from: before.version,
            references: crate::references::of_parts(&rest, new_in(&hosts, before.body.hosts())),
        });
        let version = config.version_with(&versions);
        let origin = crate::references::origin(&resource);
        Ok(Encoded { ty, name, version, body: Body { own, hosts }, references, step, origin })
    }
}
