//! Istio's samples about networking, unmodified, with stand-ins for their images: what is asked, and what
//! comes back.

use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lateen_tests::{Sidecar, apply, delete};
use testkit::client::{Ask, Socket, block_on, http1};
use testkit::{Mesh, MeshOptions, conformance, eventually, in_network_of, root};

use crate::outside::Outside;
use crate::security::ask_resolver;

/// Files that are applied, then what is asked while they hold. `gateway` asks the ingress gateway, `curl`
/// from the pod of that sample.
const TABLE: &[(&[&str], &[&str])] = &[
    (&["helloworld/helloworld-gateway.yaml"], &["gateway GET /hello => 200", "gateway GET /other => 404"]),
    (
        &["httpbin/httpbin-gateway.yaml"],
        &[
            "gateway GET /get => 200",
            "gateway GET /?status=418 => 418",
            "gateway GET /?status=503 => 503",
            "curl GET httpbin:8000 / => 200",
            "curl GET helloworld:5000 /hello => 200",
            "curl GET nobody:8000 / => 502",
        ],
    ),
    (
        &["tcp-echo/tcp-echo-all-v1.yaml"],
        &[
            "gateway BYTES 31400 => one",
            "curl BYTES tcp-echo:9000 => one,two",
            "curl BYTES tcp-echo:9001 => one,two",
        ],
    ),
    (&["tcp-echo/tcp-echo-all-v1.yaml", "tcp-echo/tcp-echo-20-v2.yaml"], &["gateway BYTES 31400 => one,two"]),
    (
        &["websockets/route.yaml"],
        &["gateway GET / => 200", "gateway SOCKET / => 101", "curl SOCKET tornado:8888 / => 101"],
    ),
    (
        &[],
        &[
            "curl GET deb.debian.org:80 / => 502",
            "curl TLS pypi.org:443 / => closed",
            "curl BYTES github.com:22 => closed",
        ],
    ),
    (
        &["external/aptget.yaml", "external/pypi.yaml", "external/github.yaml"],
        &[
            "curl GET deb.debian.org:80 / => 200",
            "curl GET security.ubuntu.com:80 / => 200",
            "curl GET example.com:80 / => 502",
            "curl TLS pypi.org:443 / => 200",
            "curl TLS github.com:443 / => 200",
            "curl TLS example.com:443 / => closed",
            "curl BYTES github.com:22 => SSH-2.0-outside",
        ],
    ),
];

/// Hosts that are there, outside of the mesh.
const OUTSIDE: &[&str] = &["deb.debian.org", "security.ubuntu.com", "pypi.org", "github.com", "example.com"];

/// As the sample's server: every line comes back with a word before it.
const TCP_ECHO: &str = "
import socketserver, sys, threading
class Echo(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(sys.argv[2].encode() + b' ' + line)
socketserver.ThreadingTCPServer.allow_reuse_address = True
servers = [socketserver.ThreadingTCPServer(('', int(port)), Echo) for port in sys.argv[1].split(',')]
for server in servers[1:]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
servers[0].serve_forever()
";

#[test]
fn istios_samples_on_our_proxy() {
    if root("samples, our proxy") {
        run("samples, our proxy", &Sidecar::Lateen);
    }
}

#[test]
fn istios_samples_on_stock_envoy() {
    let test = "samples, stock Envoy";
    if root(test)
        && let Some(envoy) = Sidecar::envoy(test)
    {
        run(test, &envoy);
    }
}

fn run(test: &str, sidecar: &Sidecar) {
    let Some(data) = conformance(test) else { return };
    let samples = data.join("samples");
    let folder = tempfile::tempdir().expect("a folder");
    let outside = Outside::start(OUTSIDE);
    let mesh = start(sidecar, &samples, folder.path(), &outside);
    let places = Places {
        gateway: mesh.gateway,
        edge: mesh.pod("istio-ingressgateway").address,
        curl: mesh.pod("curl").pid,
        resolver: mesh.resolver(),
        tls: outside.tls.clone(),
    };
    for (files, rows) in TABLE {
        let names: Vec<String> = files.iter().flat_map(|file| apply(&mesh, &samples.join(file))).collect();
        for row in *rows {
            check(&places, row);
        }
        let mut names = names;
        names.sort();
        names.dedup();
        delete(&mesh, &names);
    }
}

/// From where, and where to.
struct Places {
    gateway: SocketAddr,
    /// The gateway's pod.
    edge: IpAddr,
    /// A process in the pod of the sample `curl`.
    curl: u32,
    resolver: String,
    tls: Arc<rustls::ClientConfig>,
}

fn start(sidecar: &Sidecar, samples: &Path, folder: &Path, outside: &Outside) -> Mesh {
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).expect("writing a file");
        path.display().to_string()
    };
    let lateen = testkit::binary().display().to_string();
    let demo =
        |port: u16, version: &str| format!("{lateen} demo echo --port {port} --service-version {version}");
    let mut args = sidecar.args();
    for (image, command) in [
        ("registry.istio.io/release/examples-helloworld-v1", demo(5000, "v1")),
        ("registry.istio.io/release/examples-helloworld-v2", demo(5000, "v2")),
        ("docker.io/mccutchen/go-httpbin", demo(8080, "v1")),
        ("docker.io/hiroakis/tornado-websocket-example", demo(8888, "v1")),
        ("registry.istio.io/release/tcp-echo-server", format!("python3 {}", file("echo.py", TCP_ECHO))),
    ] {
        args.push(format!("--image={image}={command}"));
    }
    let mesh_config = file("mesh.yaml", "outboundTrafficPolicy: {mode: REGISTRY_ONLY}\n");
    args.push(format!("--mesh-config={mesh_config}"));
    let files = ["helloworld/helloworld.yaml", "httpbin/httpbin.yaml", "tcp-echo/tcp-echo-services.yaml"];
    let more = ["websockets/app.yaml", "curl/curl.yaml"];
    let files: Vec<PathBuf> = files.iter().chain(&more).map(|name| samples.join(name)).collect();
    Mesh::start(MeshOptions { files, args, resolv_conf: Some(outside.resolv_conf()) })
}

