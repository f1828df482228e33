//! The loop around the state machine: connect, stream, answer, again.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use ir::ResourceType;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::handler::Command;
use crate::state::{Request, State};
use crate::stream::{Response, Responses, Sender};
use crate::{AdsConfig, AdsHandle, Backoff, Handler, Link, connect, wire};

/// A running client. Dropping it ends the stream.
#[derive(Debug)]
pub struct AdsClient {
    handle: AdsHandle,
    task: JoinHandle<()>,
}

impl AdsClient {
    /// Starts a client as a task of the current tokio runtime; it starts no thread.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn spawn(config: AdsConfig, handler: impl Handler) -> AdsClient {
        let (sender, commands) = mpsc::unbounded_channel();
        let handle = AdsHandle { commands: sender };
        let mut state = State::default();
        config.wildcards.iter().for_each(|ty| state.subscribe_all(*ty));
        let delta = config.delta;
        let tables = Default::default();
        let client = Client { config, handler, state, commands, handle: handle.clone(), delta, tables };
        AdsClient { handle, task: tokio::spawn(client.run()) }
    }

    /// For changing subscriptions.
    pub fn handle(&self) -> AdsHandle {
        self.handle.clone()
    }
}

impl Drop for AdsClient {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Client<H> {
    config: AdsConfig,
    handler: H,
    state: State,
    commands: mpsc::UnboundedReceiver<Command>,
    handle: AdsHandle,
    /// Which of the two protocols is spoken. A server that has only the other one is asked in that.
    delta: bool,
    tables: wire::Tables,
}

/// One stream's sending side.
struct Outbound {
    sender: Sender,
    /// Only the first request of a stream names the node.
    node_sent: bool,
}

/// How a stream ended.
struct End {
    reason: String,
    /// A response came: the server works, so the next pause starts small.
    worked: bool,
    /// The server does not know the method.
    unimplemented: bool,
}

impl<H: Handler> Client<H> {
    async fn run(mut self) {
        let mut pause = Pause::new(self.config.backoff);
        let mut tried_both = false;
        loop {
            let end = self.stream().await;
            self.state.on_disconnected();
            if end.unimplemented {
                self.delta = !self.delta;
                if !std::mem::replace(&mut tried_both, true) {
                    let instead = if self.delta { "delta" } else { "state of the world" };
                    tracing::info!(server = %self.config.target, why = end.reason, "trying {instead} instead");
                    continue;
                }
            }
            tried_both &= !end.worked;
            tracing::debug!(server = %self.config.target, reason = end.reason, "xDS stream lost, trying again");
            self.handler.on_link(Link::Down(end.reason));
            if end.worked {
                pause.reset();
            }
            self.rest(pause.next()).await;
        }
    }

