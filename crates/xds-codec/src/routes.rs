//! Route configurations virtual host by virtual host. One has thousands of them, and a change concerns a
//! few: who keeps what it made of the others has to encode, or decode, only those.
//!
//! The bytes are the ordinary ones. In protobuf the elements of a repeated field are written one after
//! the other, so the encoding of a configuration is that of the rest of it and then that of each host.
//! See <https://protobuf.dev/programming-guides/encoding/#optional>.

use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::sync::Arc;

use ir::{Resource, ResourceType, RouteConfig, VirtualHost};
use prost::Message as _;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, message, skip_field};

use crate::decode::at::{At, Sink};
use crate::{DecodeError, decode, encode, pb};

/// `virtual_hosts` of `RouteConfiguration`.
const VIRTUAL_HOSTS: u32 = 2;

/// Encodes everything but the virtual hosts.
pub fn encode_rest(it: &RouteConfig) -> Vec<u8> {
    encode::route::settings(it).encode_to_vec()
}

/// Encodes a virtual host as a part of its configuration, to be put behind the rest of it.
pub fn encode_host(it: &VirtualHost) -> Vec<u8> {
    let mut bytes = Vec::new();
    message::encode(VIRTUAL_HOSTS, &encode::route::virtual_host(it), &mut bytes);
    bytes
}

/// Virtual hosts of the version before, by their encoding. Decodes those of the next version that are new.
#[derive(Debug, Default)]
pub struct KnownHosts {
    /// In order, with a fingerprint of the bytes: keeping these as well would double what a proxy keeps.
    hosts: Vec<(Fingerprint, Arc<VirtualHost>)>,
    hasher: Hasher,
}

/// 128 bits, by two keys that nobody outside of the process knows.
type Fingerprint = [u64; 2];

#[derive(Debug, Default)]
struct Hasher([foldhash::quality::RandomState; 2]);

impl Hasher {
    fn fingerprint(&self, bytes: &[u8]) -> Fingerprint {
        self.0.each_ref().map(|key| key.hash_one(bytes))
    }
}

impl KnownHosts {
    /// Decodes a route configuration. Hosts whose encoding is the same as in the last one are the same
    /// `Arc`.
    ///
    /// # Errors
    /// As [`decode_bytes`](crate::decode_bytes). What is known stays.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<RouteConfig, DecodeError> {
        if let Some((config, hosts)) = self.try_decode(bytes) {
            self.hosts = hosts;
            return Ok(config);
        }
        // Something is wrong in it. Whoever reads all of it says what.
        match decode::bytes(ResourceType::Route, bytes)? {
            Resource::Route(config) => Ok(Arc::unwrap_or_clone(config)),
            _ => Ok(RouteConfig::default()),
        }
    }

    fn try_decode(&self, bytes: &[u8]) -> Option<(RouteConfig, Vec<(Fingerprint, Arc<VirtualHost>)>)> {
        if bytes.len() > decode::MAX_BYTES {
            return None;
        }
        let parts = split(bytes)?;
        let sink = Sink::default();
        let rest = pb::route::RouteConfiguration::decode(parts.rest.as_slice()).ok()?;
        let mut config = decode::route::discovered(At::root(&sink), rest);
        let mut hosts = Vec::with_capacity(parts.hosts.len());
        config.virtual_hosts.reserve_exact(parts.hosts.len());
        let prints: Vec<Fingerprint> = parts.hosts.iter().map(|part| self.hasher.fingerprint(part)).collect();
        let mut places = Places { known: &self.hosts, prints: &prints, next: 0, all: None };
        for (number, (part, print)) in parts.hosts.into_iter().zip(&prints).enumerate() {
            let at = places.of(number, print);
            let host = match at.and_then(|at| self.hosts.get(at)) {
                Some((_, known)) => known.clone(),
                None => {
                    let message = pb::route::VirtualHost::decode(part).ok()?;
                    Arc::new(decode::route::virtual_host(At::root(&sink), message))
                }
            };
            hosts.push((*print, host.clone()));
            config.virtual_hosts.push(host);
        }
        sink.problems().is_empty().then_some((config, hosts))
    }
}

/// Finds hosts of the version before.
struct Places<'a> {
    known: &'a [(Fingerprint, Arc<VirtualHost>)],
    prints: &'a [Fingerprint],
    /// Where the next one was, if nothing has come or gone.
    next: usize,
    all: Option<HashMap<Fingerprint, usize>>,
}

impl Places<'_> {
    /// Where the host with this number was. Most are where they were, or behind one that has come or gone:
    /// only what is otherwise has to be looked up among all.
    fn of(&mut self, number: usize, print: &Fingerprint) -> Option<usize> {
        let known = |at: usize| self.known.get(at).map(|(print, _)| print);
        let following = self.prints.get(number + 1);
        let (at, next) = if known(self.next) == Some(print) {
            (Some(self.next), self.next + 1)
        } else if known(self.next + 1) == Some(print) {
            (Some(self.next + 1), self.next + 2)
        } else if following == known(self.next + 1) {
            (None, self.next + 1)
        } else if following == known(self.next) {
            (None, self.next)
        } else {
            let numbered = || self.known.iter().enumerate().map(|(i, (print, _))| (*print, i)).collect();
            let at = self.all.get_or_insert_with(numbered).get(print).copied();
            (at, at.unwrap_or(self.next) + 1)
        };
        self.next = next;
        at
    }
}

/// The encoding of a route configuration, taken apart.
struct Parts<'a> {
    rest: Vec<u8>,
    hosts: Vec<&'a [u8]>,
}

