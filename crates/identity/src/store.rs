//! Secrets by name.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::ArcSwapOption;
use ir::tls::{Secret, SecretContent};
use stdx::Str;
use tokio::sync::watch;

use crate::error::TlsError;
use crate::source::{read_certificate, read_roots, text};
use crate::{Certificate, Roots};

/// A value with the number it was stored under. Numbers are never used twice in a process.
pub struct Versioned<T> {
    pub generation: u64,
    pub value: Arc<T>,
}

impl<T> Clone for Versioned<T> {
    fn clone(&self) -> Self {
        Versioned { generation: self.generation, value: self.value.clone() }
    }
}

/// The place of one secret: empty until it arrives, then swapped whole.
pub struct Slot<T> {
    name: Str,
    current: ArcSwapOption<Versioned<T>>,
    /// The generation, for those who wait; 0 while empty.
    changed: watch::Sender<u64>,
    /// The store's own: any change of any slot.
    any: Arc<watch::Sender<u64>>,
}

/// All secrets of a process. Clones share them.
#[derive(Clone, Default)]
pub struct SecretStore {
    slots: Arc<Slots>,
}

/// Certificates and trust bundles have names of their own, as in SDS the type is what the user
/// of a secret expects. The locks are taken when configuration is built, never per connection.
#[derive(Default)]
struct Slots {
    changed: Arc<watch::Sender<u64>>,
    certificates: RwLock<HashMap<Str, Arc<Slot<Certificate>>>>,
    roots: RwLock<HashMap<Str, Arc<Slot<Roots>>>>,
    keep_clients: AtomicBool,
    keep_servers: AtomicBool,
}

/// The next generation, across all stores of the process.
pub(crate) fn next_generation() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

impl<T: PartialEq> Slot<T> {
    fn new(name: &str, any: Arc<watch::Sender<u64>>) -> Self {
        Slot { name: name.into(), current: ArcSwapOption::empty(), changed: watch::Sender::new(0), any }
    }

    pub fn name(&self) -> &Str {
        &self.name
    }

    /// What is there now.
    pub fn load(&self) -> Option<Versioned<T>> {
        self.current.load().as_deref().cloned()
    }

    /// The generation of what is there now, 0 for nothing.
    pub fn generation(&self) -> u64 {
        self.current.load().as_ref().map_or(0, |held| held.generation)
    }

    /// Replaces the value. An equal one keeps its generation, so that sessions survive a repeat.
    pub fn set(&self, value: T) {
        if self.current.load().as_ref().is_some_and(|held| *held.value == value) {
            return;
        }
        let generation = next_generation();
        self.current.store(Some(Arc::new(Versioned { generation, value: Arc::new(value) })));
        self.changed.send_replace(generation);
        self.any.send_replace(generation);
    }

    /// Takes the value away: handshakes fail until another comes.
    pub fn clear(&self) {
        self.current.store(None);
        self.changed.send_replace(0);
        self.any.send_replace(0);
    }

    /// Follows the generation; 0 means empty.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Waits until there is a value.
    pub async fn wait(&self) -> Versioned<T> {
        let mut changes = self.changed.subscribe();
        loop {
            if let Some(value) = self.load() {
                return value;
            }
            // The sender lives in `self`, so this cannot fail.
            let _ = changes.changed().await;
        }
    }
}

impl SecretStore {
    pub fn new() -> Self {
        Self::default()
    }

    /// The place of a certificate, made if nobody asked before.
    pub fn certificate_slot(&self, name: &str) -> Arc<Slot<Certificate>> {
        slot(&self.slots.certificates, name, &self.slots.changed)
    }

    /// The place of a trust bundle, made if nobody asked before.
    pub fn roots_slot(&self, name: &str) -> Arc<Slot<Roots>> {
        slot(&self.slots.roots, name, &self.slots.changed)
    }

    pub fn set_certificate(&self, name: &str, certificate: Certificate) {
        self.certificate_slot(name).set(certificate);
    }

