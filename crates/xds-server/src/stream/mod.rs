//! One delta stream as a state machine: requests, updates and time go in, responses come out. No
//! I/O and no clock.
//!
//! Of each type one batch of responses is on its way at a time; what changes meanwhile is merged
//! by looking only at what the client has and what it is to have. So a slow client skips states
//! and never falls behind by more than one.

mod answer;
mod known;
mod message;
mod order;
mod subscription;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ir::ResourceType;
use stdx::Str;

pub use message::{Notice, Request, Response};
use subscription::{Change, InFlight, Subscription};

use crate::{Encoded, ResourceSet, TypeStatus};

/// How long a resource waits for the ACK of what it names without any sign of the client. Envoy
/// gives up waiting for endpoints after the same time (`initial_fetch_timeout`).
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Of what a client has thousands of, responses are no larger than this, bytes: as long as nothing else is
/// sent, the transport keeps the room that the last one took, for every client.
const BULK: usize = 256 << 10;

/// What one resource costs in a response besides its name and body, bytes (version, type URL, tags).
const OVERHEAD: usize = 160;

/// A stream.
#[derive(Debug)]
pub struct Stream {
    types: [Subscription; ResourceType::ALL.len()],
    /// What the client is to have; `None` until that is known.
    target: Option<Arc<ResourceSet>>,
    /// Responses are cut at this size, bytes.
    max_response: usize,
    /// Responses sent, for nonces.
    serial: u64,
    /// Something waits for an ACK of something else.
    holding: bool,
    /// Waiting took too long: what waits goes out once.
    impatient: bool,
    last_progress: Instant,
    /// When a type is served again whose last response has no answer.
    overdue: Option<Instant>,
    notices: Vec<Notice>,
}

impl Stream {
    /// A stream whose responses are cut at `max_response` bytes.
    pub fn new(max_response: usize, now: Instant) -> Self {
        Stream {
            types: Default::default(),
            target: None,
            max_response,
            serial: 0,
            holding: false,
            impatient: false,
            last_progress: now,
            overdue: None,
            notices: Vec::new(),
        }
    }

    /// A request of the client arrived.
    pub fn on_request(&mut self, request: Request, now: Instant) -> Vec<Response> {
        self.last_progress = now;
        // The subscriptions of a request count even if it answers something outdated.
        if !request.nonce.is_empty() {
            self.answer(&request);
        }
        let target = self.target.as_ref().map(|target| target.of(request.ty).clone()).unwrap_or_default();
        let subscription = self.of_mut(request.ty);
        if !subscription.started || !request.subscribe.is_empty() || !request.unsubscribe.is_empty() {
            subscription.subscribe(&request, &target);
        }
        self.poll(now)
    }

    /// The client is to have something else from now on.
    pub fn on_update(&mut self, target: Arc<ResourceSet>, now: Instant) -> Vec<Response> {
        if !self.holding {
            self.last_progress = now;
        }
        for ty in ResourceType::ALL {
            self.of_mut(ty).forget_refusals(target.of(ty));
        }
        self.target = Some(target);
        self.poll(now)
    }