/// `None`: it is not the encoding of a message.
fn split(bytes: &[u8]) -> Option<Parts<'_>> {
    let mut parts = Parts { rest: Vec::new(), hosts: Vec::new() };
    let mut left = bytes;
    while !left.is_empty() {
        let field = left;
        let (tag, wire_type) = decode_key(&mut left).ok()?;
        if (tag, wire_type) == (VIRTUAL_HOSTS, WireType::LengthDelimited) {
            let length = usize::try_from(decode_varint(&mut left).ok()?).ok()?;
            parts.hosts.push(left.get(..length)?);
            left = &left[length..];
        } else {
            skip_field(wire_type, tag, &mut left, DecodeContext::default()).ok()?;
            parts.rest.extend_from_slice(&field[..field.len() - left.len()]);
        }
    }
    Some(parts)
}

/// Decodes what [`encode_host`] wrote.
///
/// # Errors
/// As [`decode_bytes`](crate::decode_bytes).
pub fn decode_host(bytes: &[u8]) -> Result<VirtualHost, DecodeError> {
    // How long a body may be is said by a host's configuration, whose it is to look.
    let max_direct_response_body_size = Some(u32::MAX);
    let around = RouteConfig { name: "-".into(), max_direct_response_body_size, ..RouteConfig::default() };
    match decode::bytes(ResourceType::Route, &[encode_rest(&around), bytes.to_vec()].concat())? {
        Resource::Route(config) => match Arc::unwrap_or_clone(config).virtual_hosts.pop() {
            Some(host) => Ok(Arc::unwrap_or_clone(host)),
            None => Ok(VirtualHost::default()),
        },
        _ => Ok(VirtualHost::default()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary::{route_config, virtual_host};

    /// What to do to a list of virtual hosts.
    #[derive(Clone, Debug)]
    enum Step {
        Put(prop::sample::Index, VirtualHost),
        Insert(prop::sample::Index, VirtualHost),
        Remove(prop::sample::Index),
        /// All are encoded anew: maps have no order, so the bytes may be others.
        Again,
    }

    fn step() -> impl Strategy<Value = Step> {
        let at = any::<prop::sample::Index>;
        prop_oneof![
            (at(), virtual_host()).prop_map(|(at, host)| Step::Put(at, host)),
            (at(), virtual_host()).prop_map(|(at, host)| Step::Insert(at, host)),
            at().prop_map(Step::Remove),
            Just(Step::Again),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

        /// Whatever came before, what is decoded is what decoding all of it gives; and the parts make up
        /// the ordinary encoding.
        #[test]
        fn a_history_of_versions_is_decoded_as_each_alone(
            start in route_config(),
            steps in vec(step(), 1..12),
        ) {
            let mut known = KnownHosts::default();
            let mut config = start;
            let mut encoded: Vec<Vec<u8>> = config.virtual_hosts.iter().map(|h| encode_host(h)).collect();
            for step in steps {
                let length = encoded.len();
                match step {
                    Step::Put(at, host) if length > 0 => {
                        encoded[at.index(length)] = encode_host(&host);
                        config.virtual_hosts[at.index(length)] = Arc::new(host);
                    }
                    Step::Put(at, host) | Step::Insert(at, host) => {
                        encoded.insert(at.index(length + 1), encode_host(&host));
                        config.virtual_hosts.insert(at.index(length + 1), Arc::new(host));
                    }
                    Step::Remove(at) if length > 0 => {
                        encoded.remove(at.index(length));
                        config.virtual_hosts.remove(at.index(length));
                    }
                    Step::Remove(_) => {}
                    Step::Again => encoded = config.virtual_hosts.iter().map(|h| encode_host(h)).collect(),
                }
                let bytes = [encode_rest(&config), encoded.concat()].concat();
                let whole = decode::bytes(ResourceType::Route, &bytes);
                prop_assert_eq!(&whole, &Ok(Resource::Route(Arc::new(config.clone()))));
                prop_assert_eq!(Ok(Resource::Route(Arc::new(known.decode(&bytes).unwrap()))), whole);
                for (host, bytes) in config.virtual_hosts.iter().zip(&encoded) {
                    prop_assert_eq!(&decode_host(bytes).unwrap(), &**host);
                }
            }
        }
    }

    #[test]
    fn what_is_the_same_is_not_made_again_and_what_is_wrong_is_named_as_ever() {
        let host = |name: &str| {
            let domains = vec![name.into()];
            Arc::new(VirtualHost { name: name.into(), domains, ..VirtualHost::default() })
        };
        let virtual_hosts = vec![host("a"), host("b")];
        let config = RouteConfig { name: "80".into(), virtual_hosts, ..RouteConfig::default() };
        let bytes = |config: &RouteConfig| encode::resource(&Resource::Route(Arc::new(config.clone()))).value;
        let mut known = KnownHosts::default();
        let first = known.decode(&bytes(&config)).unwrap();
        let mut next = config.clone();
        next.virtual_hosts.insert(1, host("c"));
        let second = known.decode(&bytes(&next)).unwrap();
        assert!(Arc::ptr_eq(&first.virtual_hosts[0], &second.virtual_hosts[0]));
        assert!(Arc::ptr_eq(&first.virtual_hosts[1], &second.virtual_hosts[2]));

        let nameless = VirtualHost { name: "".into(), ..VirtualHost::default() };
        next.virtual_hosts.insert(2, Arc::new(nameless));
        let error = known.decode(&bytes(&next)).unwrap_err();
        assert_eq!(Err(error), decode::bytes(ResourceType::Route, &bytes(&next)));
        for cut in 0..bytes(&config).len() {
            let part = &bytes(&config)[..cut];
            let whole = decode::bytes(ResourceType::Route, part);
            assert_eq!(known.decode(part).map(|it| Resource::Route(Arc::new(it))), whole, "{cut} bytes");
        }
    }
}
