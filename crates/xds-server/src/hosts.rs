//! Virtual hosts, encoded once for all route configurations that have them: those of a port as the proxies
//! of every namespace see it, and each next version.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use ir::VirtualHost;
use stdx::{Digest, Str};

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