    /// The [`deadline`](Self::deadline) passed.
    pub fn on_timeout(&mut self, now: Instant) -> Vec<Response> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Vec::new();
        }
        self.impatient = self.holding && now >= self.last_progress + PATIENCE;
        if self.impatient {
            self.last_progress = now;
        }
        let responses = self.poll(now);
        self.impatient = false;
        if !responses.is_empty() {
            self.notices.push(Notice::OutOfPatience);
        }
        responses
    }

    /// When [`on_timeout`](Self::on_timeout) is to be called.
    pub fn deadline(&self) -> Option<Instant> {
        let held = self.holding.then(|| self.last_progress + PATIENCE);
        held.into_iter().chain(self.overdue).min()
    }

    /// What happened since the last call that an operator wants to know.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// The state of every type that the client asked for.
    pub fn status(&self) -> BTreeMap<ResourceType, TypeStatus> {
        let started = ResourceType::ALL.into_iter().filter(|ty| self.of(*ty).started);
        started.map(|ty| (ty, self.status_of(self.of(ty)))).collect()
    }

    /// Names that the client subscribed to one by one.
    pub fn names(&self) -> usize {
        self.types.iter().map(|subscription| subscription.names.len()).sum()
    }

    fn status_of(&self, subscription: &Subscription) -> TypeStatus {
        let in_flight: usize =
            subscription.in_flight.iter().map(|sent| sent.add.len() + sent.remove.len()).sum();
        let mut status = subscription.status.clone();
        status.resources = subscription.known.len();
        status.pending += in_flight;
        status.rejected = subscription.rejected.clone();
        status
    }

    /// Takes an ACK or NACK.
    fn answer(&mut self, request: &Request) {
        let ty = request.ty;
        let subscription = self.of_mut(ty);
        let Some(sent) = subscription.answered(&request.nonce) else {
            self.notices.push(Notice::ExpiredNonce { ty });
            return;
        };
        match &request.error {
            None => {
                subscription.status.nonce_acked = sent.nonce.clone();
                subscription.accepted(sent);
            }
            Some(message) => {
                subscription.status.last_nack = Some(message.clone());
                let names = subscription.refused(sent, message);
                self.notices.push(Notice::Rejected { ty, names, message: message.clone() });
            }
        }
    }

    /// Everything that may be sent now.
    fn poll(&mut self, now: Instant) -> Vec<Response> {
        let Some(target) = self.target.clone() else { return Vec::new() };
        let mut responses = Vec::new();
        (self.holding, self.overdue) = (false, None);
        for ty in ResourceType::ALL {
            self.of_mut(ty).recognise(target.of(ty));
        }
        for ty in ResourceType::ALL {
            let wanted = target.of(ty);
            let subscription = self.of_mut(ty);
            if !subscription.started || subscription.is_settled(wanted) {
                if subscription.in_flight.is_empty() {
                    subscription.known.is_up_to_date_with(wanted);
                }
                continue;
            }
            if let Some((until, news)) = subscription.busy(wanted).filter(|(until, _)| now < *until) {
                self.overdue = self.overdue.into_iter().chain(news.then_some(until)).min();
                continue;
            }
            let changes = subscription.differences(wanted);
            let (ready, held) = self.sendable(ty, changes);
            self.holding |= !held.is_empty();
            let subscription = self.of_mut(ty);
            subscription.status.pending = held.len();
            let owes_reply = subscription.owes_reply && held.is_empty();
            subscription.compared(wanted, held);
            if ready.is_empty() && !owes_reply {
                continue;
            }
            subscription.sent = Some((now, wanted.clone()));
            responses.extend(self.send(ty, ready));
        }
        responses
    }

    /// Makes responses of changes, and notes that they are on their way.
    fn send(&mut self, ty: ResourceType, changes: Vec<Change>) -> Vec<Response> {
        let mut responses = Vec::new();
        for (add, remove) in self.cut(ty, changes) {
            self.serial += 1;
            let nonce = Str::from(self.serial.to_string());
            self.refresh_endpoints(ty, &add);
            let subscription = self.of_mut(ty);
            subscription.owes_reply = false;
            subscription.answered = true;
            subscription.status.nonce_sent = nonce.clone();
            let (serial, nonce_sent) = (self.serial, nonce.clone());
            let sent = InFlight { serial, nonce: nonce_sent, add: add.clone(), remove: remove.clone() };
            self.of_mut(ty).sends(sent);
            responses.push(Response { ty, nonce, add, remove });
        }
        responses
    }

    /// Envoy builds a cluster that it is sent anew, lets it wait for endpoints without asking for
    /// those that it asked for before, and acknowledges the cluster only when it has them: they
    /// are sent again, right after it.
    fn refresh_endpoints(&mut self, ty: ResourceType, sent: &[Arc<Encoded>]) {
        if ty != ResourceType::Cluster {
            return;
        }
        let endpoints = self.of_mut(ResourceType::Endpoints);
        for named in sent.iter().flat_map(|cluster| cluster.references.iter()) {
            if endpoints.names.contains(&named.name) {
                endpoints.refresh.insert(named.name.clone());
            }
        }
    }

    /// Cuts changes into responses of at most `max_response` and [`BULK`] bytes (a larger resource goes alone).
    fn cut(&self, ty: ResourceType, changes: Vec<Change>) -> Vec<(Vec<Arc<Encoded>>, Vec<Str>)> {
        let isolate = &self.of(ty).isolate;
        let mut pieces = Vec::new();
        let (mut add, mut remove, mut size) = (Vec::new(), Vec::new(), 0);
        let max_response = match ty {
            ResourceType::Cluster | ResourceType::Endpoints => self.max_response.min(BULK),
            _ => self.max_response,
        };
        for change in changes {
            let cost = match &change {
                Change::Add(resource) if isolate.contains(&resource.name) => {
                    pieces.push((vec![resource.clone()], Vec::new()));
                    continue;
                }
                Change::Add(resource) => OVERHEAD + resource.name.len() + resource.body.len(),
                Change::Remove(name) => OVERHEAD + name.len(),
            };
            if size > 0 && size + cost > max_response {
                pieces.push((std::mem::take(&mut add), std::mem::take(&mut remove)));
                size = 0;
            }
            size += cost;
            match change {
                Change::Add(resource) => add.push(resource),
                Change::Remove(name) => remove.push(name),
            }
        }
        if size > 0 || pieces.is_empty() {
            pieces.push((add, remove));
        }
        pieces
    }

    fn of(&self, ty: ResourceType) -> &Subscription {
        &self.types[ty as usize]
    }

    fn of_mut(&mut self, ty: ResourceType) -> &mut Subscription {
        &mut self.types[ty as usize]
    }

    fn target_of(&self, ty: ResourceType, name: &Str) -> Option<&Arc<Encoded>> {
        self.target.as_ref()?.of(ty).get(name)
    }
}

#[cfg(test)]
mod tests;