/// Asks until it is as expected: files take their moment.
fn check(places: &Places, row: &str) {
    let (asked, expected) = row.split_once(" => ").expect("what is expected");
    eventually(row, Duration::from_secs(10), || {
        let found = outcome(places, asked, expected.contains(','));
        if found == expected { Ok(()) } else { Err(found) }
    });
}

/// `several`: the different answers of many questions.
fn outcome(places: &Places, asked: &str, several: bool) -> String {
    let mut all: Vec<String> = (0..if several { 30 } else { 1 }).map(|_| ask(places, asked)).collect();
    all.sort();
    all.dedup();
    all.join(",")
}

fn ask(places: &Places, asked: &str) -> String {
    let words: Vec<&str> = asked.split(' ').collect();
    match words.as_slice() {
        ["gateway", "GET", path] => get(places.gateway, &places.gateway.to_string(), path),
        ["gateway", "SOCKET", path] => socket(places.gateway, &places.gateway.to_string(), path),
        ["gateway", "BYTES", port] => bytes(SocketAddr::new(places.edge, port.parse().expect("a port"))),
        ["curl", what, place, rest @ ..] => {
            let (host, port) = place.split_once(':').expect("HOST:PORT");
            in_network_of(places.curl, || {
                let to = SocketAddr::new(resolve(&places.resolver, host), port.parse().expect("a port"));
                match *what {
                    "GET" => get(to, place, rest[0]),
                    "SOCKET" => socket(to, place, rest[0]),
                    "TLS" => tls(to, host, rest[0], &places.tls),
                    _ => bytes(to),
                }
            })
        }
        _ => panic!("{asked}"),
    }
}

/// As a pod's resolver would with the search list. A host that nobody knows gets an address of nobody.
fn resolve(resolver: &str, host: &str) -> IpAddr {
    match host {
        "nobody" => [198, 51, 100, 99].into(),
        host if host.contains('.') => ask_resolver(resolver, host),
        host => ask_resolver(resolver, &format!("{host}.default.svc.cluster.local")),
    }
}

fn get(to: SocketAddr, host: &str, path: &str) -> String {
    let ask = Ask { timeout: Duration::from_secs(5), ..Ask::get(host, path) };
    block_on(http1(to, &ask)).map_or_else(|_| "closed".to_owned(), |reply| reply.status.to_string())
}

fn socket(to: SocketAddr, host: &str, path: &str) -> String {
    let exchange = async {
        let mut socket = Socket::open(to, host, path).await?;
        socket.echo("hello").await
    };
    block_on(exchange).map_or_else(|error| format!("{error:#}"), |()| "101".to_owned())
}

/// The first word that comes back.
fn bytes(to: SocketAddr) -> String {
    let exchange = || {
        let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(3))?;
        stream.set_read_timeout(Some(Duration::from_secs(3)))?;
        stream.write_all(b"hello\n")?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok::<_, std::io::Error>(line)
    };
    let line = exchange().unwrap_or_default();
    line.split_whitespace().next().unwrap_or("closed").to_owned()
}

/// The status behind TLS that ends outside of the mesh.
fn tls(to: SocketAddr, host: &str, path: &str, config: &Arc<rustls::ClientConfig>) -> String {
    let exchange = || {
        let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(3))?;
        stream.set_read_timeout(Some(Duration::from_secs(3)))?;
        let name = host.to_owned().try_into().expect("a name");
        let mut session = rustls::ClientConnection::new(config.clone(), name).expect("a session");
        let mut stream = rustls::Stream::new(&mut session, &mut stream);
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes())?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        Ok::<_, std::io::Error>(line)
    };
    let line = exchange().unwrap_or_default();
    line.split(' ').nth(1).unwrap_or("closed").to_owned()
}
