//! The task of one stream: moves messages between the transport and the state machine.

use std::collections::VecDeque;
use std::time::Instant;

use envoy_types::pb::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use stdx::Str;
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use crate::codec::Outgoing;
use crate::stream::{Notice, Response, Stream};
use crate::{ClientStatus, PeerInfo, Subscription, XdsServer, authorize, hello, wire};

type Sender = mpsc::Sender<Result<Outgoing, Status>>;

/// One stream.
pub(crate) struct Session {
    server: XdsServer,
    id: u64,
    peer: PeerInfo,
    node: Str,
    stream: Stream,
    /// What waits for the transport, and since when.
    outbox: VecDeque<(Outgoing, Instant)>,
}

impl Session {
    pub fn new(server: XdsServer, id: u64, peer: PeerInfo) -> Self {
        let stream = Stream::new(server.options.max_response_bytes, Instant::now());
        Session { server, id, peer, node: Str::default(), stream, outbox: VecDeque::new() }
    }

    /// Serves the stream until one side ends it.
    pub async fn run(mut self, mut requests: Streaming<DeltaDiscoveryRequest>, sender: Sender) {
        self.server.metrics.streams(1);
        let end = self.serve(&mut requests, &sender).await;
        self.server.metrics.streams(-1);
        self.server.status.remove(self.id);
        match end {
            Ok(()) => tracing::debug!(node = %self.node, "xDS stream closed"),
            Err(status) => {
                let (code, why) = (status.code(), status.message());
                tracing::info!(node = %self.node, ?code, why, "xDS stream ended");
                // The client may be gone, then nobody needs the reason.
                let _ = sender.send(Err(status)).await;
            }
        }
    }

    async fn serve(
        &mut self,
        requests: &mut Streaming<DeltaDiscoveryRequest>,
        sender: &Sender,
    ) -> Result<(), Status> {
        let Some(first) = requests.message().await? else { return Ok(()) };
        let Subscription { mut resources, guard: _guard } = self.greet(&first)?;
        self.on_request(first)?;
        if let Some(set) = resources.borrow_and_update().clone() {
            let responses = self.stream.on_update(set, Instant::now());
            self.queue(responses);
        }
        loop {
            self.report();
            let deadline = self.stream.deadline().map(tokio::time::Instant::from_std);
            tokio::select! {
                request = requests.message() => match request? {
                    Some(request) => self.on_request(request)?,
                    None => return Ok(()),
                },
                permit = sender.reserve(), if !self.outbox.is_empty() => match (permit, self.outbox.pop_front()) {
                    (Ok(permit), Some((next, since))) => {
                        self.sends(&next, since);
                        permit.send(Ok(next));
                    }
                    _ => return Ok(()),
                },
                changed = resources.changed() => {
                    changed.map_err(|_| Status::unavailable("the control plane is shutting down"))?;
                    if let Some(set) = resources.borrow_and_update().clone() {
                        let responses = self.stream.on_update(set, Instant::now());
                        self.queue(responses);
                    }
                }
                () = sleep_until(deadline) => {
                    let responses = self.stream.on_timeout(Instant::now());
                    self.queue(responses);
                }
            }
        }
    }

    /// Judges the first request, and asks for what this client is to have.
    fn greet(&mut self, first: &DeltaDiscoveryRequest) -> Result<Subscription, Status> {
        let node =
            first.node.as_ref().ok_or_else(|| Status::invalid_argument("the first request names no node"))?;
        self.node = Str::from(&node.id);
        let hello = hello::read(node, self.peer.identity.clone())?;
        authorize(&hello.node, &self.peer)?;
        let client = ClientStatus {
            node: hello.node.clone(),
            id: hello.id.clone(),
            user_agent: Str::from(&node.user_agent_name),
            address: self.peer.address,
            types: Default::default(),
        };
        let subscription = self.server.generator.connect(hello)?;
        self.server.status.put(self.id, client);
        tracing::debug!(node = %self.node, "xDS stream opened");
        Ok(subscription)
    }

    fn on_request(&mut self, message: DeltaDiscoveryRequest) -> Result<(), Status> {
        match wire::request(message) {
            Ok(request) => {
                let responses = self.stream.on_request(request, Instant::now());
                self.queue(responses);
            }
            Err(unknown) => {
                if let Some(nothing) = wire::nothing_of(&unknown, self.outbox.len() as u64) {
                    tracing::info!(node = %self.node, ty = unknown.type_url, "a resource type that is not served");
                    self.outbox.push_back((Outgoing::Nothing(nothing), Instant::now()));
                }
            }
        }
        if self.stream.names() > self.server.options.max_names {
            return Err(Status::resource_exhausted("too many resource names are subscribed to"));
        }
        Ok(())
    }

    fn queue(&mut self, responses: Vec<Response>) {
        let since = Instant::now();
        self.outbox.extend(responses.into_iter().map(|response| (Outgoing::Resources(response), since)));
    }

    fn sends(&self, next: &Outgoing, since: Instant) {
        if let Outgoing::Resources(response) = next {
            self.server.metrics.pushed(response.ty, next.len());
            self.server.metrics.send_time(since.elapsed());
        }
    }

    /// Tells operators: status, metrics, log.
    fn report(&mut self) {
        for notice in self.stream.take_notices() {
            match notice {
                Notice::Rejected { ty, names, message } => {
                    self.server.metrics.rejected(ty, &self.node, &message);
                    let names = names.join(", ");
                    tracing::info!(node = %self.node, %ty, names, %message, "the proxy refuses resources");
                }
                Notice::ExpiredNonce { ty } => self.server.metrics.expired_nonce(ty),
                Notice::OutOfPatience => {
                    tracing::warn!(node = %self.node, "no acknowledgement: listeners and routes are sent without");
                }
            }
        }
        self.server.status.update(self.id, self.stream.status());
    }
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
