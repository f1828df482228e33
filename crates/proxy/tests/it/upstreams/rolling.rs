//! A rolling update under load, five seconds of it in one: clients see no 503 while there is a healthy
//! endpoint.
//!
//! Routes and clusters are what Istio's control plane and ours write (`translate` has a test of just
//! these values), and no more endpoints fail at a time than a request may be sent again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ir::cluster::Thresholds;
use ir::retry::{RetryOn, RetryPolicy};
use ir::route::Forward;
use ir::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;

use crate::support::client::Client;
use crate::support::{Running, Setup, cluster, update};

/// How an instance is at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// Its port refuses connections.
    Starting,
    /// It answers 503.
    Failing,
    Well,
    /// The process ends: it answers what has reached it, and nothing more.
    Gone,
}

struct Instance {
    address: SocketAddr,
    phase: watch::Sender<Phase>,
    refused: Arc<AtomicUsize>,
}

impl Instance {
    fn start(phase: Phase) -> Instance {
        let (phase, mut seen) = watch::channel(phase);
        let refused = Arc::new(AtomicUsize::new(0));
        let (bound, address) = std::sync::mpsc::channel();
        let counts = refused.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                // Bound, so that nobody else gets the port, and not listening yet.
                let socket = TcpSocket::new_v4().unwrap();
                socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
                bound.send(socket.local_addr().unwrap()).unwrap();
                let phases = seen.clone();
                if seen.wait_for(|phase| *phase != Phase::Starting).await.is_err() {
                    return;
                }
                let listener = socket.listen(128).unwrap();
                loop {
                    tokio::select! {
                        // Who is connected already is served first.
                        biased;
                        accepted = listener.accept() => {
                            let (stream, _) = accepted.unwrap();
                            tokio::spawn(serve(stream, phases.clone(), counts.clone()));
                        }
                        _ = seen.wait_for(|phase| *phase == Phase::Gone) => break,
                    }
                }
                drop(listener);
                // What is on its way arrives; idle connections end with the runtime.
                tokio::time::sleep(Duration::from_millis(20)).await;
            });
        });
        Instance { address: address.recv().unwrap(), phase, refused }
    }

    fn becomes(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }
}

async fn serve(mut stream: TcpStream, phase: watch::Receiver<Phase>, refused: Arc<AtomicUsize>) {
    let mut buffer = [0; 4096];
    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {
        let answer = match *phase.borrow() {
            Phase::Well => "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            Phase::Gone => "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
            Phase::Starting | Phase::Failing => {
                refused.fetch_add(1, Ordering::SeqCst);
                "HTTP/1.1 503 Not yet\r\ncontent-length: 0\r\n\r\n"
            }
        };
        if stream.write_all(answer.as_bytes()).await.is_err() || answer.contains("close") {
            return;
        }
    }
}

/// Istio's retries where a route says nothing: not for a 503 of the application.
fn default_retry() -> RetryPolicy {
    RetryPolicy {
        on: [
            RetryOn::ConnectFailure,
            RetryOn::RefusedStream,
            RetryOn::GrpcUnavailable,
            RetryOn::GrpcCancelled,
            RetryOn::RetriableStatusCodes,
        ]
        .into(),
        num_retries: 2,
        avoid_previous_hosts: true,
        host_selection_attempts: 5,
        ..RetryPolicy::default()
    }
}

/// `retries: {attempts: 2, retryOn: "connect-failure,refused-stream,503"}`.
fn retry_503() -> RetryPolicy {
    RetryPolicy {
        on: [RetryOn::ConnectFailure, RetryOn::RefusedStream, RetryOn::RetriableStatusCodes].into(),
        retriable_status_codes: [503].into(),
        ..default_retry()
    }
}

/// A service whose DestinationRule says
/// `outlierDetection: {consecutive5xxErrors: 5, interval: .., baseEjectionTime: .., maxEjectionPercent: 100}`.
fn service(to: &[&Instance], thresholds: Thresholds) -> Cluster {
    let to: Vec<SocketAddr> = to.iter().map(|instance| instance.address).collect();
    let mut cluster = Cluster {
        lb_policy: LbPolicy::LeastRequest,
        connect_timeout: Some(Duration::from_secs(10)),
        thresholds,
        outlier: Some(Box::new(OutlierDetection {
            consecutive_5xx: Some(5),
            enforcing_consecutive_5xx: Some(100),
            interval: Some(Duration::from_millis(50)),
            base_ejection_time: Some(Duration::from_millis(150)),
            max_ejection_percent: Some(100),
            enforcing_success_rate: Some(0),
            ..OutlierDetection::default()
        })),
        ..cluster("b", &to)
    };
    cluster.common_lb.healthy_panic_threshold = Some(Fraction { parts_per_million: 0 });
    cluster
}

