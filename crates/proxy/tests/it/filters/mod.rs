//! HTTP filters that ask others, and those that change responses.

mod authz;
mod jwt;

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use ir::compressor::{Codec, CompressorLibrary, Direction};
use ir::filter::HealthCheckFilter;
use ir::matcher::HeaderMatch;
use ir::{Compressor, Fraction, HeaderMatcher, HttpFilter, StringMatcher};

use crate::support::backend::{Backend, tcp};
use crate::support::client::{Client, Reply, post};
use crate::support::{Running, Setup};

/// A server that answers each request without a body as `answer` says, from its head.
fn server(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> SocketAddr {
    tcp(move |mut stream| {
        let (mut unread, mut room) = (Vec::new(), [0; 4096]);
        loop {
            while let Some(end) = unread.windows(4).position(|it| it == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&unread[..end]).to_ascii_lowercase();
                unread.drain(..end + 4);
                if stream.write_all(answer(&head).as_bytes()).is_err() {
                    return;
                }
            }
            match stream.read(&mut room) {
                Ok(0) | Err(_) => return,
                Ok(len) => unread.extend_from_slice(&room[..len]),
            }
        }
    })
}

fn response(status: u16, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

/// A proxy with one filter in front of the backend `b`.
fn with(filters: Vec<HttpFilter>, setup: Setup, backend: &Backend) -> Running {
    let mut setup = setup.cluster("b", &[backend.address]).route("/", "b");
    setup.hcm.http_filters = filters;
    setup.start()
}

fn get(to: SocketAddr, path: &str, headers: &str) -> Reply {
    let mut client = Client::connect(to);
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n{headers}\r\n"));
    client.read().unwrap()
}

#[test]
fn responses_are_compressed_for_who_takes_it() {
    let backend = Backend::start("b");
    let gzip = Compressor {
        library: CompressorLibrary { name: "gzip".into(), codec: Codec::Gzip { level: None } },
        choose_first: false,
        request: None,
        response: Direction::default(),
        plain_stats: false,
        disable_on_etag_header: false,
        weaken_etag: false,
        remove_accept_encoding_header: true,
        uncompressible_status_codes: Vec::new(),
        status_header: false,
    };
    let proxy = with(vec![HttpFilter::Compressor(Box::new(gzip))], Setup::new(), &backend);
    let plain = get(proxy.address, "/big/100000", "");
    assert_eq!((plain.body.len(), plain.header("vary")), (100_000, Some("Accept-Encoding")));
    let packed = get(proxy.address, "/big/100000", "accept-encoding: br, gzip\r\n");
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(packed.body.len() < 2000 && packed.header("content-length").is_none(), "{}", packed.body.len());
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&packed.body[..]).read_to_end(&mut text).unwrap();
    assert_eq!(text, plain.body);
    assert!(proxy.logged("GET /big").contains("tx="));
    // Too short, and the upstream is not told what the client takes.
    let short = get(proxy.address, "/big/29", "accept-encoding: gzip\r\n");
    assert_eq!((short.body.len(), short.header("content-encoding")), (29, None));
    let told =
        get(proxy.address, "/headers?long-enough-to-be-worth-it", "accept-encoding: identity, gzip\r\n");
    assert!(!told.text().contains("accept-encoding"), "{}", told.text());
}

#[test]
fn questions_about_health_are_answered() {
    let backend = Backend::start("b");
    let path = HeaderMatcher {
        name: ":path".into(),
        matches: HeaderMatch::Value(StringMatcher::exact("/healthz")),
        invert: false,
        treat_missing_as_empty: false,
    };
    let check = |clusters: &[&str]| {
        let cluster_min_healthy = clusters.iter().map(|name| ((*name).into(), Fraction::ALL)).collect();
        let headers = vec![path.clone()];
        let it = HealthCheckFilter { pass_through: false, cache_time: None, cluster_min_healthy, headers };
        with(vec![HttpFilter::HealthCheck(Box::new(it))], Setup::new(), &backend)
    };
    let well = check(&["b"]);
    assert_eq!(get(well.address, "/healthz", "").status, 200);
    assert_eq!((backend.seen(), get(well.address, "/status/204", "").status), (0, 204));
    assert!(well.logged("GET /healthz").contains("200 - health_check_ok_cluster_healthy"));
    assert_eq!(post(well.handle.admin().unwrap(), "/healthcheck/fail").0, 200);
    assert_eq!(get(well.address, "/healthz", "").status, 503);
    assert_eq!(post(well.handle.admin().unwrap(), "/healthcheck/ok").0, 200);
    assert_eq!(get(well.address, "/healthz", "").status, 200);
    let sick = check(&["none"]);
    assert_eq!(get(sick.address, "/healthz", "").status, 503);
    assert!(sick.logged("GET /healthz").contains("503 LH health_check_failed_no_cluster_found"));
}

#[test]
fn an_upstream_is_not_asked_about_its_health_all_the_time() {
    let backend = Backend::start("b");
    let it = HealthCheckFilter {
        pass_through: true,
        cache_time: Some(Duration::from_secs(60)),
        cluster_min_healthy: Default::default(),
        headers: vec![HeaderMatcher {
            name: ":path".into(),
            matches: HeaderMatch::Value(StringMatcher::exact("/status/418")),
            invert: false,
            treat_missing_as_empty: false,
        }],
    };
    let proxy = with(vec![HttpFilter::HealthCheck(Box::new(it))], Setup::new(), &backend);
    for _ in 0..3 {
        let reply = get(proxy.address, "/status/418", "");
        assert_eq!(reply.status, 418);
        assert!(reply.header("x-envoy-upstream-healthchecked-cluster").is_some());
    }
    assert_eq!(backend.seen(), 1);
}
