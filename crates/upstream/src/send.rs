//! Sending a request, and connecting for TCP.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use engine::proxy_protocol::Addresses;
use engine::tls_names::TlsNames;
use http1::Wire;
use identity::ClientTls;
use ir::HttpProtocol;
use ir::cluster::ProxyProtocol;
use ir::route::RoutingPriority;
use net::Io;
use stdx::Str;

use crate::dial::{Dialed, dial};
use crate::sweep::Sweeper;
use crate::{
    Body, Breaker, ClusterState, EndpointState, Facts, Failure, Left, Limits, RequestHead, Response,
    ResponseHead, SendError, h1, h2c, raw,
};

/// Where a request goes: an endpoint of a cluster, and how it is talked to.
#[derive(Clone)]
pub struct Destination {
    pub config: Arc<ir::Cluster>,
    pub cluster: Arc<ClusterState>,
    pub endpoint: Arc<EndpointState>,
    /// `None` is plaintext.
    pub tls: Option<Arc<ClientTls>>,
    /// Stands for the transport's settings: connections of different ones are not shared.
    pub transport_key: u64,
    /// What connections begin with. They are not shared between clients then.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// `None`: it has an address and no name.
    pub named: Option<Arc<Named>>,
}

/// An endpoint's name.
#[derive(Debug)]
pub struct Named {
    pub hostname: Str,
    /// Where the name leads, in the order to try them. Empty: the endpoint's own address.
    pub addresses: Vec<SocketAddr>,
}

impl Destination {
    /// The address to show for it.
    pub fn address(&self) -> ir::Address {
        let first = self.named.as_ref().and_then(|named| named.addresses.first());
        first.map_or_else(|| self.endpoint.address.clone(), |address| ir::Address::Socket(*address))
    }
}

/// How one request is sent.
#[derive(Clone, Default)]
pub struct SendOptions {
    /// Offered instead of the transport's ALPN.
    pub alpn: Option<Arc<[Str]>>,
    /// The client speaks HTTP/2, for clusters that use the client's protocol.
    pub downstream_http2: bool,
    /// Without it interim responses are dropped.
    pub interim: Option<Rc<dyn Interim>>,
    /// Whose circuit breakers count.
    pub priority: RoutingPriority,
    /// On a new connection: one that was kept has just turned out to be closed.
    pub fresh: bool,
    /// The client's connection, for the PROXY protocol: its source and its destination.
    pub client: Option<Addresses>,
    /// The server names that the request asks for, instead of the transport's.
    pub tls_names: Option<Rc<TlsNames>>,
    /// A CONNECT that ends here: nothing of it is sent, and its payload goes as it is.
    pub raw: bool,
    /// For those who give up on it, and want to know on what.
    pub left: Left,
    /// Is told how the request goes.
    pub watch: Option<Rc<dyn Watch>>,
}

/// A worker's connections to endpoints. Needs a `tokio::task::LocalSet` around it.
#[derive(Clone)]
pub struct Upstream(Rc<Inner>);

pub(crate) struct Inner {
    pub(crate) h1: RefCell<h1::Pool>,
    pub(crate) h2: RefCell<h2c::Pool>,
    /// Over HTTP/1.
    pub(crate) queue: RefCell<h1::Queue>,
    pub(crate) sweeper: Sweeper,
    /// Nothing is kept any more.
    pub(crate) closed: Cell<bool>,
    /// Lists of protocols that connections were made with; pools know them by their index.
    alpn: RefCell<Vec<Arc<[Str]>>>,
    hasher: RandomState,
}

/// Connections with the same key can stand in for each other.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    endpoint: u64,
    transport: u64,
    /// 0 is the transport's own list.
    alpn: u32,
}

/// Where to, and over what kind of connection.
pub(crate) struct Call<'a> {
    pub(crate) to: &'a Destination,
    pub(crate) key: Key,
    pub(crate) options: &'a SendOptions,
    protocol: Protocol,
}

/// A call that lives longer than its request.
pub(crate) struct OwnedCall {
    to: Destination,
    key: Key,
    options: SendOptions,
    protocol: Protocol,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
    /// What the endpoint chooses by ALPN.
    Auto,
    /// None.
    Raw,
}

/// Envoy's default of `idle_timeout`.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);

