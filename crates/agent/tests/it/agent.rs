//! A whole agent, with a proxy that is a few lines long.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::common::{Control, config, eventually};
use ::agent::{Agent, ProxyRunner, ProxyStart};
use lifecycle::{Drain, DrainGuard, Drained};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Answers `/ready` and `/stats/prometheus` on its admin port, and does as it is told.
#[derive(Default)]
struct Tiny {
    started: AtomicUsize,
    crash: AtomicBool,
    live: AtomicBool,
    drained: AtomicBool,
}

impl Tiny {
    async fn serve(self: Arc<Self>, port: u16) {
        let listener = loop {
            match TcpListener::bind(("127.0.0.1", port)).await {
                Ok(listener) => break listener,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 1024];
            let length = stream.read(&mut buffer).await.unwrap();
            let live = self.live.load(Ordering::Relaxed);
            let (status, body) = match String::from_utf8_lossy(&buffer[..length]).split(' ').nth(1).unwrap() {
                "/ready" if live => ("200 OK", "LIVE\n"),
                "/ready" => ("503 Service Unavailable", "PRE_INITIALIZING\n"),
                "/stats/prometheus" => ("200 OK", "envoy_up 1\n"),
                _ => ("404 Not Found", ""),
            };
            let head =
                format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            stream.write_all((head + body).as_bytes()).await.unwrap();
        }
    }
}

struct Runner(Arc<Tiny>);

impl ProxyRunner for Runner {
    fn user_agent(&self) -> &'static str {
        "lateen"
    }

    fn in_process(&self) -> bool {
        true
    }

    fn run(
        &self,
        start: ProxyStart,
        drain: DrainGuard,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> {
        let tiny = self.0.clone();
        Box::pin(async move {
            assert!(
                start.secrets.certificate("default").is_some(),
                "started before the certificate was there"
            );
            tiny.started.fetch_add(1, Ordering::Relaxed);
            let crashed = async {
                while !tiny.crash.swap(false, Ordering::Relaxed) {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            tokio::select! {
                () = tiny.clone().serve(start.config.ports.admin) => unreachable!(),
                () = crashed => return Err("crashed".into()),
                () = drain.draining() => {}
            }
            tiny.drained.store(true, Ordering::Relaxed);
            drain.forced().await;
            Ok(())
        })
    }
}

async fn get(method: &str, port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    let request = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.ok()?;
    let status = text.split(' ').nth(1)?.parse().ok()?;
    Some((status, text.split_once("\r\n\r\n")?.1.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_from_start_to_end() {
    let dir = tempfile::tempdir().unwrap();
    let control = Control::start(dir.path()).await;
    let mut config = config(dir.path(), control.address);
    config.drain = Duration::from_millis(500);
    let ports = config.ports;
    let tiny = Arc::new(Tiny::default());
    let agent = Agent::build(config, Arc::new(Runner(tiny.clone()))).await.unwrap();
    let secrets = agent.secrets();
    let drain = Drain::new();
    let running = tokio::spawn(agent.run(drain.guard()));

    // No token yet, so no certificate, so not ready, and no proxy.
    let ready = async |port| get("GET", port, "/healthz/ready").await;
    eventually("health answers", async || ready(ports.health).await.is_some()).await;
    let (status, why) = ready(ports.health).await.unwrap();
    assert_eq!((status, why.trim()), (503, "no workload certificate yet"));
    control.write_token(dir.path());
    secrets.certificate_slot("default").wait().await;
    eventually("the proxy starts", async || tiny.started.load(Ordering::Relaxed) == 1).await;
    eventually("the proxy is asked", async || {
        ready(ports.health).await.unwrap().1.contains("PRE_INITIALIZING")
    })
    .await;
    tiny.live.store(true, Ordering::Relaxed);
    assert_eq!(ready(ports.health).await.unwrap().0, 200);
    assert_eq!(ready(ports.status).await.unwrap().0, 200);
    // Ready once is ready, whatever it says in a bad moment.
    tiny.live.store(false, Ordering::Relaxed);
    assert_eq!(ready(ports.health).await.unwrap().0, 200);

    let (_, merged) = get("GET", ports.status, "/stats/prometheus").await.unwrap();
    for part in [
        "envoy_up 1",
        "istio_agent_cert_expiry_seconds{resource_name=\"default\"}",
        "istio_agent_scrapes_total 1",
    ] {
        assert!(merged.contains(part), "{part} is missing in {merged}");
    }
    assert_eq!(get("GET", ports.prometheus, "/stats/prometheus").await.unwrap().1, "envoy_up 1\n");

    // A crash: reported, not ready, started again.
    tiny.crash.store(true, Ordering::Relaxed);
    eventually("the proxy is started again", async || tiny.started.load(Ordering::Relaxed) == 2).await;
    let (_, merged) = get("GET", ports.status, "/metrics").await.unwrap();
    assert!(merged.contains("istio_agent_proxy_restarts_total 1"), "{merged}");
    tiny.live.store(true, Ordering::Relaxed);
    eventually("ready again", async || ready(ports.health).await.unwrap().0 == 200).await;

    // The end: the proxy drains for as long as it was told, then all is over.
    let began = Instant::now();
    assert_eq!(drain.drain(Duration::from_secs(10)).await, Drained::Complete);
    running.await.unwrap().unwrap();
    assert!(tiny.drained.load(Ordering::Relaxed));
    assert!(began.elapsed() >= Duration::from_millis(500) && began.elapsed() < Duration::from_secs(3));
    assert!(ready(ports.health).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn quitquitquit_ends_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let control = Control::start(dir.path()).await;
    control.write_token(dir.path());
    let mut config = config(dir.path(), control.address);
    config.drain = Duration::from_secs(60);
    let ports = config.ports;
    let tiny = Arc::new(Tiny::default());
    let agent = Agent::build(config, Arc::new(Runner(tiny.clone()))).await.unwrap();
    let drain = Drain::new();
    let running = tokio::spawn(agent.run(drain.guard()));
    eventually("the proxy starts", async || tiny.started.load(Ordering::Relaxed) == 1).await;
    assert_eq!(get("GET", ports.status, "/quitquitquit").await.unwrap().0, 405);
    assert_eq!(get("POST", ports.status, "/quitquitquit").await.unwrap().0, 200);
    tokio::time::timeout(Duration::from_secs(5), running).await.unwrap().unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), "127.0.0.1:1".parse().unwrap());
    let _taken = TcpListener::bind(("0.0.0.0", config.ports.status)).await.unwrap();
    let port = config.ports.status;
    let Err(error) = Agent::build(config, Arc::new(Runner(Arc::default()))).await else {
        panic!("it was built")
    };
    assert!(error.to_string().contains(&format!("0.0.0.0:{port}")), "{error}");
}
