//! One delta stream and what outlives it, as a state machine: no I/O, no clock. Requests come out
//! as values.

use std::collections::{BTreeMap, BTreeSet};

use ir::ResourceType;
use stdx::Str;

/// A `DeltaDiscoveryRequest`, without the node (the first one on a stream gets it).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub ty: ResourceType,
    pub subscribe: Vec<Str>,
    pub unsubscribe: Vec<Str>,
    /// Name and version of what we have, on the first request of a type on a stream.
    pub initial_versions: Vec<(Str, Str)>,
    /// Of the response that this answers; empty for none.
    pub nonce: Str,
    /// The response is refused, for this reason.
    pub error: Option<String>,
}

/// Subscriptions and versions. Lives as long as the client, across streams.
#[derive(Debug, Default)]
pub struct State {
    types: BTreeMap<ResourceType, Type>,
    connected: bool,
}

#[derive(Debug, Default)]
struct Type {
    wildcard: bool,
    /// Subscribed by name.
    names: BTreeSet<Str>,
    /// Versions of what was applied.
    versions: BTreeMap<Str, Str>,
    /// Names asked for or given up since the last request: whoever has thousands of them does not go
    /// through all to find these.
    moved: BTreeMap<Str, Moved>,
    /// Whether the server was told on this stream that all are wanted; `None` before the first request.
    told: Option<bool>,
    /// A response was answered, on this stream or an earlier one.
    answered: bool,
}

/// What became of a name since the last request.
#[derive(Clone, Copy, Debug)]
struct Moved {
    /// It was asked for by then.
    told: bool,
    /// It was given up since. If it is wanted again, the server has to hear of it, or it would not send
    /// it again.
    forgotten: bool,
}

/// What became of one response.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Applied: name and version.
    pub applied: Vec<(Str, Str)>,
    pub removed: Vec<Str>,
    /// Refused: name and reason.
    pub refused: Vec<(Str, String)>,
}

impl State {
    /// Asks for every resource of a type.
    pub fn subscribe_all(&mut self, ty: ResourceType) {
        self.types.entry(ty).or_default().wildcard = true;
    }

    /// Asks for resources by name.
    pub fn subscribe(&mut self, ty: ResourceType, names: impl IntoIterator<Item = Str>) {
        let state = self.types.entry(ty).or_default();
        for name in names {
            if state.names.insert(name.clone()) {
                state.moved.entry(name).or_insert(Moved { told: false, forgotten: false });
            }
        }
    }

    /// Takes subscriptions back, and forgets what was applied under these names.
    pub fn unsubscribe(&mut self, ty: ResourceType, names: impl IntoIterator<Item = Str>) {
        let Some(state) = self.types.get_mut(&ty) else { return };
        for name in names {
            if !state.names.remove(&name) {
                continue;
            }
            let forgets = !state.wildcard;
            if forgets {
                state.versions.remove(&name);
            }
            let moved = state.moved.entry(name).or_insert(Moved { told: true, forgotten: false });
            moved.forgotten |= forgets;
        }
    }

    /// A stream is open: the requests it begins with.
    pub fn on_connected(&mut self) -> Vec<Request> {
        self.connected = true;
        self.types.values_mut().for_each(|state| state.told = None);
        self.flush()
    }

    /// The stream is gone. Subscriptions and versions stay.
    pub fn on_disconnected(&mut self) {
        self.connected = false;
    }

    /// What the server has to be told about subscriptions. Nothing while there is no stream.
    pub fn flush(&mut self) -> Vec<Request> {
        if !self.connected {
            return Vec::new();
        }
        self.types.iter_mut().filter_map(|(ty, state)| state.request(*ty)).collect()
    }

    /// Whether a resource of this name and version is news: we asked for it, and have not applied
    /// this very version.
    pub fn is_news(&self, ty: ResourceType, name: &Str, version: &str) -> bool {
        let state = self.types.get(&ty).filter(|state| state.wants(name));
        state.is_some_and(|state| state.versions.get(name).is_none_or(|have| *have != version))
    }

