//! Virtual hosts, encoded once for all route configurations that have them: those of a port as the proxies
//! of every namespace see it, and each next version.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Weak};

use ir::{ResourceType, RouteConfig, VirtualHost};
use stdx::{Digest, Str};

use crate::{Encoded, Reference};

/// A virtual host as a part of a route configuration.
pub struct EncodedHost {
    /// The host itself. Others may be the same in content; this one stands for them.
    pub host: Arc<VirtualHost>,
    pub version: Digest,
    pub bytes: Box<[u8]>,
    /// The clusters that it names.
    pub clusters: Box<[Str]>,
}

impl std::fmt::Debug for EncodedHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ({} bytes)", self.host.name, self.version, self.bytes.len())
    }
}

/// The virtual hosts of a configuration, and how they differ from those of the version before.
pub(crate) struct Parts<'b> {
    pub all: Vec<Arc<EncodedHost>>,
    /// Of `all`.
    pub versions: Vec<Digest>,
    /// Bytes.
    pub len: usize,
    /// Those of `all` that the version before does not have, as far as that was seen.
    pub new: Vec<Arc<EncodedHost>>,
    /// Those that only the version before has.
    gone: Vec<&'b Arc<EncodedHost>>,
}

impl<'b> Parts<'b> {
    /// Encodes what is new. Both versions have their hosts in about the same order, so that most of them
    /// are found without a look into anything else.
    ///
    /// # Errors
    /// As [`Hosts::encode`].
    pub fn of(
        config: &RouteConfig,
        before: &'b [Arc<EncodedHost>],
        hosts: &mut Hosts,
    ) -> Result<Self, String> {
        let count = config.virtual_hosts.len();
        let (all, versions) = (Vec::with_capacity(count), Vec::with_capacity(count));
        let mut parts = Parts { all, versions, len: 0, new: Vec::new(), gone: Vec::new() };
        let mut before = before.iter().peekable();
        for host in &config.virtual_hosts {
            // What comes earlier in the order of names is not there any more.
            while let Some(old) = before.next_if(|old| old.host.name < host.name && !is(old, host)) {
                parts.gone.push(old);
            }
            if let Some(same) = before.next_if(|old| is(old, host)) {
                parts.push(same.clone());
                continue;
            }
            let made = hosts.encode(host)?;
            match before.next_if(|old| old.host.name == host.name) {
                Some(same) if Arc::ptr_eq(same, &made) => {}
                replaced => {
                    parts.gone.extend(replaced);
                    parts.new.push(made.clone());
                }
            }
            parts.push(made);
        }
        parts.gone.extend(before);
        Ok(parts)
    }

    fn push(&mut self, host: Arc<EncodedHost>) {
        self.len += host.bytes.len();
        self.versions.push(host.version);
        self.all.push(host);
    }

    /// What a configuration names that differs from `before` in nothing but these parts.
    pub fn references_after(&self, before: &Encoded, config: &RouteConfig) -> Arc<[Reference]> {
        let gone: BTreeSet<&Str> = self.gone.iter().flat_map(|host| &host.clusters).collect();
        let new: BTreeSet<&Str> = self.new.iter().flat_map(|host| &host.clusters).collect();
        if gone == new {
            return before.references.clone();
        }
        let mut lost: BTreeSet<&Str> = &gone - &new;
        let of_hosts = self.all.iter().flat_map(|host| &host.clusters);
        for name in of_hosts.chain(config.mirrors.iter().filter_map(|mirror| mirror.cluster.name())) {
            if lost.is_empty() {
                break;
            }
            lost.remove(name);
        }
        let kept = before.references.iter().filter(|named| !lost.contains(&named.name));
        let mut references: Vec<Reference> = kept.cloned().collect();
        for name in new {
            let reference = Reference { ty: ResourceType::Cluster, name: name.clone() };
            if let Err(at) = references.binary_search(&reference) {
                references.insert(at, reference);
            }
        }
        references.into()
    }
}

fn is(encoded: &EncodedHost, host: &Arc<VirtualHost>) -> bool {
    Arc::ptr_eq(&encoded.host, host)
}

/// All that are in use.
#[derive(Debug, Default)]
pub struct Hosts {
    by_version: HashMap<Digest, Weak<EncodedHost>>,
    /// By the address of [`EncodedHost::host`], which nothing else has as long as that lives: a host that
    /// was not made again is not read again.
    by_place: HashMap<usize, Weak<EncodedHost>>,
    /// At so many entries those that nobody uses go.
    sweep_at: usize,
}

/// Fewer entries than this are not worth a look.
const FEW: usize = 1024;

impl Hosts {
    /// The encoding of a host, made if need be. What does not come back from it as it was is not sent.
    ///
    /// # Errors
    /// What the decoder said.
    pub fn encode(&mut self, host: &Arc<VirtualHost>) -> Result<Arc<EncodedHost>, String> {
        let place = Arc::as_ptr(host) as usize;
        if let Some(known) = self.by_place.get(&place).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let version = host.version();
        if let Some(known) = self.by_version.get(&version).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let bytes = xds_codec::routes::encode_host(host);
        match xds_codec::routes::decode_host(&bytes) {
            Err(error) => return Err(format!("virtual host {}: {error}", host.name)),
            Ok(back) if back != **host => {
                return Err(format!("virtual host {}: it reads back differently", host.name));
            }
            Ok(_) => {}
        }
        let clusters = host.clusters().cloned().collect();
        let made = Arc::new(EncodedHost { host: host.clone(), version, bytes: bytes.into(), clusters });
        self.by_version.insert(version, Arc::downgrade(&made));
        self.by_place.insert(place, Arc::downgrade(&made));
        self.sweep();
        Ok(made)
    }

    fn sweep(&mut self) {
        if self.by_version.len().max(self.by_place.len()) < self.sweep_at.max(FEW) {
            return;
        }
        self.by_version.retain(|_, host| host.strong_count() > 0);
        self.by_place.retain(|_, host| host.strong_count() > 0);
        self.sweep_at = 2 * self.by_version.len().max(self.by_place.len());
    }
}
