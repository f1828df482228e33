//! Load at a fixed rate, open loop, with an account of everything that was not as expected.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::client::Ask;

type Sender = SendRequest<Full<bytes::Bytes>>;

/// Load that runs until it is stopped.
pub struct Load {
    stop: Arc<AtomicBool>,
    report: Arc<Mutex<Report>>,
    thread: Option<JoinHandle<()>>,
}

/// What became of the requests.
#[derive(Clone, Debug, Default)]
pub struct Report {
    pub sent: u64,
    pub by_status: BTreeMap<u16, u64>,
    /// Requests without a response: what, and how often.
    pub errors: BTreeMap<String, u64>,
    /// Responses that `expect` did not like.
    pub wrong: BTreeMap<String, u64>,
    /// Milliseconds, unsorted.
    pub latencies: Vec<u32>,
}

impl Report {
    /// Responses that were not 200, requests without one, responses that were wrong.
    pub fn failures(&self) -> u64 {
        let statuses: u64 = self.by_status.iter().filter(|(status, _)| **status != 200).map(|(_, n)| n).sum();
        statuses + self.errors.values().sum::<u64>() + self.wrong.values().sum::<u64>()
    }

    /// # Panics
    /// Something failed, or nothing ran.
    #[track_caller]
    pub fn assert_clean(&self, what: &str) {
        let (failures, ok) = (self.failures(), self.by_status.get(&200).copied().unwrap_or(0));
        println!("{what}: {} sent, {ok} of status 200, {failures} failures", self.sent);
        assert!(ok > 0, "{what}: nothing succeeded: {:?} {:?}", self.by_status, self.errors);
        assert_eq!(
            failures, 0,
            "{what}: {:?} errors {:?} wrong {:?}",
            self.by_status, self.errors, self.wrong
        );
    }
}

/// Judges a response: its body, and whether it will do.
pub type Expect = Arc<dyn Fn(u16, &[u8]) -> Result<(), String> + Send + Sync>;

impl Load {
    /// Sends `rate` requests a second, spread over kept-alive connections; a request starts at
    /// its time whether or not those before it are answered.
    pub fn start(to: SocketAddr, ask: Ask, rate: u32, expect: Option<Expect>) -> Self {
        let (stop, report) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Report::default())));
        let (flag, shared) = (stop.clone(), report.clone());
        let thread = std::thread::spawn(move || {
            crate::client::block_on(
                tokio::task::LocalSet::new().run_until(run(to, ask, rate, expect, flag, shared)),
            );
        });
        Load { stop, report, thread: Some(thread) }
    }

    /// What happened so far.
    pub fn so_far(&self) -> Report {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops, waits for the answers that are still out, and gives the account.
    pub fn stop(mut self) -> Report {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the load's thread");
        }
        self.so_far()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

async fn run(
    to: SocketAddr,
    ask: Ask,
    rate: u32,
    expect: Option<Expect>,
    stop: Arc<AtomicBool>,
    report: Arc<Mutex<Report>>,
) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate.max(1));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let idle: std::rc::Rc<std::cell::RefCell<Vec<Sender>>> = Default::default();
    let mut tasks = tokio::task::JoinSet::new();
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        let (ask, idle, report, expect) = (ask.clone(), idle.clone(), report.clone(), expect.clone());
        tasks.spawn_local(async move {
            let start = Instant::now();
            let outcome = tokio::time::timeout(ask.timeout, one(to, &ask, &idle)).await;
            let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
            report.sent += 1;
            report.latencies.push(u32::try_from(start.elapsed().as_millis()).unwrap_or(u32::MAX));
            match outcome {
                Ok(Ok((status, body))) => {
                    *report.by_status.entry(status).or_default() += 1;
                    if let Some(Err(complaint)) = expect.as_ref().map(|expect| expect(status, &body)) {
                        *report.wrong.entry(complaint).or_default() += 1;
                    }
                }
                Ok(Err(error)) => *report.errors.entry(format!("{error:#}")).or_default() += 1,
                Err(_) => *report.errors.entry("no answer in time".into()).or_default() += 1,
            }
        });
        while tasks.try_join_next().is_some() {}
    }
    while tasks.join_next().await.is_some() {}
}

async fn one(
    to: SocketAddr,
    ask: &Ask,
    idle: &std::cell::RefCell<Vec<Sender>>,
) -> anyhow::Result<(u16, bytes::Bytes)> {
    let pooled = loop {
        let candidate = idle.borrow_mut().pop();
        match candidate {
            Some(sender) if sender.is_closed() => {}
            other => break other,
        }
    };
    let mut sender = match pooled {
        Some(sender) => sender,
        None => {
            let stream = TcpStream::connect(to).await?;
            stream.set_nodelay(true)?;
            let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            tokio::task::spawn_local(connection);
            sender
        }
    };
    sender.ready().await?;
    let mut request = Request::builder().method(ask.method).uri(&ask.path).header("host", &ask.host);
    for (name, value) in &ask.headers {
        request = request.header(name, value);
    }
    let response = sender.send_request(request.body(Full::new(ask.body.clone()))?).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    idle.borrow_mut().push(sender);
    Ok((status, body))
}
