//! Connections that come and go in every way: an hour of a busy pod in seconds. Afterwards everything
//! is as it was: bytes, descriptors, connections, streams.
//!
//! There is no count of tasks, and none is needed: a task that stays behind holds its connection's
//! descriptor or its own memory, and every connection would leave one.
//!
//! `LATEEN_CHURN=500 cargo test --test alone churn` begins with 500 windows instead of six.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use bytes::Bytes;
use engine::Dice;
use engine::dice::{SplitMix, below};
use ir::tls::{CertificateSource, CommonTls, DataSource, TlsCertificate};
use ir::{DownstreamTls, HttpProtocol, TcpProxy, Terminal};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls;

use crate::support::backend::Backend;
use crate::support::{Running, Setup};
use crate::{LIVE, alone};

/// Connections of a window; six of them are an hour's, one a second.
const CONNECTIONS: usize = 600;
/// At a time.
const CLIENTS: usize = 12;
/// Until pools, tables and buffers have the size that they need.
const WARM_UP: usize = 2;

/// Endpoints' connections are let go of quickly, so that none are left when a window has ended.
const IDLE: Duration = Duration::from_millis(100);

trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}
type Io = Box<dyn Stream>;

/// Repeats what it hears.
fn echo() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        runtime().block_on(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let (mut reader, mut writer) = tokio::io::split(stream);
                    let _ = tokio::io::copy(&mut reader, &mut writer).await;
                    let _ = writer.shutdown().await;
                });
            }
        });
    });
    address
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Three proxies: HTTP, HTTP under TLS, and TCP.
struct Proxies {
    http: Running,
    tls: Running,
    tcp: Running,
    connector: tokio_rustls::TlsConnector,
    _backend: Backend,
}

impl Proxies {
    fn start() -> Proxies {
        let backend = Backend::start("b");
        let setup = || {
            let to = [backend.address];
            let mut setup = Setup::new().cluster("one", &to).cluster("two", &to);
            setup.clusters[1].protocol = HttpProtocol::Http2;
            setup.clusters.iter_mut().for_each(|cluster| cluster.idle_timeout = Some(IDLE));
            setup.route("/2/", "two").route("/", "one")
        };
        let http = setup().start();
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        let certificate = certificate.self_signed(&key).unwrap();
        let inline = |text: String| DataSource::Inline(text.into_bytes());
        let pair = TlsCertificate { chain: inline(certificate.pem()), key: inline(key.serialize_pem()) };
        let mut over_tls = setup();
        over_tls.tls = Some(DownstreamTls {
            common: CommonTls {
                certificate: Some(CertificateSource::Inline(pair)),
                alpn: vec!["h2".into(), "http/1.1".into()],
                ..CommonTls::default()
            },
            require_client_certificate: false,
        });
        let tls = over_tls.start();
        let mut plain = Setup::new().cluster("echo", &[echo()]);
        plain.terminal = Some(Terminal::Tcp(TcpProxy::to("tcp", "echo")));
        let tcp = plain.start();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate.der().clone()).unwrap();
        let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        Proxies { http, tls, tcp, connector, _backend: backend }
    }

    fn all(&self) -> [&Running; 3] {
        [&self.http, &self.tls, &self.tcp]
    }

    /// What is under way, by the proxies' own gauges.
    fn active(&self) -> Vec<String> {
        let text =
            |proxy: &&Running| crate::support::client::get(proxy.handle.admin().unwrap(), "/stats").text();
        let all: Vec<String> = self.all().iter().map(text).collect();
        let lines = all.iter().flat_map(|text| text.lines());
        let gauges = lines.filter(|line| line.contains("_active: ") && !line.ends_with(" 0"));
        gauges.filter(|line| !line.contains("listeners_active")).map(str::to_owned).collect()
    }
}

