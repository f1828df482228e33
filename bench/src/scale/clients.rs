//! Sidecars that ask for everything, acknowledge it, and keep nothing of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::Endpoint;
use tonic_prost::ProstCodec;

use super::mesh;
use super::wire::{CLUSTERS, ENDPOINTS, LISTENERS, METHOD, Node, ROUTES, Request, Response};
use crate::machine::loopback;

/// What arrived at whom.
#[derive(Debug, Default)]
struct Seen {
    /// When the last response of a type came, by client and type.
    last: HashMap<(usize, String), Instant>,
    resources: usize,
    /// Why a client gave up.
    failed: Option<String>,
}

/// All clients, on a thread of their own.
pub struct Clients {
    seen: Arc<Mutex<Seen>>,
    count: usize,
}

impl Clients {
    /// Connects them, each over a connection of its own.
    ///
    /// # Errors
    /// No thread, no runtime.
    pub fn start(count: usize, routes: usize, port: u16) -> anyhow::Result<Clients> {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let clients = Clients { seen: seen.clone(), count };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("clients".into()).spawn(move || {
            runtime.block_on(async {
                let mut all = tokio::task::JoinSet::new();
                for client in 0..count {
                    let seen = seen.clone();
                    all.spawn(async move {
                        if let Err(error) = run(client, routes, port, &seen).await {
                            note(&seen, |seen| seen.failed = Some(format!("{error:#}")));
                        }
                    });
                }
                while all.join_next().await.is_some() {}
            });
        })?;
        Ok(clients)
    }

    /// Waits until nothing has come for `quiet`; how many resources there were in all.
    ///
    /// # Errors
    /// A client failed, or time is over.
    pub fn settle(&self, quiet: Duration, limit: Duration) -> anyhow::Result<usize> {
        let start = Instant::now();
        loop {
            let (clients, newest, resources) = self.look(|seen| {
                let of_endpoints = seen.last.keys().filter(|(_, ty)| ty == ROUTES).count();
                (of_endpoints, seen.last.values().max().copied(), seen.resources)
            })?;
            let is_quiet = newest.is_some_and(|newest| newest.elapsed() > quiet);
            if clients == self.count && is_quiet {
                return Ok(resources);
            }
            ensure!(
                start.elapsed() < limit,
                "{clients} of {} clients are served after {limit:?}",
                self.count
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until everybody has had a response of a type since `since`; after what time the first
    /// and the last had.
    ///
    /// # Errors
    /// A client failed, or time is over.
    pub fn arrival(&self, ty: &str, since: Instant, limit: Duration) -> anyhow::Result<(Duration, Duration)> {
        loop {
            let times: Vec<Instant> = self.look(|seen| {
                let of_type = seen.last.iter().filter(|((_, of), at)| of == ty && **at > since);
                of_type.map(|(_, at)| *at).collect()
            })?;
            if times.len() == self.count {
                let (first, last) = (times.iter().min(), times.iter().max());
                let (first, last) = first.zip(last).context("there are no clients")?;
                return Ok((*first - since, *last - since));
            }
            ensure!(
                since.elapsed() < limit,
                "{} of {} clients have it after {limit:?}",
                times.len(),
                self.count
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn look<T>(&self, at: impl FnOnce(&Seen) -> T) -> anyhow::Result<T> {
        let seen = self.seen.lock().map_err(|_| anyhow::anyhow!("the clients' thread has ended"))?;
        ensure!(seen.failed.is_none(), "a client failed: {}", seen.failed.as_deref().unwrap_or_default());
        Ok(at(&seen))
    }
}

fn note(seen: &Mutex<Seen>, what: impl FnOnce(&mut Seen)) {
    if let Ok(mut seen) = seen.lock() {
        what(&mut seen);
    }
}

async fn run(client: usize, routes: usize, port: u16, seen: &Mutex<Seen>) -> anyhow::Result<()> {
    let channel = Endpoint::new(format!("http://{}", loopback(port)))?.connect().await?;
    let mut service = tonic::client::Grpc::new(channel).max_decoding_message_size(64 << 20);
    service.ready().await?;
    let (requests, outgoing) = mpsc::unbounded_channel();
    let id = format!(
        "sidecar~10.8.{}.{}~client-{client}.bench~bench.svc.cluster.local",
        client / 250,
        client % 250 + 1
    );
    requests
        .send(Request { node: Some(Node { id }), ..Request::new(CLUSTERS, Vec::new(), String::new()) })?;
    requests.send(Request::new(LISTENERS, Vec::new(), String::new()))?;
    requests.send(Request::new(ROUTES, mesh::routes(routes), String::new()))?;
    let codec = ProstCodec::<Request, Response>::default();
    let outgoing = tonic::Request::new(UnboundedReceiverStream::new(outgoing));
    let method = http::uri::PathAndQuery::from_static(METHOD);
    let mut incoming = service.streaming(outgoing, method, codec).await?.into_inner();
    while let Some(response) = incoming.message().await? {
        let ty = response.ty().to_owned();
        let news: Vec<String> = match ty == CLUSTERS {
            true => response.resources.iter().map(|resource| resource.name.clone()).collect(),
            false => Vec::new(),
        };
        requests.send(Request::new(&ty, Vec::new(), response.nonce))?;
        let endpoints: Vec<String> = news.into_iter().filter(|name| name.starts_with("outbound|")).collect();
        if !endpoints.is_empty() {
            requests.send(Request::new(ENDPOINTS, endpoints, String::new()))?;
        }
        let count = response.resources.len() + response.removed.len();
        note(seen, |seen| {
            seen.resources += count;
            seen.last.insert((client, ty), Instant::now());
        });
    }
    anyhow::bail!("the server ended the stream")
}
