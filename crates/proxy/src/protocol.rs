//! What a connection speaks, from its first bytes: TLS, HTTP/1, HTTP/2 or something else.

use std::io;

use engine::proxy_protocol::{self, Addresses, Verdict};
use net::{HttpVerdict, Inspected, Io, TlsVerdict};
use stdx::Str;
use tokio::io::AsyncReadExt;

use crate::config::snapshot::{Inspect, ProxyProtocolFilter};

/// What the listener filters found.
#[derive(Debug, Default)]
pub struct Sniffed {
    pub tls: bool,
    pub server_name: Option<Str>,
    /// ALPN, or what the HTTP inspector found, as filter chains name it.
    pub application_protocols: Vec<String>,
    /// The HTTP of a plaintext connection, if the HTTP inspector looked.
    pub protocol: Option<Http>,
}

/// Versions of HTTP that we speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http {
    One,
    Two,
}

/// Why a connection is closed before a chain is chosen.
#[derive(Debug)]
pub enum SniffError {
    Timeout,
    Failed,
}

impl From<io::Error> for SniffError {
    fn from(_: io::Error) -> Self {
        SniffError::Failed
    }
}

/// Most bytes that are looked at for HTTP: a request line may be long.
const MAX_HTTP: usize = 64 * 1024;

/// Reads the PROXY protocol's header, within the listener filters' timeout. `None`: there is none, or
/// it names nobody.
///
/// # Errors
/// What came is no header, or not one that is allowed.
pub async fn proxy_protocol(filters: &Inspect, io: &mut Io) -> Result<Option<Addresses>, SniffError> {
    let Some(filter) = &filters.proxy_protocol else { return Ok(None) };
    let reading = read_proxy_protocol(filter, io);
    match filters.timeout {
        None => reading.await,
        Some(limit) => match tokio::time::timeout(limit, reading).await {
            Ok(result) => result,
            Err(_) if filters.continue_on_timeout && filter.optional => Ok(None),
            Err(_) => Err(SniffError::Timeout),
        },
    }
}

async fn read_proxy_protocol(
    filter: &ProxyProtocolFilter,
    io: &mut Io,
) -> Result<Option<Addresses>, SniffError> {
    let judge = |bytes: &[u8]| match proxy_protocol::parse(bytes) {
        Verdict::NeedMore => None,
        verdict => Some(verdict),
    };
    let absent = if filter.optional { Ok(None) } else { Err(SniffError::Failed) };
    match net::inspect(io, proxy_protocol::MAX, judge).await? {
        Inspected::Decided(Verdict::Header { version, length, addresses }) => {
            if filter.disallowed.contains(&version) {
                return absent;
            }
            io.read_exact(&mut vec![0; length]).await?;
            Ok(addresses)
        }
        Inspected::Decided(Verdict::None) => absent,
        _ => Err(SniffError::Failed),
    }
}

/// Runs the listener filters. On their timeout what is known so far counts, if the listener says
/// so: a server that speaks first must not wait for its client's bytes.
pub async fn inspect(filters: &Inspect, io: &mut Io, port: u16) -> Result<Sniffed, SniffError> {
    let on = |disabled: &Option<Vec<u16>>| disabled.as_ref().is_some_and(|ports| !ports.contains(&port));
    let (tls, http) = (on(&filters.tls), on(&filters.http));
    let mut found = Sniffed::default();
    if !tls && !http {
        return Ok(found);
    }
    let looking = Box::pin(look(io, tls, http, &mut found));
    match filters.timeout {
        None => looking.await?,
        Some(limit) => match tokio::time::timeout(limit, looking).await {
            Ok(result) => result?,
            Err(_) if filters.continue_on_timeout => {}
            Err(_) => return Err(SniffError::Timeout),
        },
    }
    Ok(found)
}

async fn look(io: &mut Io, tls: bool, http: bool, found: &mut Sniffed) -> Result<(), SniffError> {
    if tls {
        let judge = |bytes: &[u8]| match net::client_hello::parse(bytes) {
            TlsVerdict::NeedMore => None,
            verdict => Some(verdict),
        };
        match net::inspect(io, net::client_hello::MAX_HELLO, judge).await? {
            Inspected::Decided(TlsVerdict::Tls(hello)) => {
                found.tls = true;
                found.server_name = hello.server_name.map(Str::from);
                let protocols = hello.alpn.iter().map(|name| String::from_utf8_lossy(name).into_owned());
                found.application_protocols = protocols.collect();
                return Ok(());
            }
            Inspected::Eof if io.prefix().is_empty() => return Err(SniffError::Failed),
            _ => {}
        }
    }
    if http {
        let judge = |bytes: &[u8]| match net::detect_http(bytes) {
            HttpVerdict::NeedMore => None,
            verdict => Some(verdict),
        };
        if let Inspected::Decided(verdict) = net::inspect(io, MAX_HTTP, judge).await? {
            let (name, protocol) = match verdict {
                HttpVerdict::Http1 if is_http10(io.prefix()) => ("http/1.0", Http::One),
                HttpVerdict::Http1 => ("http/1.1", Http::One),
                HttpVerdict::Http2 => ("h2c", Http::Two),
                HttpVerdict::NotHttp | HttpVerdict::NeedMore => return Ok(()),
            };
            found.application_protocols = vec![name.to_owned()];
            found.protocol = Some(protocol);
        }
    }
    Ok(())
}

/// Of bytes that begin with a request line.
fn is_http10(bytes: &[u8]) -> bool {
    let line = bytes.split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
    line.ends_with(b" HTTP/1.0")
}

/// Tells HTTP/2 with prior knowledge from HTTP/1 where nobody looked before.
pub async fn http_version(io: &mut Io) -> io::Result<Http> {
    let judge = |bytes: &[u8]| {
        let len = bytes.len().min(net::detect::PREFACE.len());
        match bytes[..len] == net::detect::PREFACE[..len] {
            false => Some(Http::One),
            true if len == net::detect::PREFACE.len() => Some(Http::Two),
            true => None,
        }
    };
    Ok(match net::inspect(io, net::detect::PREFACE.len(), judge).await? {
        Inspected::Decided(version) => version,
        Inspected::Eof | Inspected::Full => Http::One,
    })
}