    /// Waits, and takes subscriptions meanwhile.
    async fn rest(&mut self, pause: Duration) {
        let over = tokio::time::sleep(pause);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return,
                command = self.commands.recv() => match command {
                    Some(command) => self.take(command),
                    None => return,
                },
            }
        }
    }

    /// One stream from beginning to end.
    async fn stream(&mut self) -> End {
        let failed = |reason: String| End { reason, worked: false, unimplemented: false };
        let channel = match connect::channel(&self.config).await {
            Ok(channel) => channel,
            Err(reason) => return failed(reason),
        };
        let (sender, requests) = Sender::new(self.delta);
        let mut outbound = Outbound { sender, node_sent: false };
        self.drain_commands();
        // Before the call: a server may send its headers only after the first request.
        let begin = self.state.on_connected();
        self.send(&mut outbound, begin);
        let opening = Responses::open(channel, self.config.service, requests, self.config.metadata.clone());
        let mut responses = match self.while_opening(opening, &mut outbound).await {
            Ok(responses) => responses,
            Err(status) => {
                return End { unimplemented: is_unimplemented(&status), ..failed(describe(&status)) };
            }
        };
        let mut worked = false;
        loop {
            tokio::select! {
                message = responses.next() => match message {
                    Ok(Some(message)) => {
                        if !std::mem::replace(&mut worked, true) {
                            self.handler.on_link(Link::Up);
                        }
                        self.on_response(message, &mut outbound);
                    }
                    Ok(None) => return End { worked, ..failed("the server ended the stream".into()) },
                    Err(status) => {
                        let unimplemented = is_unimplemented(&status);
                        return End { reason: describe(&status), worked, unimplemented };
                    }
                },
                Some(command) = self.commands.recv() => self.take(command),
            }
            // Everything that was asked for meanwhile goes into one request per type.
            self.drain_commands();
            let changes = self.state.flush();
            self.send(&mut outbound, changes);
        }
    }

    /// Waits for the server's headers. Some servers send them only with their first response, so
    /// new subscriptions have to go out meanwhile.
    async fn while_opening(
        &mut self,
        opening: impl Future<Output = Result<Responses, tonic::Status>>,
        outbound: &mut Outbound,
    ) -> Result<Responses, tonic::Status> {
        tokio::pin!(opening);
        loop {
            tokio::select! {
                opened = &mut opening => return opened,
                Some(command) = self.commands.recv() => self.take(command),
            }
            self.drain_commands();
            let changes = self.state.flush();
            self.send(outbound, changes);
        }
    }

    fn on_response(&mut self, message: Response, outbound: &mut Outbound) {
        let message = outbound.sender.received(message, &self.state);
        let Some(ty) = ResourceType::by_type_url(&message.type_url) else {
            tracing::warn!(ty = message.type_url, "a response of a type that nobody asked for");
            return;
        };
        let nonce = message.nonce.as_str().into();
        let (update, mut verdict) = wire::response(ty, message, &self.state, &mut self.tables);
        let news = !update.added.is_empty() || !update.removed.is_empty() || !update.problems.is_empty();
        // An empty first response is news too: there is nothing of this type.
        if news || self.state.is_first_answer(ty) {
            for reject in self.handler.on_update(update, &self.handle) {
                verdict.applied.retain(|(name, _)| *name != reject.name);
                verdict.refused.push((reject.name, reject.message));
            }
        }
        for (name, reason) in &verdict.refused {
            tracing::warn!(%ty, %name, reason, "a resource is refused");
        }
        let answer = self.state.answer(ty, nonce, verdict);
        self.send(outbound, vec![answer]);
    }

    fn send(&self, outbound: &mut Outbound, requests: Vec<Request>) {
        for request in requests {
            let node = (!outbound.node_sent).then(|| wire::node(&self.config.node));
            outbound.node_sent = true;
            outbound.sender.send(wire::request(request, node));
        }
    }

    fn drain_commands(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            self.take(command);
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Subscribe(ty, names) => self.state.subscribe(ty, names),
            Command::Unsubscribe(ty, names) => self.state.unsubscribe(ty, names),
            Command::SubscribeAll(ty) => self.state.subscribe_all(ty),
        }
    }
}

/// Pauses between attempts: doubling, with jitter so that many clients do not come at once.
struct Pause {
    backoff: Backoff,
    step: Duration,
    dice: RandomState,
}

impl Pause {
    fn new(backoff: Backoff) -> Self {
        Pause { backoff, step: backoff.first, dice: RandomState::new() }
    }

    fn reset(&mut self) {
        self.step = self.backoff.first;
    }

    fn next(&mut self) -> Duration {
        let step = self.step;
        self.step = step.saturating_mul(2).min(self.backoff.most);
        // Between half of the step and the whole of it.
        let share = (self.dice.hash_one(std::time::Instant::now()) % 1024) as u32;
        step / 2 + step / 2 / 1024 * share
    }
}

fn is_unimplemented(status: &tonic::Status) -> bool {
    status.code() == tonic::Code::Unimplemented
}

fn describe(status: &tonic::Status) -> String {
    let chain = connect::chain(status);
    if status.message().is_empty() { chain } else { format!("{:?}: {}", status.code(), status.message()) }
}
