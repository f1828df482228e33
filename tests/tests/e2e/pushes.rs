//! Two hundred changes under load: each takes effect, none costs a request or a WebSocket.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use lateen_tests::{Sidecar, apply_text, delete, echo, get};
use testkit::client::{Ask, Socket, block_on, http1};
use testkit::{Load, Mesh, eventually, in_network_of, root};

use crate::security::ask_resolver;

const PUSHES: usize = 200;
const SOCKETS: usize = 200;

#[test]
fn pushes_cost_nothing_on_our_proxy() {
    if root("pushes, our proxy") {
        run(&Sidecar::Lateen, SOCKETS);
    }
}

#[test]
fn pushes_cost_no_request_on_stock_envoy() {
    let test = "pushes, stock Envoy";
    if root(test)
        && let Some(envoy) = Sidecar::envoy(test)
    {
        // Envoy drains a listener's connections when the listener changes: no promise for sockets.
        run(&envoy, 0);
    }
}

fn run(sidecar: &Sidecar, sockets: usize) {
    let mesh = echo(sidecar, &[]);
    apply_text(&mesh, &subsets("v1", "v2"));
    apply_text(&mesh, &weights(100, 0, false));
    apply_text(&mesh, &external(&mesh, "v1"));
    probe(&mesh, "/", &[], "the echo service", |status, body| {
        status == 200 && body["served_by"] == "echo-v1"
    });

    let through = Ask::get(&mesh.gateway.to_string(), "/load");
    let load = Load::start(mesh.gateway, through, 100, None);
    // And through a sidecar, past a virtual host of the table in which others change all the time.
    let (client, echo) = (mesh.pod("client").pid, ask_resolver_of(&mesh, "echo.default.svc.cluster.local"));
    let past = Ask::get("echo:8080", "/load");
    let within = in_network_of(client, || Load::start(SocketAddr::new(echo, 8080), past, 100, None));
    let (stop, keeper) = keep_sockets(mesh.gateway, sockets);

    let start = Instant::now();
    for push in 0..PUSHES {
        step(&mesh, push);
    }
    println!("{PUSHES} pushes, each seen, in {:?}", start.elapsed());
    load.stop().assert_clean("through the gateway");
    within.stop().assert_clean("through a sidecar");
    stop.send(()).ok();
    let alive = keeper.join().expect("the sockets' thread");
    println!("{alive} of {sockets} WebSockets open");
    assert_eq!(alive, sockets, "WebSockets closed by pushes");
}

/// One change, and a look at its effect. Every kind comes and goes.
fn step(mesh: &Mesh, push: usize) {
    let there = (push / 5).is_multiple_of(2);
    match push % 5 {
        0 => {
            let (weights, version) = if there {
                (self::weights(0, 100, false), "subset-2")
            } else {
                (self::weights(100, 0, true), "subset-1")
            };
            apply_text(mesh, &weights);
            probe(mesh, "/", &[], "weights", |_, body| body["served_by"] == served(mesh, version, push));
        }
        1 => {
            let rules = if there { subsets("v2", "v1") } else { subsets("v1", "v2") };
            apply_text(mesh, &rules);
            let version = if (push / 5).is_multiple_of(2) { "subset-2" } else { "subset-1" };
            probe(mesh, "/", &[], "subsets", |_, body| body["served_by"] == swapped(version, there));
            change_neighbour(mesh, there);
        }
        2 => {
            let version = if there { "v2" } else { "v1" };
            apply_text(mesh, &external(mesh, version));
            let host = [("x-to", "external")];
            probe(mesh, "/", &host, "endpoints", |_, body| body["served_by"] == format!("echo-{version}"));
        }
        3 => {
            let policy = vec!["AuthorizationPolicy-no-secrets.yaml".to_owned()];
            if there {
                apply_text(mesh, POLICY);
                probe(mesh, "/secret", &[], "policy", |status, _| status == 403);
            } else {
                delete(mesh, &policy);
                probe(mesh, "/secret", &[], "no policy", |status, _| status == 200);
            }
        }
        _ => {
            let host = [("x-to", "extra")];
            if there {
                apply_text(mesh, EXTRA);
                apply_text(mesh, &self::weights(0, 100, true));
                probe(mesh, "/", &host, "new service", |_, body| is_pod(body, "client-"));
            } else {
                apply_text(mesh, &self::weights(100, 0, false));
                delete(mesh, &["Service-extra.yaml".to_owned()]);
                probe(mesh, "/", &host, "no service", |_, body| is_pod(body, "echo-"));
            }
        }
    }
}

