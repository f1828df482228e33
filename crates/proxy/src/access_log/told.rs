//! What only some formats tell of a request: kept where one of them asks for it.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Instant;

use http1::Wire;
use stdx::{Str, turn};
use upstream::{Destination, Facts, Watch};

use crate::http::body::Progress;

/// Endpoints, moments and lengths of one request.
#[derive(Debug, Default)]
pub struct Told {
    tried: RefCell<Vec<Tried>>,
    connections: RefCell<Vec<u64>>,
    /// When the last attempt began, and when it had a connection.
    attempted: Cell<Option<Instant>>,
    sending: Cell<Option<Instant>>,
    /// When the last byte of the request went upstream.
    sent: Cell<Option<Instant>>,
    /// When the last byte of the response came from there.
    received: Cell<Option<Instant>>,
    /// When the response's head went to the client.
    answering: Cell<Option<Instant>>,
    pub response_head_bytes: Cell<u64>,
    /// What went over the client's wire, and over the last upstream's.
    downstream: RefCell<Option<Gauge>>,
    upstream: Cell<Wire>,
}

/// Looks at a connection or stream that others use.
struct Gauge(Box<dyn Fn() -> Wire>);

impl fmt::Debug for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.0)().fmt(f)
    }
}

/// An endpoint that was to have the request.
#[derive(Clone, Debug)]
pub struct Tried {
    pub address: ir::Address,
    /// `None`: it has none but its address.
    pub name: Option<Str>,
}

impl Told {
    /// Of a request whose bodies say how they move.
    pub fn keep(progress: &Progress) -> Rc<Self> {
        progress.told.get_or_init(Rc::default).clone()
    }

    /// The client's side of it.
    pub fn set_downstream(&self, wire: impl Fn() -> Wire + 'static) {
        self.downstream.replace(Some(Gauge(Box::new(wire))));
    }

    pub fn downstream(&self) -> Wire {
        self.downstream.borrow().as_ref().map(|gauge| (gauge.0)()).unwrap_or_default()
    }

    pub fn upstream(&self) -> Wire {
        self.upstream.get()
    }

    /// An attempt begins.
    pub fn attempt(&self, to: &Destination) {
        let name = to.named.as_ref().map(|named| named.hostname.clone()).filter(|name| !name.is_empty());
        self.tried.borrow_mut().push(Tried { address: to.address(), name });
        self.attempted.set(Some(turn::now()));
        self.sending.set(None);
    }

    /// The request is sent elsewhere, and what comes next has a line of its own.
    pub fn forget(&self) {
        self.tried.borrow_mut().clear();
        self.connections.borrow_mut().clear();
        for moment in [&self.attempted, &self.sending, &self.sent, &self.received, &self.answering] {
            moment.set(None);
        }
    }

    /// All of the request is read, and so goes out.
    pub fn sent(&self) {
        self.sent.set(Some(turn::now()));
    }

    pub fn received(&self) {
        self.received.set(Some(turn::now()));
    }

    pub fn answering(&self) {
        self.answering.set(Some(turn::now()));
    }

    /// The endpoints in their order, the one that answered last.
    pub fn tried(&self) -> Vec<Tried> {
        self.tried.borrow().clone()
    }

    /// Numbers of the connections that the request went over.
    pub fn connections(&self) -> Vec<u64> {
        self.connections.borrow().clone()
    }

    pub fn attempted_at(&self) -> Option<Instant> {
        self.attempted.get()
    }

    pub fn sending_at(&self) -> Option<Instant> {
        self.sending.get()
    }

    /// A request without a body is sent with its head.
    pub fn sent_at(&self) -> Option<Instant> {
        let sending = self.sending.get()?;
        Some(self.sent.get().map_or(sending, |sent| sent.max(sending)))
    }

    pub fn received_at(&self) -> Option<Instant> {
        self.received.get()
    }

    pub fn answering_at(&self) -> Option<Instant> {
        self.answering.get()
    }
}

impl Watch for Told {
    fn sending(&self, over: &Rc<Facts>) {
        self.sending.set(Some(turn::now()));
        self.connections.borrow_mut().push(over.dialed.id);
    }

    fn moved(&self, wire: Wire) {
        self.upstream.set(wire);
    }
}
