//! Configuration that changes under load.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::backend::Backend;
use crate::support::client::{Client, get};
use crate::support::{Setup, cluster, free_port, route, update};
use ir::body::BodySource;
use ir::http::RouteSource;
use ir::rbac::{Permission, Policy, Principal, RbacAction};
use ir::route::{DirectResponse, Forward};
use ir::*;

fn routes(cluster: &str) -> Resource {
    Resource::Route(Arc::new(RouteConfig {
        name: "80".into(),
        virtual_hosts: vec![Arc::new(VirtualHost {
            name: "all".into(),
            domains: vec!["*".into()],
            routes: vec![route("/", RouteAction::Forward(Forward::to(cluster)))],
            ..VirtualHost::default()
        })],
        ..RouteConfig::default()
    }))
}

#[test]
fn bodies_that_cannot_be_read_or_are_too_long_are_refused_with_their_place() {
    let mut setup = Setup::new();
    setup.hcm.routes = RouteSource::Rds("80".into());
    let proxy = setup.start_dynamic();
    let answering = |body: BodySource, limit| {
        let direct = RouteAction::Direct(DirectResponse { status: 200, body, format: None });
        Resource::Route(Arc::new(RouteConfig {
            name: "80".into(),
            virtual_hosts: vec![Arc::new(VirtualHost {
                name: "all".into(),
                domains: vec!["*".into()],
                routes: vec![route("/", direct)],
                ..VirtualHost::default()
            })],
            max_direct_response_body_size: limit,
            ..RouteConfig::default()
        }))
    };
    let refused = |body: BodySource, limit, expected: &str| {
        let rejects = proxy.handle.update(update(vec![answering(body, limit)], &[]));
        let [reject] = rejects.as_slice() else { panic!("{expected}: {rejects:?}") };
        let start = format!("virtual_hosts[0].routes[0].direct_response.body{expected}");
        assert!(&*reject.name == "80" && reject.message.starts_with(&start), "{}", reject.message);
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("body");
    let file = BodySource::File(path.to_str().unwrap().into());
    refused(file.clone(), None, &format!(".filename: {}: No such file", path.display()));
    std::fs::write(&path, "x".repeat(5000)).unwrap();
    refused(file.clone(), None, ".filename: is longer than 4096 bytes");
    refused("x".repeat(4097).into(), None, ": is longer than 4096 bytes");
    refused("text".into(), Some(3), ": is longer than 3 bytes");
    let rejects = proxy.handle.update(update(vec![answering(file, Some(5000))], &[]));
    assert!(rejects.is_empty(), "{rejects:?}");
    while !proxy.handle.is_ready() {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(Client::connect(proxy.address).get("/").body.len(), 5000);
    // With the limit lowered, what has not changed is too long all the same.
    let file = BodySource::File(path.to_str().unwrap().into());
    refused(file, None, ".filename: is longer than 4096 bytes");
    assert_eq!(Client::connect(proxy.address).get("/").body.len(), 5000);
}

#[test]
fn pushes_under_load_fail_no_request_and_close_no_connection() {
    let (a, b) = (Backend::start("a"), Backend::start("b"));
    let mut setup = Setup::new().cluster("c0", &[a.address]);
    setup.hcm.routes = RouteSource::Rds("80".into());
    setup.hcm.upgrades = vec!["websocket".into()];
    let base = setup.listener("/dev/null");
    let proxy = setup.start_dynamic();
    proxy.handle.update(update(vec![routes("c0")], &[]));
    while !proxy.handle.is_ready() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut socket = Client::connect(proxy.address);
    socket.send("GET /websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(socket.read().unwrap().status, 101);

    let stop = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicUsize::new(0));
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (stop, done, address) = (stop.clone(), done.clone(), proxy.address);
            std::thread::spawn(move || {
                // One connection for all: a push that closed it would fail the next request.
                let mut client = Client::connect(address);
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(client.get("/").status, 200);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for i in 1..60 {
        let (name, old) = (format!("c{i}"), format!("c{}", i - 1));
        let backend = if i % 2 == 0 { &a } else { &b };
        // The route comes before its cluster, and the old cluster goes before the route does.
        let messages = match i % 3 {
            0 => vec![
                update(vec![routes(&name)], &[]),
                update(vec![Resource::Cluster(Arc::new(cluster(&name, &[backend.address])))], &[]),
                update(vec![], &[(ResourceType::Cluster, &old)]),
            ],
            1 => vec![
                update(vec![], &[(ResourceType::Cluster, &old)]),
                update(vec![routes(&name)], &[]),
                update(vec![Resource::Cluster(Arc::new(cluster(&name, &[backend.address])))], &[]),
            ],
            _ => {
                let mut listener = base.clone();
                if let Terminal::Http(hcm) = &mut listener.filter_chains[0].terminal {
                    hcm.server_name = Some(format!("v{i}").into());
                }
                vec![
                    update(vec![Resource::Cluster(Arc::new(cluster(&name, &[backend.address])))], &[]),
                    update(vec![routes(&name)], &[]),
                    update(vec![Resource::Listener(Arc::new(listener))], &[]),
                    update(vec![], &[(ResourceType::Cluster, &old)]),
                ]
            }
        };
        for message in messages {
            assert_eq!(proxy.handle.update(message), []);
            std::thread::sleep(Duration::from_millis(5));
        }
        let wanted = if i % 2 == 0 { "a\n" } else { "b\n" };
        assert_eq!(Client::connect(proxy.address).get("/").text(), wanted, "push {i}");
    }
    stop.store(true, Ordering::Relaxed);
    load.into_iter().for_each(|thread| thread.join().unwrap());
    assert!(done.load(Ordering::Relaxed) > 100);
    socket.send("still here");
    assert_eq!(socket.read_exact(10), b"still here");
    proxy.expect_stat("http.test.downstream_rq_5xx", 0);
}

#[test]
fn a_policy_holds_for_the_next_request_of_an_open_connection() {
    let backend = Backend::start("b");
    let setup = Setup::new().cluster("b", &[backend.address]).route("/", "b");
    let open = setup.listener("/dev/null");
    let proxy = setup.start_dynamic();
    let mut client = Client::connect(proxy.address);
    assert_eq!(client.get("/").status, 200);
    let mut closed = open.clone();
    let rules = Rbac {
        action: RbacAction::Deny,
        policies: [(
            Str::from("p"),
            Policy { permissions: vec![Permission::Any], principals: vec![Principal::Any] },
        )]
        .into(),
    };
    if let Terminal::Http(hcm) = &mut closed.filter_chains[0].terminal {
        hcm.http_filters = vec![HttpFilter::Rbac(ir::RbacFilter::enforce("", rules))];
    }
    let push = |listener: &Listener| {
        proxy.handle.update(update(vec![Resource::Listener(Arc::new(listener.clone()))], &[]))
    };
    assert_eq!(push(&closed), []);
    assert_eq!(client.get("/").status, 403);
    assert_eq!(push(&open), []);
    assert_eq!(client.get("/").status, 200);
}

#[test]
fn a_listener_that_goes_takes_its_socket_along() {
    let backend = Backend::start("b");
    let setup = Setup::new().cluster("b", &[backend.address]).route("/", "b");
    let proxy = setup.start_dynamic();
    let mut client = Client::connect(proxy.address);
    assert_eq!(client.get("/").status, 200);
    proxy.handle.update(update(vec![], &[(ResourceType::Listener, "test")]));
    std::thread::sleep(Duration::from_millis(100));
    assert!(std::net::TcpStream::connect(proxy.address).is_err());
    // Who is connected is served.
    assert_eq!(client.get("/").status, 200);
}

#[test]
fn a_taken_port_is_refused_by_name() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = Setup::new();
    let mut listener = setup.listener("/dev/null");
    let proxy = setup.start_dynamic();
    listener.name = "second".into();
    listener.address = Address::Socket(taken.local_addr().unwrap());
    let rejects = proxy.handle.update(update(vec![Resource::Listener(Arc::new(listener))], &[]));
    assert_eq!(rejects.len(), 1);
    assert!(&*rejects[0].name == "second" && rejects[0].message.contains("cannot bind"), "{rejects:?}");
}

#[test]
fn addresses_come_and_go_and_connections_at_others_stay() {
    let backend = Backend::start("b");
    let setup = Setup::new().cluster("b", &[backend.address]).route("/", "b");
    let mut listener = setup.listener("/dev/null");
    let proxy = setup.start_dynamic();
    let [second, third] = [free_port(), free_port()];
    let mut push = |addresses: &[SocketAddr]| {
        listener.additional_addresses = addresses.iter().copied().map(Address::Socket).collect();
        assert_eq!(
            proxy.handle.update(update(vec![Resource::Listener(Arc::new(listener.clone()))], &[])),
            []
        );
    };
    let mut first = Client::connect(proxy.address);
    assert_eq!(first.get("/").status, 200);
    push(&[second]);
    let mut other = Client::connect(second);
    assert_eq!(other.get("/").status, 200);
    push(&[second, third]);
    assert_eq!(Client::connect(third).get("/").status, 200);
    let admin = proxy.handle.admin().unwrap();
    let listeners = get(admin, "/listeners").text();
    let expected = [proxy.address, second, third].map(|address| format!("test::{address}\n"));
    assert_eq!(listeners, expected.concat());
    let told = get(admin, "/listeners?format=json").text();
    let told: serde_json::Value = serde_json::from_str(&told).unwrap();
    let additional = &told["listener_statuses"][0]["additional_local_addresses"];
    assert_eq!(additional[1]["socket_address"]["port_value"], third.port());
    push(&[third]);
    std::thread::sleep(Duration::from_millis(100));
    assert!(std::net::TcpStream::connect(second).is_err());
    // Who is connected is served, also where nobody listens any more.
    assert_eq!(first.get("/").status, 200);
    assert_eq!(other.get("/").status, 200);
    assert_eq!(Client::connect(third).get("/").status, 200);
    proxy.expect_stat("listener_manager.total_listeners_active", 1);
}

#[test]
fn one_of_several_addresses_that_is_taken_is_told_and_the_others_serve() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let backend = Backend::start("b");
    let setup = Setup::new().cluster("b", &[backend.address]).route("/", "b");
    let mut listener = setup.listener("/dev/null");
    let proxy = setup.start_dynamic();
    let free = free_port();
    listener.additional_addresses = [taken.local_addr().unwrap(), free].map(Address::Socket).into();
    let rejects = proxy.handle.update(update(vec![Resource::Listener(Arc::new(listener))], &[]));
    assert!(rejects.len() == 1 && rejects[0].message.contains("cannot bind"), "{rejects:?}");
    assert_eq!(Client::connect(free).get("/").status, 200);
    assert_eq!(Client::connect(proxy.address).get("/").status, 200);
}