/// Changes one virtual host of the sidecars' table, beside the one that the load goes past.
fn change_neighbour(mesh: &Mesh, there: bool) {
    let status = if there { 418 } else { 200 };
    apply_text(
        mesh,
        &format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: neighbour\nspec:\n  \
             hosts: [client]\n  http:\n  - directResponse: {{status: {status}}}\n"
        ),
    );
    let to = SocketAddr::new(ask_resolver_of(mesh, "client.default.svc.cluster.local"), 8080);
    let ask = Ask::get("client:8080", "/");
    eventually("a virtual host of a sidecar", Duration::from_secs(10), || {
        let reply = in_network_of(mesh.pod("client").pid, || block_on(http1(to, &ask)));
        match reply {
            Ok(reply) if reply.status == status => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}

/// The address of a name, as the pod `client` learns it.
fn ask_resolver_of(mesh: &Mesh, name: &str) -> IpAddr {
    in_network_of(mesh.pod("client").pid, || ask_resolver(&mesh.resolver(), name))
}

/// Weights point at a subset; which version that is depends on the subsets of the moment.
fn served(_: &Mesh, subset: &str, push: usize) -> String {
    // Step 1 of the round before left the subsets swapped when that round was an even one.
    let swapped_before = push >= 5 && ((push - 5) / 5).is_multiple_of(2);
    swapped(subset, swapped_before)
}

fn swapped(subset: &str, swapped: bool) -> String {
    let first = (subset == "subset-1") != swapped;
    format!("echo-{}", if first { "v1" } else { "v2" })
}

fn subsets(first: &str, second: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata:\n  name: echo\nspec:\n  host: echo\n  subsets:\n  \
         - name: subset-1\n    labels: {{version: {first}}}\n  - name: subset-2\n    labels: {{version: {second}}}\n"
    )
}

fn is_pod(body: &serde_json::Value, prefix: &str) -> bool {
    body["pod"].as_str().is_some_and(|pod| pod.starts_with(prefix))
}

/// The gateway's routes: to an extra service if there is one, to a service entry, and by weight.
fn weights(first: u32, second: u32, extra: bool) -> String {
    let extra = if extra {
        "\n  - match:\n    - headers: {x-to: {exact: extra}}\n    route:\n    - destination: {host: extra, port: {number: 8080}}"
    } else {
        ""
    };
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: front\nspec:\n  hosts: [\"*\"]\n  \
         gateways: [gateway]\n  http:{extra}\n  - match:\n    - headers: {{x-to: {{exact: external}}}}\n    \
         route:\n    - destination: {{host: echo.external, port: {{number: 8080}}}}\n  - route:\n    \
         - destination: {{host: echo, port: {{number: 8080}}, subset: subset-1}}\n      weight: {first}\n    \
         - destination: {{host: echo, port: {{number: 8080}}, subset: subset-2}}\n      weight: {second}\n"
    )
}

fn external(mesh: &Mesh, version: &str) -> String {
    let address = mesh.pod(&format!("echo-{version}")).address;
    format!(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata:\n  name: external\nspec:\n  hosts: [echo.external]\n  \
         location: MESH_INTERNAL\n  resolution: STATIC\n  ports:\n  - {{number: 8080, name: http, protocol: HTTP}}\n  \
         endpoints:\n  - address: {address}\n"
    )
}

const POLICY: &str = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata:\n  name: no-secrets\nspec:\n  \
    selector: {matchLabels: {app: echo}}\n  action: DENY\n  rules:\n  - to:\n    - operation: {paths: [/secret]}\n";

const EXTRA: &str = "apiVersion: v1\nkind: Service\nmetadata:\n  name: extra\nspec:\n  selector: {app: client}\n  \
    ports: [{name: http, port: 8080}]\n";

/// Asks until the answer is as expected, five times in a row.
#[track_caller]
fn probe(
    mesh: &Mesh,
    path: &str,
    headers: &[(&str, &str)],
    what: &str,
    good: impl Fn(u16, &serde_json::Value) -> bool,
) {
    eventually(what, Duration::from_secs(10), || {
        for _ in 0..5 {
            let reply = get(mesh, path, headers);
            if !good(reply.status, &reply.json()) {
                return Err(format!("{} {}", reply.status, reply.text()));
            }
        }
        Ok(())
    });
}

type Stop = tokio::sync::oneshot::Sender<()>;

/// Opens sockets on a thread of its own, keeps talking on all of them, and gives the number of
/// those that never failed.
fn keep_sockets(to: SocketAddr, count: usize) -> (Stop, std::thread::JoinHandle<usize>) {
    let (stop, mut stopped) = tokio::sync::oneshot::channel();
    let (opened, ready) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        block_on(async move {
            let mut sockets = Vec::new();
            for _ in 0..count {
                sockets.push(Socket::open(to, &to.to_string(), "/ws").await.expect("a WebSocket"));
            }
            opened.send(()).ok();
            loop {
                let last = stopped.try_recv() != Err(tokio::sync::oneshot::error::TryRecvError::Empty);
                let mut kept = Vec::new();
                for mut socket in sockets {
                    match socket.echo("still there").await {
                        Ok(()) => kept.push(socket),
                        Err(error) => println!("a WebSocket ended: {error:#}"),
                    }
                }
                sockets = kept;
                if last {
                    return sockets.len();
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        })
    });
    ready.recv_timeout(Duration::from_secs(30)).expect("all sockets open");
    (stop, thread)
}
