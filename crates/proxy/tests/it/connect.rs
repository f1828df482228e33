//! CONNECT: tunnels that end here, tunnels that the endpoint is asked for, and none at all.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ir::rbac::{Permission, Policy, Principal, Rbac, RbacAction};
use ir::route::{Forward, PathMatch, RouteMatch, RouteUpgrade};
use ir::{HttpFilter, Resource, Route, RouteAction};

use crate::support::backend::{Backend, tcp, tcp_echo};
use crate::support::client::Client;
use crate::support::{Setup, in_time, update};

const ASK: &str = "CONNECT db.test:5432 HTTP/1.1\r\nHost: db.test:5432\r\n\r\n";

fn upgrade(name: &str, connect_config: bool) -> Box<[RouteUpgrade]> {
    [RouteUpgrade { upgrade_type: name.into(), enabled: true, connect_config }].into()
}

/// Every CONNECT goes to the cluster `b`, and ends here.
fn ended() -> Route {
    let forward = Forward { upgrades: upgrade("connect", true), ..Forward::to("b") };
    Route::new(RouteMatch::path(PathMatch::Connect), RouteAction::Forward(forward))
}

fn to(address: SocketAddr) -> Setup {
    let mut setup = Setup::new().cluster("b", &[address]);
    setup.routes.push(ended());
    setup
}

#[test]
fn bytes_go_both_ways_and_each_side_ends_by_itself() {
    let proxy = to(tcp_echo()).start();
    let mut client = Client::connect(proxy.address);
    client.send(format!("{ASK}early"));
    let head = client.read_head().unwrap();
    assert_eq!((head.status, head.header("content-length"), head.header("connection")), (200, None, None));
    assert_eq!(client.read_exact(5), b"early");
    client.send("more");
    assert_eq!(client.read_exact(4), b"more");
    proxy.expect_stat("http.test.downstream_cx_upgrades_active", 1);
    client.send("last");
    client.stream().shutdown(Shutdown::Write).unwrap();
    // It hears of our end, and still has a word.
    assert_eq!(client.read_to_end(), b"lastbye");
    assert!(proxy.logged("CONNECT").contains("200 - via_upstream rx=13 tx=16"), "{}", proxy.log_text());
    proxy.expect_stat("http.test.downstream_cx_upgrades_active", 0);
}

#[test]
fn a_tunnel_outlives_the_push_that_forbids_others() {
    let setup = to(tcp_echo());
    let mut without = setup.listener("/dev/null");
    let ir::Terminal::Http(hcm) = &mut without.filter_chains[0].terminal else { panic!() };
    hcm.routes = ir::http::RouteSource::Inline(Arc::default());
    let proxy = setup.start_dynamic();
    let mut client = Client::connect(proxy.address);
    client.send(ASK);
    assert_eq!(client.read_head().unwrap().status, 200);
    assert_eq!(proxy.handle.update(update(vec![Resource::Listener(Arc::new(without))], &[])), []);
    in_time(Duration::from_secs(5), |_| {
        let mut other = Client::connect(proxy.address);
        other.send(ASK);
        assert_eq!(other.read().unwrap().status, 404);
    });
    client.send("still");
    assert_eq!(client.read_exact(5), b"still");
}

#[test]
fn a_tunnel_without_traffic_ends() {
    let mut setup = Setup::new().cluster("b", &[tcp_echo()]);
    let mut route = ended();
    let RouteAction::Forward(forward) = &mut route.action else { panic!() };
    forward.idle_timeout = Some(Duration::from_millis(200));
    setup.routes.push(route);
    let proxy = setup.start();
    let mut client = Client::connect(proxy.address);
    client.send(ASK);
    assert_eq!(client.read_head().unwrap().status, 200);
    assert!(client.read_to_end().is_empty());
    assert!(proxy.logged("CONNECT").contains("200 SI "), "{}", proxy.log_text());
}

#[test]
fn nothing_is_connected_for_who_may_not() {
    let connected = Arc::new(AtomicUsize::new(0));
    let count = connected.clone();
    let mut setup = to(tcp(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    }));
    let anybody = Policy { permissions: vec![Permission::Any], principals: vec![Principal::Any] };
    let rules = Rbac { action: RbacAction::Deny, policies: [("all".into(), anybody)].into() };
    setup.hcm.http_filters = vec![HttpFilter::Rbac(ir::RbacFilter::enforce("", rules))];
    let proxy = setup.start();
    let mut client = Client::connect(proxy.address);
    // What may have been meant for the tunnel is no request.
    client.send(format!("{ASK}GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    let refused = client.read().unwrap();
    assert_eq!((refused.status, refused.header("connection")), (403, Some("close")));
    assert!(client.read_to_end().is_empty());
    proxy.expect_stat("http.test.downstream_rq_total", 1);
    assert_eq!(connected.load(Ordering::SeqCst), 0);
}

#[test]
fn the_endpoint_is_asked_where_the_tunnel_does_not_end_here() {
    let endpoint = tcp(|mut stream| {
        let mut asked = [0; 512];
        let len = stream.read(&mut asked).unwrap();
        assert!(asked[..len].starts_with(b"CONNECT db.test:5432 HTTP/1.1\r\n"));
        stream.write_all(b"HTTP/1.1 200 OK\r\nx-of: endpoint\r\n\r\nhello").unwrap();
        let len = stream.read(&mut asked).unwrap();
        stream.write_all(&asked[..len]).unwrap();
    });
    let mut setup = to(endpoint);
    setup.routes[0].action = RouteAction::Forward(Forward::to("b"));
    setup.hcm.upgrades = vec!["connect".into()];
    let proxy = setup.start();
    let mut client = Client::connect(proxy.address);
    client.send(ASK);
    let head = client.read_head().unwrap();
    assert_eq!((head.status, head.header("x-of")), (200, Some("endpoint")));
    assert_eq!(client.read_exact(5), b"hello");
    client.send("again");
    assert_eq!(client.read_to_end(), b"again");
}

#[test]
fn a_route_says_who_may_switch_protocols() {
    let backend = Backend::start("b");
    let websocket = |enabled| {
        let upgrades = [RouteUpgrade { enabled, ..upgrade("websocket", false)[0].clone() }];
        Forward { upgrades: upgrades.into(), ..Forward::to("b") }
    };
    for (of_manager, of_route, expected) in [(false, true, 101), (true, false, 403)] {
        let mut setup = Setup::new().cluster("b", &[backend.address]);
        setup = setup.route_with("/websocket", websocket(of_route));
        setup.hcm.upgrades = if of_manager { vec!["websocket".into()] } else { Vec::new() };
        let proxy = setup.start();
        let mut client = Client::connect(proxy.address);
        client
            .send("GET /websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n");
        assert_eq!(client.read().unwrap().status, expected);
    }
}