    pub fn set_roots(&self, name: &str, roots: Roots) {
        self.roots_slot(name).set(roots);
    }

    /// The certificate of this name, if it is there.
    pub fn certificate(&self, name: &str) -> Option<Arc<Certificate>> {
        self.certificate_slot(name).load().map(|held| held.value)
    }

    /// The trust bundle of this name, if it is there.
    pub fn roots(&self, name: &str) -> Option<Arc<Roots>> {
        self.roots_slot(name).load().map(|held| held.value)
    }

    /// Takes over a secret as it came from SDS or a bootstrap. Reads files that it names.
    ///
    /// # Errors
    /// The secret cannot be used; the one before stays.
    pub fn apply(&self, secret: &Secret) -> Result<(), TlsError> {
        let in_secret = |error: TlsError| match error {
            TlsError::Config(why) => TlsError::Config(format!("secret {}: {why}", secret.name)),
            other => other,
        };
        match &secret.content {
            SecretContent::Certificate(certificate) => {
                self.set_certificate(&secret.name, read_certificate(certificate).map_err(in_secret)?);
            }
            SecretContent::Roots(bundle) => {
                let roots = read_roots(&bundle.roots).map_err(in_secret)?;
                let revoked =
                    bundle.crl.as_ref().map(|crl| text(crl, "crl")).transpose().map_err(in_secret)?;
                let roots = roots.revoking(revoked.as_deref()).map_err(in_secret)?;
                self.set_roots(&secret.name, roots);
            }
        }
        Ok(())
    }

    /// Takes a secret away, whatever its type.
    pub fn remove(&self, name: &str) {
        self.certificate_slot(name).clear();
        self.roots_slot(name).clear();
    }

    /// Whether a secret of this name is there, whatever its type.
    pub fn is_present(&self, name: &str) -> bool {
        self.certificate_slot(name).generation() != 0 || self.roots_slot(name).generation() != 0
    }

    /// Waits until a secret of this name is there, whatever its type.
    pub async fn wait(&self, name: &str) {
        let (certificate, roots) = (self.certificate_slot(name), self.roots_slot(name));
        tokio::select! {
            _ = certificate.wait() => {}
            _ = roots.wait() => {}
        }
    }

    /// From now on what clients show is kept with all its details ([`crate::PeerIdentity::details`]): a
    /// log or a header tells of it. There is no way back, and connections that stand keep what they have.
    pub fn keep_clients(&self) {
        self.slots.keep_clients.store(true, Ordering::Relaxed);
    }

    /// As [`SecretStore::keep_clients`], of servers.
    pub fn keep_servers(&self) {
        self.slots.keep_servers.store(true, Ordering::Relaxed);
    }

    pub(crate) fn keeps_clients(&self) -> bool {
        self.slots.keep_clients.load(Ordering::Relaxed)
    }

    pub(crate) fn keeps_servers(&self) -> bool {
        self.slots.keep_servers.load(Ordering::Relaxed)
    }

    /// Marked whenever any secret changes or goes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.slots.changed.subscribe()
    }

    /// The certificates present, by name, for `/certs` and metrics.
    pub fn certificates(&self) -> Vec<(Str, Arc<Certificate>)> {
        let slots = self.slots.certificates.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> =
            slots.iter().filter_map(|(name, slot)| Some((name.clone(), slot.load()?.value))).collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    }
}

fn slot<T: PartialEq>(
    slots: &RwLock<HashMap<Str, Arc<Slot<T>>>>,
    name: &str,
    any: &Arc<watch::Sender<u64>>,
) -> Arc<Slot<T>> {
    if let Some(slot) = slots.read().unwrap_or_else(PoisonError::into_inner).get(name) {
        return slot.clone();
    }
    let mut slots = slots.write().unwrap_or_else(PoisonError::into_inner);
    slots.entry(name.into()).or_insert_with(|| Arc::new(Slot::new(name, any.clone()))).clone()
}
