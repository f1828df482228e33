//! Mutual TLS and policies, as seen from outside and inside the mesh.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lateen_tests::{Sidecar, apply_text, delete, echo, get};
use testkit::anyone::Anyone;
use testkit::client::{Ask, block_on, grpc, http1, http2};
use testkit::namespace::in_network_of;
use testkit::{Mesh, eventually, root};

const STRICT: &str = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata:\n  name: default\n  \
    namespace: istio-system\nspec:\n  mtls: {mode: STRICT}\n";

#[test]
fn strict_refuses_plaintext_and_strangers() {
    if !root("security: STRICT") {
        return;
    }
    let mesh = echo(&Sidecar::Lateen, &[]);
    let pod = mesh.pod("echo-v1");
    let inbound = SocketAddr::new(pod.address, 8080);
    // The host is outside of the mesh: PERMISSIVE lets it in, with plaintext.
    eventually("plaintext is let in", Duration::from_secs(10), || plaintext(inbound));
    apply_text(&mesh, STRICT);
    eventually("plaintext is refused", Duration::from_secs(10), || match plaintext(inbound) {
        Ok(()) => Err("still let in".into()),
        Err(_) => Ok(()),
    });
    let connections = application_log(&mesh, &pod.name);
    let alert = handshake_without_certificate(inbound);
    assert!(alert.contains("CertificateRequired"), "{alert}");
    assert!(plaintext(inbound).is_err());
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(application_log(&mesh, &pod.name), connections, "the application saw a connection");
    // The mesh itself goes on.
    assert_eq!(get(&mesh, "/", &[]).status, 200);
    wire_shows_nothing(&mesh, inbound);
}

fn plaintext(to: SocketAddr) -> Result<(), String> {
    let ask = Ask { timeout: Duration::from_secs(3), ..Ask::get("echo", "/") };
    let reply = block_on(http1(to, &ask)).map_err(|error| format!("{error:#}"))?;
    if reply.status == 200 { Ok(()) } else { Err(format!("status {}", reply.status)) }
}

/// A TLS 1.3 client that has no certificate; the alert it reads.
fn handshake_without_certificate(to: SocketAddr) -> String {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Anyone::new())
        .with_no_client_auth();
    let mut config = config;
    config.alpn_protocols = vec![b"istio-http/1.1".to_vec(), b"istio".to_vec(), b"http/1.1".to_vec()];
    let name = "echo.default.svc.cluster.local".try_into().expect("a name");
    let mut connection = rustls::ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut stream = TcpStream::connect(to).expect("connecting");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    let mut tls = rustls::Stream::new(&mut connection, &mut stream);
    let result = tls.write_all(b"GET / HTTP/1.1\r\nhost: echo\r\n\r\n").and_then(|()| {
        let mut byte = [0];
        tls.read(&mut byte)
    });
    format!("{result:?}")
}

/// Lines that the application logged about requests and connections, probes left out.
fn application_log(mesh: &Mesh, pod: &str) -> usize {
    let output = mesh.command(&["logs", pod]).output().expect("lateen logs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter(|line| line.contains("/secret-path") || line.contains("connection")).count()
}

/// A capture on the bridge between the sidecars: TLS 1.3, and none of the request's bytes.
fn wire_shows_nothing(mesh: &Mesh, inbound: SocketAddr) {
    let capture = mesh.runtime().join("bridge.pcap");
    let filter = format!("tcp port 8080 and host {}", inbound.ip());
    let mut tcpdump = Command::new("tcpdump")
        .args(["-i", "lateen0", "-U", "-w"])
        .arg(&capture)
        .arg(&filter)
        .stderr(Stdio::piped())
        .spawn()
        .expect("tcpdump");
    // It says so when its file is there and packets are taken.
    let mut said = String::new();
    let mut stderr = BufReader::new(tcpdump.stderr.take().expect("piped"));
    while !said.contains("listening on") {
        assert_ne!(stderr.read_line(&mut said).expect("tcpdump's words"), 0, "tcpdump ended: {said}");
    }
    let marker = "do-not-show-this-to-anybody";
    for _ in 0..10 {
        assert_eq!(get(mesh, &format!("/secret-path?{marker}"), &[]).status, 200);
    }
    let captured = || std::fs::read(&capture).expect("the capture");
    let has = |bytes: &[u8], needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    let client = mesh.pod("client");
    let ask = Ask::get("echo", &format!("/secret-path?{marker}"));
    let to = SocketAddr::new(lookup(mesh, "echo.default.svc.cluster.local"), 8080);
    // Sidecars have connections from before. Requests at the same time need more of them, whose handshakes
    // are in the capture: supported_versions of a ServerHello that chose TLS 1.3 (RFC 8446, section 4.2.1).
    eventually("a ServerHello of TLS 1.3 is captured", Duration::from_secs(20), || {
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    let reply = in_network_of(client.pid, || block_on(http1(to, &ask)));
                    assert_eq!(reply.expect("echo").status, 200);
                });
            }
        });
        let found = has(&captured(), &[0x00, 0x2b, 0x00, 0x02, 0x03, 0x04]);
        if found { Ok(()) } else { Err("there is none".into()) }
    });
    std::thread::sleep(Duration::from_secs(1));
    let pid = rustix::process::Pid::from_raw(tcpdump.id() as i32).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("kill");
    tcpdump.wait().expect("tcpdump");
    let bytes = captured();
    assert!(bytes.len() > 1000, "nothing was captured");
    let readable = has(&bytes, marker.as_bytes()) || has(&bytes, b"/secret-path");
    assert!(!readable, "the request is readable on the wire");
}