/// Takes interim responses (1xx, but not 101) as they come. They belong to the client, unless we
/// asked for them ourselves (RFC 9110, section 15.2).
pub trait Interim {
    fn interim(&self, head: ResponseHead);
}

/// Sees requests go out and responses come in.
pub trait Watch {
    /// The request begins to go out over this connection; for the second time, where the first was closed.
    fn sending(&self, over: &Rc<Facts>);
    /// It is over, and so much of it went over the wire.
    fn moved(&self, wire: Wire);
}

impl Upstream {
    pub fn new() -> Self {
        Upstream(Rc::new(Inner {
            h1: RefCell::default(),
            h2: RefCell::default(),
            queue: RefCell::default(),
            sweeper: Sweeper::default(),
            closed: Cell::new(false),
            alpn: RefCell::default(),
            hasher: RandomState::default(),
        }))
    }

    /// Sends a request; ends with the response's head. `body` goes out meanwhile and, if the head
    /// comes first, while the response's body is read. Lend it (`&mut body`) to try again after
    /// an error. Dropping the future ends the exchange.
    ///
    /// Hop-by-hop fields should have been stripped from `head`. A request without a body that was
    /// lost with a connection which the endpoint had closed already is sent once more by itself.
    ///
    /// # Errors
    /// No response head came: see [`SendError`]. Timeouts for the whole are the caller's.
    pub async fn send<B: Body>(
        &self,
        to: &Destination,
        head: &RequestHead,
        body: B,
        options: &SendOptions,
    ) -> Result<Box<Response<B>>, Box<SendError>> {
        let limits = Limits::of(&to.config, options.priority);
        let overflow = || SendError::new(Failure::Overflow(Breaker::Requests));
        let counted = to.cluster.start_request(&limits).ok_or_else(overflow)?;
        let in_flight = (counted, to.endpoint.start());
        let inner = &self.0;
        let call = Call { to, key: inner.key(to, options), options, protocol: protocol(to, options) };
        let mut response = match call.protocol {
            Protocol::Http1 => h1::send(inner, &call, head, body, None).await,
            // In boxes, or every request over HTTP/1 has room for them.
            Protocol::Http2 => stdx::pinned(|| h2c::send(inner, &call, head, body, None)).await,
            Protocol::Auto => stdx::pinned(|| send_auto(inner, &call, head, body)).await,
            Protocol::Raw => stdx::pinned(|| raw::open(&call)).await,
        }?;
        // HTTP/1 refuses them while it reads.
        let http2 = response.facts.protocol == "HTTP/2";
        if http2 && response.head.field_count() > call.limits().max_headers_count as usize {
            let error = SendError::new(Failure::Protocol);
            return Err(Box::new(SendError { request_started: true, ..error }));
        }
        response.body.count(in_flight);
        Ok(response)
    }

    /// A connection of its own, for TCP: TLS included where the transport has it. It counts
    /// against the cluster's circuit breaker as long as the guard lives.
    ///
    /// # Errors
    /// [`crate::Failure::Connect`] or [`crate::Failure::Overflow`].
    pub async fn connect(
        &self,
        to: &Destination,
        options: &SendOptions,
    ) -> Result<(Io, Rc<Facts>, crate::InFlight), SendError> {
        let Dialed { io, tls, local, counted, dialed } = dial(to, options, &[]).await?;
        Ok((io, Rc::new(Facts { protocol: "", local, tls, dialed }), counted))
    }

    /// Closes idle connections and lets the others end with their requests.
    pub fn shut_down(&self) {
        self.0.closed.set(true);
        self.0.h1.borrow_mut().clear();
        self.0.h2.borrow_mut().clear();
    }

    #[cfg(test)]
    pub(crate) fn inner(&self) -> &Inner {
        &self.0
    }

    /// Connections that are kept: idle ones over HTTP/1, all over HTTP/2.
    pub fn kept(&self) -> (usize, usize) {
        (self.0.h1.borrow().len(), self.0.h2.borrow().len())
    }
}

impl Default for Upstream {
    fn default() -> Self {
        Self::new()
    }
}