    /// Whether we asked for this name.
    pub fn wants(&self, ty: ResourceType, name: &Str) -> bool {
        self.types.get(&ty).is_some_and(|state| state.wants(name))
    }

    /// Names of what was applied.
    pub fn applied(&self, ty: ResourceType) -> impl Iterator<Item = &Str> {
        self.types.get(&ty).into_iter().flat_map(|state| state.versions.keys())
    }

    /// The version of what was applied under this name.
    pub fn version(&self, ty: ResourceType, name: &Str) -> Option<&Str> {
        self.types.get(&ty)?.versions.get(name)
    }

    /// Whether no response of this type was answered yet.
    pub fn is_first_answer(&self, ty: ResourceType) -> bool {
        self.types.get(&ty).is_none_or(|state| !state.answered)
    }

    /// Answers a response: ACK, or NACK with the refused resources in its text. What was applied
    /// is remembered either way.
    pub fn answer(&mut self, ty: ResourceType, nonce: Str, verdict: Verdict) -> Request {
        let state = self.types.entry(ty).or_default();
        state.answered = true;
        for name in &verdict.removed {
            state.versions.remove(name);
        }
        for (name, version) in verdict.applied {
            if state.wants(&name) {
                state.versions.insert(name, version);
            }
        }
        let error = (!verdict.refused.is_empty()).then(|| error_detail(&verdict.refused));
        Request { nonce, error, ..Request::empty(ty) }
    }
}

impl Type {
    fn wants(&self, name: &Str) -> bool {
        self.wildcard || self.names.contains(name)
    }

    /// The difference between what we want and what the server was told.
    fn request(&mut self, ty: ResourceType) -> Option<Request> {
        let Some(told_wildcard) = self.told.replace(self.wildcard) else { return self.first_request(ty) };
        if self.moved.is_empty() && self.wildcard == told_wildcard {
            return None;
        }
        let mut request = Request::empty(ty);
        if self.wildcard && !told_wildcard {
            request.subscribe.push("*".into());
        }
        for (name, moved) in std::mem::take(&mut self.moved) {
            match (moved.told, self.names.contains(&name)) {
                (true, true) if !moved.forgotten => {}
                (_, true) => request.subscribe.push(name),
                (true, false) => request.unsubscribe.push(name),
                (false, false) => {}
            }
        }
        (!request.subscribe.is_empty() || !request.unsubscribe.is_empty()).then_some(request)
    }

    /// `None` if there is nothing to ask for yet.
    fn first_request(&mut self, ty: ResourceType) -> Option<Request> {
        self.moved.clear();
        if !self.wildcard && self.names.is_empty() {
            self.told = None;
            return None;
        }
        let mut request = Request::empty(ty);
        // A wildcard alone is asked for by naming nothing, which every server understands; beside
        // names it has to be said.
        if self.wildcard && !self.names.is_empty() {
            request.subscribe.push("*".into());
        }
        request.subscribe.extend(self.names.iter().cloned());
        request.initial_versions =
            self.versions.iter().map(|(name, version)| (name.clone(), version.clone())).collect();
        Some(request)
    }
}

impl Request {
    fn empty(ty: ResourceType) -> Self {
        Request {
            ty,
            subscribe: Vec::new(),
            unsubscribe: Vec::new(),
            initial_versions: Vec::new(),
            nonce: Str::default(),
            error: None,
        }
    }
}

/// The most that a NACK says, bytes.
const MAX_ERROR: usize = 16 * 1024;

/// `NAME: reason; NAME: reason`, as Lateen's server (and a person) reads it.
fn error_detail(refused: &[(Str, String)]) -> String {
    let mut text = String::new();
    for (index, (name, reason)) in refused.iter().enumerate() {
        if index > 0 {
            text.push_str("; ");
        }
        if text.len() > MAX_ERROR {
            // Names matter more than reasons: the server takes what is named as refused.
            text.push_str(name);
            continue;
        }
        text.push_str(name);
        text.push_str(": ");
        text.push_str(reason);
    }
    text
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
