//! When memory or connections run out.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use ir::{Overload, OverloadAction, OverloadRule};

use crate::support::backend::Backend;
use crate::support::client::{Client, get};
use crate::support::{Running, Setup};

/// A proxy that has more memory than it may from the beginning: any process has more than that.
fn overloaded(backend: &Backend, actions: &[OverloadAction]) -> Running {
    let mut setup = Setup::new().cluster("b", &[backend.address]).route("/", "b");
    let rule = |action: &OverloadAction| OverloadRule { action: *action, threshold: 900_000 };
    setup.overload = Some(Overload {
        refresh_interval: Some(Duration::from_millis(20)),
        max_heap_bytes: Some(4096),
        actions: actions.iter().map(rule).collect(),
        ..Overload::default()
    });
    setup.start()
}

#[test]
fn over_the_memory_ceiling_requests_are_shed() {
    let backend = Backend::start("b");
    let proxy = overloaded(&backend, &[OverloadAction::StopAcceptingRequests, OverloadAction::ShrinkHeap]);
    proxy.expect_stat("overload.envoy.overload_actions.stop_accepting_requests.active", 1);
    let answer = get(proxy.address, "/");
    assert_eq!((answer.status, answer.text().as_str()), (503, "envoy overloaded"));
    proxy.logged("GET / HTTP/1.1 503 - overload");
    proxy.expect_stat("http.test.downstream_rq_overload_close", 1);
    assert_eq!(proxy.stat("overload.envoy.overload_actions.shrink_heap.active"), 1);
    assert!(proxy.stat("overload.envoy.resource_monitors.fixed_heap.pressure") > 100);
}

#[test]
fn over_the_memory_ceiling_connections_wait() {
    let backend = Backend::start("b");
    let mut proxy = overloaded(&backend, &[OverloadAction::StopAcceptingConnections]);
    proxy.expect_stat("overload.envoy.overload_actions.stop_accepting_connections.active", 1);
    // Accepts that were under way when the action began come to an end.
    std::thread::sleep(Duration::from_millis(60));
    let mut taken = 0;
    loop {
        let mut client = Client::connect(proxy.address);
        client.stream().set_read_timeout(Some(Duration::from_millis(150))).unwrap();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        match client.read() {
            Ok(_) => taken += 1,
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
                break;
            }
        }
        // One per worker may have been waited for.
        assert!(taken <= 2, "connections are accepted");
    }
    // The kernel still takes them, and a proxy that ends does not wait for its memory.
    assert!(TcpStream::connect(proxy.address).is_ok());
    let begin = Instant::now();
    proxy.stop();
    assert!(begin.elapsed() < Duration::from_secs(3));
}

#[test]
fn connections_over_the_limit_are_closed_at_once() {
    let backend = Backend::start("b");
    let mut setup = Setup::new().cluster("b", &[backend.address]).route("/", "b");
    setup.overload = Some(Overload { max_connections: Some(2), ..Overload::default() });
    let proxy = setup.start();
    let open = || {
        let mut client = Client::connect(proxy.address);
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let status = client.read().map(|reply| reply.status).ok();
        (client, status)
    };
    let (first, second) = (open(), open());
    assert_eq!((first.1, second.1), (Some(200), Some(200)));
    assert_eq!(open().1, None);
    let stat =
        format!("listener.{}.downstream_global_cx_overflow", proxy.address.to_string().replace(':', "_"));
    proxy.expect_stat(&stat, 1);
    drop(first);
    let begin = Instant::now();
    while open().1 != Some(200) {
        assert!(begin.elapsed() < Duration::from_secs(2), "no room was made");
        std::thread::sleep(Duration::from_millis(5));
    }
}