/// A connection of either protocol will do; a new one asks the endpoint.
async fn send_auto<B: Body>(
    inner: &Rc<Inner>,
    call: &Call<'_>,
    head: &RequestHead,
    body: B,
) -> Result<Box<Response<B>>, SendError> {
    if inner.h2.borrow().with_room(&call.key).is_some() {
        return h2c::send(inner, call, head, body, None).await;
    }
    if inner.h1.borrow().has(&call.key) {
        return h1::send(inner, call, head, body, None).await;
    }
    let dialed = stdx::pinned(|| dial(call.to, call.options, call.fallback())).await?;
    match dialed.io.alpn() {
        Some(b"h2") => h2c::send(inner, call, head, body, Some(dialed)).await,
        _ => h1::send(inner, call, head, body, Some(dialed)).await,
    }
}

fn protocol(to: &Destination, options: &SendOptions) -> Protocol {
    match to.config.protocol {
        _ if options.raw => Protocol::Raw,
        HttpProtocol::Http1 => Protocol::Http1,
        HttpProtocol::Http2 => Protocol::Http2,
        HttpProtocol::UseDownstream if options.downstream_http2 => Protocol::Http2,
        HttpProtocol::UseDownstream => Protocol::Http1,
        // Without TLS there is no ALPN, and HTTP/1 is what everyone speaks.
        HttpProtocol::Auto if to.tls.is_none() => Protocol::Http1,
        HttpProtocol::Auto => Protocol::Auto,
    }
}

impl Inner {
    fn key(&self, to: &Destination, options: &SendOptions) -> Key {
        let alpn = match &options.alpn {
            Some(list) if to.tls.is_some() => self.alpn_index(list),
            _ => 0,
        };
        let mut transport = to.transport_key;
        if to.proxy_protocol.is_some() {
            transport ^= self.hasher.hash_one(options.client);
        }
        if let (Some(names), true) = (&options.tls_names, to.tls.is_some()) {
            transport ^= self.hasher.hash_one(&**names);
        }
        Key { endpoint: to.endpoint.id, transport, alpn }
    }

    fn alpn_index(&self, list: &Arc<[Str]>) -> u32 {
        let mut known = self.alpn.borrow_mut();
        let same = |other: &Arc<[Str]>| Arc::ptr_eq(other, list) || other == list;
        let found = known.iter().position(same).unwrap_or_else(|| {
            known.push(list.clone());
            known.len() - 1
        });
        found as u32 + 1
    }
}

impl Call<'_> {
    /// What is offered where neither the request nor the transport says anything.
    pub(crate) fn fallback(&self) -> &'static [Str] {
        static PROTOCOLS: LazyLock<[Str; 2]> = LazyLock::new(|| [Str::new("h2"), Str::new("http/1.1")]);
        match self.protocol {
            Protocol::Http1 => &PROTOCOLS[1..],
            Protocol::Http2 => &PROTOCOLS[..1],
            Protocol::Auto => &PROTOCOLS[..],
            Protocol::Raw => &[],
        }
    }

    /// Whose circuit breakers count.
    pub(crate) fn priority(&self) -> RoutingPriority {
        self.options.priority
    }

    /// Of responses.
    pub(crate) fn limits(&self) -> http1::Limits {
        let (config, default) = (&self.to.config, http1::Limits::default());
        http1::Limits {
            max_headers_kb: config.max_response_headers_kb.unwrap_or(default.max_headers_kb),
            max_headers_count: config.max_headers_count.unwrap_or(default.max_headers_count),
        }
    }

    /// When a connection that is made now takes no more requests; `None`: never.
    pub(crate) fn end_of_life(&self) -> Option<Instant> {
        let max = self.to.config.max_connection_duration.filter(|max| !max.is_zero())?;
        Instant::now().checked_add(max)
    }

    pub(crate) fn interim(&self) -> Option<Rc<dyn Interim>> {
        self.options.interim.clone()
    }

    /// `None`: connections without requests do not get too old.
    pub(crate) fn idle_timeout(&self) -> Option<Duration> {
        let timeout = self.to.config.idle_timeout.unwrap_or(IDLE_TIMEOUT);
        (!timeout.is_zero()).then_some(timeout)
    }

    pub(crate) fn to_owned(&self) -> OwnedCall {
        OwnedCall {
            to: self.to.clone(),
            key: self.key.clone(),
            options: self.options.clone(),
            protocol: self.protocol,
        }
    }
}

impl OwnedCall {
    pub(crate) fn borrow(&self) -> Call<'_> {
        Call { to: &self.to, key: self.key.clone(), options: &self.options, protocol: self.protocol }
    }
}
