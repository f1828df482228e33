//! Connections that make one request and stay.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::certificates::Certificates;
use crate::machine::loopback;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Http1,
    /// HTTP/1.1 over TLS 1.3.
    Tls,
    /// HTTP/2 without TLS.
    Http2,
}

pub struct Client {
    kind: Kind,
    port: u16,
    tls: Arc<ClientConfig>,
}

/// Kept open until it is dropped.
pub enum Open {
    Plain { _stream: TcpStream },
    Tls { _stream: Box<StreamOwned<ClientConnection, TcpStream>> },
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: own.bench\r\nAccept: */*\r\n\r\n";

impl Client {
    /// # Errors
    /// The root cannot be read.
    pub fn new(kind: Kind, port: u16, certificates: &Certificates) -> anyhow::Result<Client> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&certificates.root)?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // Every connection is to cost what a new client's does.
        tls.resumption = rustls::client::Resumption::disabled();
        Ok(Client { kind, port, tls: Arc::new(tls) })
    }

    /// Opens a connection and reads the answer to one request.
    ///
    /// # Errors
    /// The answer is not what it should be.
    pub fn open(&self) -> anyhow::Result<Open> {
        let mut stream = TcpStream::connect(loopback(self.port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        match self.kind {
            Kind::Http1 => http1(&mut stream)?,
            Kind::Http2 => http2(&mut stream)?,
            Kind::Tls => {
                let session = ClientConnection::new(self.tls.clone(), ServerName::try_from("localhost")?)?;
                let mut stream = Box::new(StreamOwned::new(session, stream));
                http1(&mut *stream)?;
                return Ok(Open::Tls { _stream: stream });
            }
        }
        Ok(Open::Plain { _stream: stream })
    }
}

fn http1(stream: &mut (impl Read + Write)) -> anyhow::Result<()> {
    stream.write_all(REQUEST)?;
    let mut answer = Vec::new();
    let mut chunk = [0; 2048];
    // The body is a hundred times the letter x, which no header ends with.
    while !answer.ends_with(&[b'x'; 100]) {
        let count = stream.read(&mut chunk)?;
        ensure!(count > 0, "closed after {:?}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&chunk[..count]);
    }
    ensure!(answer.starts_with(b"HTTP/1.1 200"), "answered {:?}", String::from_utf8_lossy(&answer));
    Ok(())
}

/// A client's preface, empty settings, and `GET /` on stream 1 (RFC 9113, RFC 7541): `:method GET`,
/// `:scheme http` and `:path /` by their index, `:authority` as a literal.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
    \0\0\0\x04\0\0\0\0\0\
    \0\0\x0e\x01\x05\0\0\0\x01\x82\x86\x84\x41\x09own.bench";
const SETTINGS_ACK: &[u8] = b"\0\0\0\x04\x01\0\0\0\0";

/// Reads frames until the answer on stream 1 has ended.
fn http2(stream: &mut TcpStream) -> anyhow::Result<()> {
    stream.write_all(HTTP2)?;
    let mut body = 0;
    loop {
        let mut header = [0; 9];
        stream.read_exact(&mut header).context("no frame")?;
        let [a, b, c, kind, flags, id @ ..] = header;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        stream.read_exact(&mut payload)?;
        match kind {
            0x4 if flags & 1 == 0 => stream.write_all(SETTINGS_ACK)?,
            0x3 | 0x7 => bail!("the proxy reset the stream or goes away"),
            0x0 => body += payload.len(),
            _ => {}
        }
        // END_STREAM, of HEADERS and DATA only.
        if kind <= 1 && flags & 1 == 1 && u32::from_be_bytes(id) == 1 {
            ensure!(body == 100, "{body} bytes of body");
            return Ok(());
        }
    }
}
