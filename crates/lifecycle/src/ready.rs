//! Readiness: ready when everything that had to come up has said so.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

/// What is still missing, by token; the names are for people.
type Pending = BTreeMap<u64, String>;

/// A list of things that must be up. Clones share it.
#[derive(Clone)]
pub struct Readiness {
    pending: Arc<watch::Sender<(u64, Pending)>>,
}

/// One thing that must be up. Dropped without [`ReadyToken::ready`], it stays missing: a part
/// that failed to start must not make the whole look ready.
#[must_use = "a token that is dropped is never ready"]
pub struct ReadyToken {
    id: u64,
    pending: Arc<watch::Sender<(u64, Pending)>>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

impl Readiness {
    /// Nothing to wait for yet, so ready.
    pub fn new() -> Self {
        Readiness { pending: Arc::new(watch::Sender::new((0, Pending::new()))) }
    }

    /// Adds something to wait for.
    pub fn token(&self, name: &str) -> ReadyToken {
        let mut id = 0;
        self.pending.send_modify(|(next, pending)| {
            id = *next;
            *next += 1;
            pending.insert(id, name.to_owned());
        });
        ReadyToken { id, pending: self.pending.clone() }
    }

    pub fn is_ready(&self) -> bool {
        self.pending.borrow().1.is_empty()
    }

    /// Names of what is missing.
    pub fn missing(&self) -> Vec<String> {
        self.pending.borrow().1.values().cloned().collect()
    }

    /// Waits until nothing is missing.
    pub async fn wait(&self) {
        // The sender lives in `self`, so the wait cannot end with an error.
        let _ = self.pending.subscribe().wait_for(|(_, pending)| pending.is_empty()).await;
    }
}

impl ReadyToken {
    /// This part is up.
    pub fn ready(self) {
        self.pending.send_modify(|(_, pending)| {
            pending.remove(&self.id);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_for_every_token_and_names_those_missing() {
        let readiness = Readiness::new();
        assert!(readiness.is_ready());
        let (certificate, listeners) = (readiness.token("certificate"), readiness.token("listeners"));
        assert_eq!(readiness.missing(), ["certificate", "listeners"]);
        certificate.ready();
        assert_eq!(readiness.missing(), ["listeners"]);
        let waiting = tokio::spawn({
            let readiness = readiness.clone();
            async move { readiness.wait().await }
        });
        listeners.ready();
        waiting.await.unwrap();
    }

    #[test]
    fn a_dropped_token_stays_missing() {
        let readiness = Readiness::new();
        drop(readiness.token("dns"));
        assert_eq!(readiness.missing(), ["dns"]);
    }
}
