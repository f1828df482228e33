use std::collections::BTreeMap;
use std::time::Duration;

use http1::{BodyKind, Limits, ResponseHead, ServerConn};
use ir::health_check::{HealthChecker, HttpCheck, TcpCheck};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::{LocalSet, spawn_local};

use super::*;

const MS: fn(u64) -> Duration = Duration::from_millis;

fn check(checker: HealthChecker) -> Arc<Check> {
    let rules = match &checker {
        HealthChecker::Http(http) => Some(ResponseRules::compile(http).unwrap()),
        _ => None,
    };
    let config = HealthCheck {
        timeout: MS(100),
        interval: MS(5),
        initial_jitter: None,
        interval_jitter: None,
        interval_jitter_percent: 0,
        unhealthy_threshold: 2,
        healthy_threshold: 2,
        alt_port: None,
        reuse_connection: true,
        no_traffic_interval: Some(MS(5)),
        no_traffic_healthy_interval: None,
        unhealthy_interval: None,
        unhealthy_edge_interval: None,
        healthy_edge_interval: None,
        alpn: Vec::new(),
        transport_criteria: BTreeMap::new(),
        checker,
    };
    Arc::new(Check { config, rules })
}

/// The probe of an endpoint that nobody has checked yet.
fn probe(listener: &TcpListener, check: &Arc<Check>) -> (Probe, Arc<EndpointState>, Arc<ClusterState>) {
    let address = ir::Address::Socket(listener.local_addr().unwrap());
    let cluster = Arc::new(ClusterState::new("c".into()));
    let endpoint = cluster.endpoint(&address);
    endpoint.expect_checks();
    let to = Destination {
        config: Arc::new(ir::Cluster::new("c", ir::ClusterDiscovery::OriginalDst)),
        cluster: Arc::new(ClusterState::new("c".into())),
        endpoint: Arc::new(EndpointState::new(address)),
        tls: None,
        transport_key: 0,
        proxy_protocol: None,
        named: None,
    };
    let probe = Probe {
        check: check.clone(),
        cluster: cluster.clone(),
        endpoint: endpoint.clone(),
        to,
        host: "c".into(),
        key: stdx::digest(&1),
    };
    (probe, endpoint, cluster)
}

fn prober() -> (Prober, Arc<Notify>) {
    let first = Arc::new(Notify::new());
    (Prober::new(first.clone(), Box::new(engine::dice::SplitMix(1))), first)
}

async fn until(what: impl Fn() -> bool) {
    let waiting = async {
        while !what() {
            tokio::time::sleep(MS(2)).await;
        }
    };
    tokio::time::timeout(MS(3_000), waiting).await.expect("it never came to be");
}

/// Answers with these statuses in turn, then with the last one.
async fn serve(listener: TcpListener, statuses: Vec<u16>) {
    let mut statuses = statuses.into_iter().peekable();
    let (stream, _) = listener.accept().await.unwrap();
    let mut conn = ServerConn::new(stream, Limits::default());
    let mut status = 0;
    while let Ok(Some(head)) = conn.read_head().await {
        assert_eq!(head.get("user-agent"), Some(&b"Envoy/HC"[..]));
        status = statuses.next().unwrap_or(status);
        conn.start(&ResponseHead::new(status), BodyKind::None, false);
        conn.finish().await.unwrap();
    }
}

#[tokio::test]
async fn http_checks_change_an_endpoint() {
    let test = async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let check = check(HealthChecker::Http(HttpCheck { path: "/up".into(), ..HttpCheck::default() }));
        let (probe, endpoint, cluster) = probe(&listener, &check);
        // One connection serves all of them.
        spawn_local(serve(listener, vec![200, 200, 503, 200, 200]));
        let (prober, first) = prober();
        assert!(endpoint.checked().pending && endpoint.checked().failed);
        let version = cluster.health_version();
        prober.watch(&"c".into(), vec![probe]);
        first.notified().await;
        assert!(!endpoint.checked().failed && !endpoint.checked().pending);
        assert_ne!(cluster.health_version(), version);
        until(|| endpoint.checked().failed).await;
        until(|| !endpoint.checked().failed).await;
        let stats = cluster.checks();
        assert_eq!(stats.failure.load(Ordering::Relaxed), 1);
        assert!(stats.success.load(Ordering::Relaxed) >= 4);
        prober.watch(&"c".into(), Vec::new());
        assert!(prober.is_empty());
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn nobody_there_and_nobody_who_answers() {
    let test = async {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let check = check(HealthChecker::Http(HttpCheck { path: "/".into(), ..HttpCheck::default() }));
        let (waiting, endpoint, cluster) = probe(&silent, &check);
        let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (refused, other, _) = probe(&gone, &check);
        drop(gone);
        let (prober, _first) = prober();
        prober.watch(&"a".into(), vec![waiting]);
        prober.watch(&"b".into(), vec![refused]);
        until(|| !endpoint.checked().pending && !other.checked().pending).await;
        assert!(endpoint.checked().failed && endpoint.checked().timed_out);
        assert!(other.checked().failed && !other.checked().timed_out);
        assert!(cluster.checks().network_failure.load(Ordering::Relaxed) >= 1);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn tcp_checks_say_and_hear() {
    let test = async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let payload = TcpCheck { send: b"PING".to_vec(), receive: vec![b"PO".to_vec(), b"NG".to_vec()] };
        let check = check(HealthChecker::Tcp(payload));
        let (probe, endpoint, _) = probe(&listener, &check);
        spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 4];
            for answer in ["PONG", "PO..NG", "no"] {
                stream.read_exact(&mut buffer).await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            drop(stream);
            drop(listener);
        });
        let (prober, first) = prober();
        prober.watch(&"c".into(), vec![probe]);
        first.notified().await;
        assert!(!endpoint.checked().failed);
        until(|| endpoint.checked().failed).await;
    };
    LocalSet::new().run_until(test).await;
}