/// What the clients have seen, and the proxy with its counts.
struct Told {
    proxy: Running,
    statuses: Vec<u16>,
    refused: usize,
}

impl Told {
    fn failed(&self) -> usize {
        self.statuses.iter().filter(|status| **status != 200).count()
    }
}

/// Two instances are replaced one after the other under load; the new ones do `first` for a while.
fn update_under_load(retry: RetryPolicy, thresholds: Thresholds, first: Phase) -> Told {
    let old = [Instance::start(Phase::Well), Instance::start(Phase::Well)];
    let new = [Instance::start(first), Instance::start(first)];
    let mut setup = Setup::new().route_with("/", Forward { retry: Some(retry), ..Forward::to("b") });
    setup.clusters.push(service(&[&old[0], &old[1]], thresholds));
    let proxy = setup.start_dynamic();
    while !proxy.handle.is_ready() {
        std::thread::sleep(Duration::from_millis(2));
    }
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (over, to) = (over.clone(), proxy.address);
            std::thread::spawn(move || {
                let mut client = Client::connect(to);
                let mut statuses = Vec::new();
                while !over.load(Ordering::SeqCst) {
                    client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
                    statuses.push(client.read().unwrap().status);
                }
                statuses
            })
        })
        .collect();
    let apply = |to: &[&Instance]| {
        let cluster = Resource::Cluster(Arc::new(service(to, thresholds)));
        assert_eq!(proxy.handle.update(update(vec![cluster], &[])), []);
    };
    let pause = |millis| std::thread::sleep(Duration::from_millis(millis));
    pause(50);
    apply(&[&old[0], &old[1], &new[0]]);
    pause(150);
    // It is gone before anybody says so, and from then on one of three is well.
    old[0].becomes(Phase::Gone);
    pause(30);
    apply(&[&old[1], &new[0], &new[1]]);
    pause(600);
    new.iter().for_each(|instance| instance.becomes(Phase::Well));
    proxy.expect_stat("cluster.b.outlier_detection.ejections_active", 0);
    apply(&[&new[0], &new[1]]);
    pause(30);
    old[1].becomes(Phase::Gone);
    pause(50);
    over.store(true, Ordering::SeqCst);
    let statuses: Vec<u16> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
    assert!(statuses.len() > 50, "{}", statuses.len());
    assert!(proxy.stat("cluster.b.outlier_detection.ejections_enforced_total") >= 2);
    let refused = new.iter().map(|instance| instance.refused.load(Ordering::SeqCst)).sum();
    Told { proxy, statuses, refused }
}

#[test]
fn instances_that_do_not_listen_yet_cost_nobody_a_request() {
    let told = update_under_load(default_retry(), Thresholds::UNLIMITED, Phase::Starting);
    assert_eq!(told.failed(), 0, "of {}:\n{}", told.statuses.len(), failures(&told.proxy));
    assert!(told.proxy.stat("cluster.b.upstream_rq_retry") >= 10, "connections were refused");
}

#[test]
fn instances_that_answer_503_at_first_cost_nobody_a_request() {
    let told = update_under_load(retry_503(), Thresholds::UNLIMITED, Phase::Failing);
    assert_eq!(told.failed(), 0, "of {}:\n{}", told.statuses.len(), failures(&told.proxy));
    assert!(told.refused >= 10, "{} were sent away", told.refused);
}

/// Without a mesh, Envoy's limits apply: three retries at a time. What they turn away is what fails,
/// and nothing else.
#[test]
fn envoys_own_limit_of_retries_is_what_lets_failures_through() {
    let told = update_under_load(retry_503(), Thresholds::default(), Phase::Failing);
    let overflowed = told.proxy.stat("cluster.b.upstream_rq_retry_overflow");
    let failures = failures(&told.proxy);
    assert_eq!(told.failed() as u64, overflowed, "of {}:\n{failures}", told.statuses.len());
    assert!(failures.lines().all(|line| line.contains(" 503 UO")), "{failures}");
}

/// The lines of the log about requests that failed.
fn failures(proxy: &Running) -> String {
    let text = proxy.log_text();
    text.lines().filter(|line| !line.contains(" 200 ")).take(20).collect::<Vec<_>>().join("\n")
}
