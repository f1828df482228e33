//! The world outside of a mesh: a network namespace with hosts that have names, and a name server of its
//! own that knows them. Nothing of it is on the Internet.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use testkit::namespace::in_namespace;

const NAMESPACE: &str = "outside-of-mesh";
/// Not `lateen…`: what has such a name `lateen up` takes for its own, left over from a run before.
const LINK: &str = "outside0";
/// Ours, and the namespace's; of the block for benchmarks (RFC 2544), which no machine's own network has.
const HERE: &str = "198.18.0.1";
const THERE: &str = "198.18.0.2";
/// Where names are.
const WEB: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 10);
/// One that the sample about GitHub lists.
const GITHUB: Ipv4Addr = Ipv4Addr::new(140, 82, 112, 3);

/// Ends with its drop.
pub struct Outside {
    folder: tempfile::TempDir,
    forwarded: String,
    /// What a client needs that wants to be sure to speak with one of the hosts.
    pub tls: Arc<rustls::ClientConfig>,
}

impl Outside {
    /// Hosts with these names answer on ports 80 (HTTP), 443 (TLS) and 22 (bytes); the address of
    /// `github.com` is one of GitHub's.
    pub fn start(names: &'static [&'static str]) -> Self {
        let forwarded = std::fs::read_to_string(FORWARDING).unwrap_or_default();
        let made = certified(names);
        let (folder, tls) = (tempfile::tempdir().expect("a folder"), Arc::new(client_config(&made)));
        let outside = Outside { folder, forwarded, tls };
        outside.end();
        ip(&["netns", "add", NAMESPACE]);
        ip(&["link", "add", LINK, "type", "veth", "peer", "name", "out", "netns", NAMESPACE]);
        ip(&["addr", "add", &format!("{HERE}/30"), "dev", LINK]);
        ip(&["link", "set", LINK, "up"]);
        let there = format!("{THERE}/30");
        for words in [
            vec!["addr", "add", &there, "dev", "out"],
            vec!["link", "set", "lo", "up"],
            vec!["link", "set", "out", "up"],
            vec!["route", "add", "default", "via", HERE],
        ] {
            ip(&[&["-n", NAMESPACE], words.as_slice()].concat());
        }
        for address in [WEB, GITHUB] {
            let host = format!("{address}/32");
            ip(&["-n", NAMESPACE, "addr", "add", &host, "dev", "lo"]);
            ip(&["route", "replace", &host, "via", THERE]);
        }
        std::fs::write(FORWARDING, "1").expect("forwarding");
        serve(names, tls_config(&made));
        outside
    }

    /// A `resolv.conf` that names the name server.
    pub fn resolv_conf(&self) -> PathBuf {
        let path = self.folder.path().join("resolv.conf");
        std::fs::write(&path, format!("nameserver {THERE}\n")).expect("writing a file");
        path
    }

    fn end(&self) {
        for words in [["netns", "del", NAMESPACE], ["link", "del", LINK]] {
            let _ = Command::new("ip").args(words).stderr(std::process::Stdio::null()).status();
        }
    }
}

/// Opens the ports in the namespace; threads of ours serve them.
fn serve(names: &'static [&'static str], tls_config: rustls::ServerConfig) {
    let (dns, [http, tls, bytes]) = in_namespace(&Path::new("/run/netns").join(NAMESPACE), || {
        let dns = UdpSocket::bind((THERE, 53)).expect("UDP port 53");
        (dns, [80, 443, 22].map(|port| TcpListener::bind(("0.0.0.0", port)).expect("a port")))
    });
    std::thread::spawn(move || resolve(&dns, names));
    let config = Arc::new(tls_config);
    accept(http, |mut stream| drop(answer(&mut stream)));
    accept(tls, move |mut stream| {
        let mut session = rustls::ServerConnection::new(config.clone()).expect("a session");
        let _ = answer(&mut rustls::Stream::new(&mut session, &mut stream));
    });
    accept(bytes, |mut stream| drop(stream.write_all(b"SSH-2.0-outside\r\n")));
}

const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

impl Drop for Outside {
    fn drop(&mut self) {
        self.end();
        let _ = std::fs::write(FORWARDING, &self.forwarded);
    }
}

#[track_caller]
fn ip(words: &[&str]) {
    let output = Command::new("ip").args(words).output().expect("ip");
    assert!(output.status.success(), "ip {words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn accept(listener: TcpListener, serve: impl Fn(TcpStream) + Clone + Send + 'static) {
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = serve.clone();
            std::thread::spawn(move || serve(stream));
        }
    });
}

/// One request, and 200.
fn answer(stream: &mut (impl Read + Write)) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut room = [0; 1024];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut room)? {
            0 => return Ok(()),
            length => head.extend_from_slice(&room[..length]),
        }
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\nconnection: close\r\n\r\noutside")?;
    stream.flush()
}

/// A certificate for all names, which its holder has signed.
fn certified(names: &[&str]) -> rcgen::CertifiedKey<rcgen::KeyPair> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    rcgen::generate_simple_self_signed(names).expect("a certificate")
}

fn tls_config(made: &rcgen::CertifiedKey<rcgen::KeyPair>) -> rustls::ServerConfig {
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
    builder.with_single_cert(vec![made.cert.der().clone()], key.into()).expect("a configuration")
}

/// Believes this certificate, and no other.
fn client_config(made: &rcgen::CertifiedKey<rcgen::KeyPair>) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().expect("versions");
    builder.with_root_certificates(roots).with_no_client_auth()
}

/// Answers A queries (RFC 1035, section 4): those of other types with nothing, other names with NXDOMAIN.
fn resolve(socket: &UdpSocket, names: &[&str]) {
    let mut room = [0; 1500];
    while let Ok((length, from)) = socket.recv_from(&mut room) {
        let Some((name, end)) = question(&room[..length]) else { continue };
        let known = names.contains(&name.as_str());
        let mut answer = room[..end + 4].to_vec();
        (answer[2], answer[3]) = (0x84 | (room[2] & 1), if known { 0x80 } else { 0x83 });
        answer[6..12].fill(0);
        if known && room[end..end + 2] == [0, 1] {
            answer[7] = 1;
            let address = if name == "github.com" { GITHUB } else { WEB };
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
            answer.extend(address.octets());
        }
        let _ = socket.send_to(&answer, from);
    }
}

/// The name that is asked for, and where it ends.
fn question(query: &[u8]) -> Option<(String, usize)> {
    let (mut labels, mut at) = (Vec::new(), 12);
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            return (query.len() >= at + 4).then(|| (labels.join("."), at));
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + length)?).to_ascii_lowercase());
        at += length;
    }
}