/// One window: every client begins where the last window's began, so that all have the same to do.
async fn window(proxies: &Proxies) {
    let clients = (0..CLIENTS).map(|client| async move {
        let mut dice = SplitMix(client as u64);
        for _ in 0..CONNECTIONS / CLIENTS {
            // What a client gets does not matter here: many leave before it comes.
            let _ = tokio::time::timeout(Duration::from_secs(5), connection(proxies, &mut dice)).await;
        }
    });
    futures_util::future::join_all(clients).await;
    // Tasks of clients that were told to end do so.
    tokio::time::sleep(Duration::from_millis(20)).await;
}

async fn connection(proxies: &Proxies, dice: &mut SplitMix) -> std::io::Result<()> {
    let kind = below(dice, 5);
    let to = match kind {
        0 | 1 => &proxies.http,
        2 | 3 => &proxies.tls,
        _ => &proxies.tcp,
    };
    let stream = TcpStream::connect(to.address).await?;
    // Closed so, a socket resets its connection.
    if below(dice, 2) == 0 {
        stream.set_zero_linger()?;
    }
    if below(dice, 8) == 0 {
        return Ok(());
    }
    let io: Io = match kind {
        2 | 3 => {
            // Half of those that leave within the handshake.
            if below(dice, 8) == 0 {
                let mut stream = stream;
                return stream.write_all(&[22, 3, 1, 2, 0, 1, 0]).await;
            }
            let name = rustls::pki_types::ServerName::try_from("a.example").unwrap();
            Box::new(proxies.connector.connect(name, stream).await?)
        }
        _ => Box::new(stream),
    };
    match kind {
        // What ALPN has chosen under TLS.
        0 | 2 | 3 => http2(io, dice).await,
        1 => http1(io, dice).await,
        _ => tcp(io, dice).await,
    }
}

fn path(dice: &mut dyn Dice, rest: &str) -> String {
    let version = below(dice, 2) + 1;
    format!("/{version}{rest}")
}