/// Asks the client pod's resolver over UDP.
fn lookup(mesh: &Mesh, name: &str) -> std::net::IpAddr {
    in_network_of(mesh.pod("client").pid, || ask_resolver(&mesh.resolver(), name))
}

/// RFC 1035, section 4.1.1.
const SERVFAIL: u8 = 2;

pub fn ask_resolver(resolver: &str, name: &str) -> std::net::IpAddr {
    let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        query.push(label.len() as u8);
        query.extend(label.as_bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(3))).expect("a timeout");
    let mut answer = [0; 512];
    // What is sent to the pod's resolver is led to the agent by the capture rules. A server that fails is
    // asked again, as the C library does.
    let mut exchange = || {
        socket.send_to(&query, (resolver, 53)).expect("sending a query");
        let length = socket.recv(&mut answer).expect("an answer from the agent");
        answer[..length].to_vec()
    };
    let mut answer = exchange();
    for _ in 0..5 {
        if answer[3] & 0x0f == SERVFAIL {
            std::thread::sleep(Duration::from_millis(200));
            answer = exchange();
        }
    }
    assert_eq!(answer[3] & 0x0f, 0, "{name}: response code in {answer:?}");
    let octets: [u8; 4] = answer[answer.len() - 4..].try_into().expect("an A record");
    std::net::IpAddr::from(octets)
}

#[test]
fn policies_on_our_proxy() {
    if root("security: policies, our proxy") {
        policies(&Sidecar::Lateen);
    }
}

#[test]
fn policies_on_stock_envoy() {
    let test = "security: policies, stock Envoy";
    if root(test)
        && let Some(envoy) = Sidecar::envoy(test)
    {
        policies(&envoy);
    }
}

fn policies(sidecar: &Sidecar) {
    let mesh = echo(sidecar, &[]);
    let gateway = "cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account";
    let client = mesh.pod("client");
    let vip = lookup(&mesh, "echo.default.svc.cluster.local");
    let from_client = |path: &str, method: &'static str| {
        let ask = Ask::get("echo", path).method(method);
        let reply = in_network_of(client.pid, || block_on(http1(SocketAddr::new(vip, 8080), &ask)));
        reply.map_or(0, |reply| reply.status)
    };
    let from_gateway = |path: &str| get(&mesh, path, &[]).status;
    let settle = |what: &str, check: &dyn Fn() -> [u16; 3], expected: [u16; 3]| {
        eventually(what, Duration::from_secs(10), || {
            // Several looks: the service has two pods, and each follows by itself.
            match (0..6).map(|_| check()).find(|found| *found != expected) {
                None => Ok(()),
                Some(found) => Err(format!("{found:?} instead of {expected:?}")),
            }
        });
    };
    let all = || [from_gateway("/"), from_client("/", "GET"), from_client("/admin", "POST")];
    settle("without policy", &all, [200, 200, 200]);
    let policy = |action: &str, rule: &str| {
        format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata:\n  name: p\nspec:\n  \
             selector: {{matchLabels: {{app: echo}}}}\n  action: {action}\n  rules:\n  - {rule}\n"
        )
    };
    let mut names = Vec::new();
    for (what, action, rule, expected) in [
        (
            "ALLOW by principal",
            "ALLOW",
            format!("from: [{{source: {{principals: [\"{gateway}\"]}}}}]"),
            [200, 403, 403],
        ),
        (
            "DENY by principal",
            "DENY",
            format!("from: [{{source: {{principals: [\"{gateway}\"]}}}}]"),
            [403, 200, 200],
        ),
        ("ALLOW by method", "ALLOW", "to: [{operation: {methods: [GET]}}]".into(), [200, 200, 403]),
        ("DENY by path", "DENY", "to: [{operation: {paths: [\"/admin*\"]}}]".into(), [200, 200, 403]),
        ("ALLOW by namespace", "ALLOW", "from: [{source: {namespaces: [default]}}]".into(), [403, 200, 200]),
    ] {
        names = apply_text(&mesh, &policy(action, &rule));
        settle(what, &all, expected);
    }
    delete(&mesh, &names);
    settle("without policy again", &all, [200, 200, 200]);
    protocols(&mesh, &client);
}

/// gRPC with trailers, HTTP/2, raw TCP and a name lookup, through two sidecars.
fn protocols(mesh: &Mesh, client: &testkit::Pod) {
    let grpc_vip = lookup(mesh, "grpc-echo.default.svc.cluster.local");
    let to = SocketAddr::new(grpc_vip, 8080);
    let ask = Ask::get("grpc-echo:8080", "/lateen.demo.Echo/Say").header("x-grpc-status", "5");
    let reply = in_network_of(client.pid, || {
        block_on(grpc(to, &ask, vec![Bytes::from_static(b"hello"), Bytes::from_static(b"again")]))
    });
    let reply = reply.expect("a gRPC answer");
    assert_eq!((reply.status, reply.body.len()), (200, 20), "{reply:?}");
    assert_eq!(reply.trailers.get("grpc-status").map(|s| s.as_bytes()), Some(&b"5"[..]), "{reply:?}");

    let vip = lookup(mesh, "echo.default.svc.cluster.local");
    let reply =
        in_network_of(client.pid, || block_on(http2(SocketAddr::new(vip, 8080), &Ask::get("echo", "/"))));
    assert_eq!(reply.expect("HTTP/2").status, 200);

    let echoed = in_network_of(client.pid, || {
        let mut stream = TcpStream::connect(SocketAddr::new(vip, 9091)).expect("raw TCP");
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
        stream.write_all(b"raw bytes").expect("writing");
        stream.shutdown(std::net::Shutdown::Write).expect("half-close");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("reading");
        text
    });
    assert_eq!(echoed, "raw bytes");
}