async fn http1(mut io: Io, dice: &mut SplitMix) -> std::io::Result<()> {
    let mut room = vec![0; 4096];
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n");
    match below(dice, 7) {
        // Some requests, idle in between.
        0 | 1 => {
            for _ in 0..1 + below(dice, 3) {
                io.write_all(request(&path(dice, "/status/200")).as_bytes()).await?;
                let _some = io.read(&mut room).await?;
                tokio::time::sleep(Duration::from_millis(below(dice, 5))).await;
            }
        }
        // Half a head.
        2 => io.write_all(b"GET / HTTP/1.1\r\nHos").await?,
        // Gone before the answer.
        3 => io.write_all(request(&path(dice, "/sleep/20")).as_bytes()).await?,
        // Gone in the middle of it.
        4 => {
            io.write_all(request(&path(dice, "/big/2000000")).as_bytes()).await?;
            let _some = io.read(&mut room).await?;
        }
        // Half a body, and nothing more.
        5 => {
            let path = path(dice, "/echo");
            let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345");
            io.write_all(head.as_bytes()).await?;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        // Closed in one direction.
        _ => {
            io.write_all(request(&path(dice, "/status/200")).as_bytes()).await?;
            io.shutdown().await?;
            while io.read(&mut room).await? > 0 {}
        }
    }
    Ok(())
}

async fn http2(io: Io, dice: &mut SplitMix) -> std::io::Result<()> {
    let (client, connection) = h2::client::handshake(io).await.map_err(std::io::Error::other)?;
    let mut driver = tokio::task::spawn_local(connection);
    let outcome = streams(client, dice).await;
    // Streams that are under way end with the connection.
    if below(dice, 2) == 0 {
        driver.abort();
    }
    if tokio::time::timeout(Duration::from_millis(50), &mut driver).await.is_err() {
        driver.abort();
    }
    outcome.map_err(std::io::Error::other)
}

async fn streams(mut client: h2::client::SendRequest<Bytes>, dice: &mut SplitMix) -> Result<(), h2::Error> {
    for _ in 0..1 + below(dice, 4) {
        client = client.ready().await?;
        let rest = ["/status/200", "/big/300000", "/sleep/20", "/echo"][below(dice, 4) as usize];
        let post = rest == "/echo";
        let uri = format!("http://a.example{}", path(dice, rest));
        let method = if post { http::Method::POST } else { http::Method::GET };
        let request = http::Request::builder().method(method).uri(uri).body(()).unwrap();
        let (response, mut body) = client.send_request(request, !post)?;
        if post {
            body.send_data("hello".into(), below(dice, 2) == 0)?;
        }
        match below(dice, 4) {
            0 => body.send_reset(h2::Reason::CANCEL),
            1 => drop(response),
            _ if post => {}
            _ => {
                let mut body = response.await?.into_body();
                while let Some(data) = body.data().await {
                    body.flow_control().release_capacity(data?.len())?;
                }
            }
        }
    }
    Ok(())
}

async fn tcp(mut io: Io, dice: &mut SplitMix) -> std::io::Result<()> {
    let mut room = vec![0; 65536];
    match below(dice, 4) {
        0 => io.write_all(b"and gone").await?,
        1 => {
            io.write_all(&vec![b'x'; 300_000]).await?;
            let _some = io.read(&mut room).await?;
        }
        2 => tokio::time::sleep(Duration::from_millis(5)).await,
        _ => {
            io.write_all(b"hello").await?;
            let _some = io.read(&mut room).await?;
            io.shutdown().await?;
            while io.read(&mut room).await? > 0 {}
        }
    }
    Ok(())
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Resident pages, KiB.
fn resident() -> isize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<isize>().unwrap() * 4
}

/// What is held when everything has ended.
#[derive(Clone, Copy, Debug)]
struct Held {
    bytes: isize,
    /// KiB.
    resident: isize,
}

/// Waits until nothing is under way, and no more descriptors are open than `expected`.
fn settled(proxies: &Proxies, expected: usize) -> Held {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        std::thread::sleep(Duration::from_millis(50));
        let (active, open) = (proxies.active(), descriptors());
        if active.is_empty() && open <= expected {
            // What was closed last is let go of.
            std::thread::sleep(Duration::from_millis(100));
            return Held { bytes: LIVE.load(Relaxed), resident: resident() };
        }
        assert!(Instant::now() < end, "{open} descriptors are open, {expected} were, and {active:#?}");
    }
}

#[test]
fn connections_leave_nothing_behind() {
    let _alone = alone();
    let proxies = Proxies::start();
    let windows = std::env::var("LATEEN_CHURN").ok().and_then(|text| text.parse().ok()).unwrap_or(6);
    let runtime = runtime();
    let local = tokio::task::LocalSet::new();
    for _ in 0..WARM_UP {
        local.block_on(&runtime, window(&proxies));
        settled(&proxies, usize::MAX);
    }
    std::thread::sleep(IDLE * 5);
    let open = descriptors();
    let mut held = Vec::new();
    // What a table or a pool takes at some time is noise, and as much in many windows as in few: a leak is
    // more in more of them.
    for windows in [windows, windows * 2, windows * 4] {
        while held.len() < windows {
            local.block_on(&runtime, window(&proxies));
            held.push(settled(&proxies, open));
            println!("{open} descriptors, {:?}", held.last());
        }
        if is_level(&held) {
            return;
        }
    }
    panic!("more and more is held: {held:#?}");
}

/// Whether the second half of the windows held no more than the first.
fn is_level(held: &[Held]) -> bool {
    // What is let go of late only adds: the least of a half is what stays.
    let half = (held.len() / 2).max(1);
    let least = |of: &[Held], what: fn(&Held) -> isize| of.iter().map(what).min().unwrap_or_default();
    let grown = |what: fn(&Held) -> isize| least(&held[half..], what) - least(&held[..half], what);
    let connections = (half * CONNECTIONS) as isize;
    let (bytes, resident) = (grown(|it| it.bytes), grown(|it| it.resident));
    println!("{bytes} bytes and {resident} KiB more, {connections} connections later");
    bytes <= 16 * 1024 + connections * 4 && resident <= 4096
}
