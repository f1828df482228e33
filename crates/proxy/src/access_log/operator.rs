//! The operators of format strings.

use std::net::SocketAddr;
use std::time::Duration;

use super::Entry;
use super::record::Record;
use super::time::TimeFormat;
use crate::text::{put_display, put_ip, put_number, put_socket};

/// One `%OPERATOR%`.
#[derive(Debug)]
pub(super) enum Operator {
    StartTime(TimeFormat),
    EmitTime(TimeFormat),
    Header { of: Of, name: String, fallback: Option<String> },
    Value(fn(&Entry<'_>, &mut Vec<u8>)),
    Address { which: Which, part: Part },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Of {
    Request,
    Response,
    Trailer,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Which {
    DownstreamLocal,
    DownstreamRemote,
    DownstreamDirectRemote,
    UpstreamLocal,
    UpstreamRemote,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    Whole,
    Ip,
    Port,
}

impl Operator {
    /// Reads an operator.
    ///
    /// # Errors
    /// A sentence that names it.
    pub fn parse(name: &str, arguments: Option<&str>) -> Result<Self, String> {
        if let Some(of) = header_operator(name) {
            return header(name, of, arguments);
        }
        if let "START_TIME" | "EMIT_TIME" = name {
            let format = match arguments {
                Some(text) if !text.is_empty() => TimeFormat::parse(text)?,
                _ => TimeFormat::iso(),
            };
            return Ok(if name == "START_TIME" {
                Operator::StartTime(format)
            } else {
                Operator::EmitTime(format)
            });
        }
        let operator = address(name)
            .or_else(|| plain(name).map(Operator::Value))
            .or_else(|| (name == "GRPC_STATUS").then(|| grpc_status(arguments)))
            .ok_or_else(|| format!("access log operator %{name}% is not supported"))?;
        match arguments {
            Some(arguments) if !arguments.is_empty() && name != "GRPC_STATUS" => {
                Err(format!("access log operator %{name}% takes no arguments, has ({arguments})"))
            }
            _ => Ok(operator),
        }
    }

    /// Names of the response headers that it reads.
    pub fn response_headers(&self) -> impl Iterator<Item = &str> {
        let (name, fallback) = match self {
            Operator::Header { of: Of::Response, name, fallback } => {
                (Some(name.as_str()), fallback.as_deref())
            }
            _ => (None, None),
        };
        name.into_iter().chain(fallback)
    }

    /// Appends the value; nothing if there is none.
    pub fn write(&self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        match self {
            Operator::StartTime(format) => format.write(entry.record.started_at, out),
            Operator::EmitTime(format) => format.write(std::time::SystemTime::now(), out),
            Operator::Header { of, name, fallback } => {
                write_header(entry, *of, name, fallback.as_deref(), out)
            }
            Operator::Value(write) => write(entry, out),
            Operator::Address { which, part } => write_address(entry, *which, *part, out),
        }
    }
}

fn header_operator(name: &str) -> Option<Of> {
    Some(match name {
        "REQ" | "REQUEST_HEADER" => Of::Request,
        "RESP" | "RESPONSE_HEADER" => Of::Response,
        "TRAILER" | "RESPONSE_TRAILER" => Of::Trailer,
        _ => return None,
    })
}

fn header(operator: &str, of: Of, arguments: Option<&str>) -> Result<Operator, String> {
    let arguments =
        arguments.filter(|a| !a.is_empty()).ok_or_else(|| format!("%{operator}% needs a header's name"))?;
    let (name, fallback) = match arguments.split_once('?') {
        Some((name, fallback)) => (name, Some(fallback.to_ascii_lowercase())),
        None => (arguments, None),
    };
    Ok(Operator::Header { of, name: name.to_ascii_lowercase(), fallback })
}

fn write_header(entry: &Entry<'_>, of: Of, name: &str, fallback: Option<&str>, out: &mut Vec<u8>) {
    let find = |name: &str| match of {
        Of::Request => entry.headers.request(name),
        Of::Response => entry.headers.response(name),
        Of::Trailer => entry.headers.trailer(name),
    };
    let value = find(name).filter(|v| !v.is_empty()).or_else(|| fallback.and_then(find));
    let Some(value) = value else { return };
    // A line stays one line whatever a peer sends.
    // A tab is a part of many values, and ends no line.
    let strange = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
    if !value.iter().any(strange) {
        return out.extend_from_slice(&value);
    }
    for byte in value.iter() {
        if strange(byte) {
            put_display(out, format_args!("\\x{byte:02x}"));
        } else {
            out.push(*byte);
        }
    }
}

fn address(name: &str) -> Option<Operator> {
    let (name, part) = if let Some(name) = name.strip_suffix("_ADDRESS_WITHOUT_PORT") {
        (name, Part::Ip)
    } else if let Some(name) = name.strip_suffix("_ADDRESS") {
        (name, Part::Whole)
    } else {
        (name.strip_suffix("_PORT")?, Part::Port)
    };
    let which = match name {
        "DOWNSTREAM_LOCAL" => Which::DownstreamLocal,
        "DOWNSTREAM_REMOTE" => Which::DownstreamRemote,
        "DOWNSTREAM_DIRECT_REMOTE" => Which::DownstreamDirectRemote,
        "UPSTREAM_LOCAL" => Which::UpstreamLocal,
        "UPSTREAM_REMOTE" => Which::UpstreamRemote,
        _ => return None,
    };
    Some(Operator::Address { which, part })
}

fn write_address(entry: &Entry<'_>, which: Which, part: Part, out: &mut Vec<u8>) {
    let address: Option<SocketAddr> = match which {
        Which::DownstreamLocal => Some(entry.conn.local),
        Which::DownstreamRemote => Some(entry.record.remote.unwrap_or(entry.conn.remote)),
        Which::DownstreamDirectRemote => Some(entry.conn.remote),
        Which::UpstreamLocal => entry.record.upstream_local,
        // Nobody was reached.
        Which::UpstreamRemote if entry.record.flags.has(super::Flag::UF) => None,
        Which::UpstreamRemote => match &entry.record.upstream_host {
            Some(ir::Address::Socket(address)) => Some(*address),
            _ => None,
        },
    };
    let Some(address) = address else { return };
    match part {
        Part::Whole => put_socket(out, address),
        Part::Ip => put_ip(out, address.ip()),
        Part::Port => put_number(out, u64::from(address.port())),
    }
}

fn grpc_status(arguments: Option<&str>) -> Operator {
    match arguments {
        Some("NUMBER") => Operator::Value(|e, out| number(out, e.record.grpc_status.map(u64::from))),
        Some("SNAKE_STRING") => Operator::Value(|e, out| text(out, e.record.grpc_status.map(grpc_name))),
        _ => Operator::Value(|e, out| text(out, e.record.grpc_status.map(|s| camel(grpc_name(s))))),
    }
}

/// See <https://grpc.io/docs/guides/status-codes/>.
fn grpc_name(status: u32) -> &'static str {
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    NAMES.get(status as usize).copied().unwrap_or("UNKNOWN")
}

/// `NOT_FOUND` as `NotFound`.
fn camel(snake: &str) -> String {
    let word = |word: &str| -> String {
        word.chars().enumerate().map(|(i, c)| if i == 0 { c } else { c.to_ascii_lowercase() }).collect()
    };
    if snake == "OK" { snake.to_owned() } else { snake.split('_').map(word).collect() }
}

fn text(out: &mut Vec<u8>, value: Option<impl AsRef<str>>) {
    if let Some(value) = value {
        out.extend_from_slice(value.as_ref().as_bytes());
    }
}

fn number(out: &mut Vec<u8>, value: Option<u64>) {
    if let Some(value) = value {
        put_number(out, value);
    }
}

/// Rounded down.
fn whole_millis(duration: Duration) -> u64 {
    duration.as_secs() * 1000 + u64::from(duration.subsec_millis())
}

fn upstream_host(entry: &Entry<'_>, out: &mut Vec<u8>) {
    match &entry.record.upstream_host {
        Some(ir::Address::Socket(address)) => put_socket(out, *address),
        Some(other) => put_display(out, other),
        None => {}
    }
}

/// Blanks would break columns; Envoy replaces them as well.
fn one_word(out: &mut Vec<u8>, text: &str) {
    out.extend(text.bytes().map(|b| if b.is_ascii_whitespace() { b'_' } else { b }));
}

fn millis(out: &mut Vec<u8>, value: Option<Duration>) {
    number(out, value.map(whole_millis));
}

/// Operators without arguments whose value is a text or a number.
fn plain(name: &str) -> Option<fn(&Entry<'_>, &mut Vec<u8>)> {
    Some(match name {
        "PROTOCOL" => |e, out| text(out, e.record.protocol),
        "RESPONSE_CODE" => |e, out| number(out, Some(u64::from(e.record.status))),
        "RESPONSE_CODE_DETAILS" => |e, out| one_word(out, &e.record.details),
        "RESPONSE_FLAGS" => |e, out| e.record.flags.write(out),
        "RESPONSE_FLAGS_LONG" => |e, out| e.record.flags.write_long(out),
        "CONNECTION_TERMINATION_DETAILS" => |e, out| text(out, e.record.termination.as_deref()),
        "UPSTREAM_TRANSPORT_FAILURE_REASON" => {
            |e, out| one_word(out, e.record.transport_failure.as_deref().unwrap_or(""))
        }
        "BYTES_RECEIVED" => |e, out| number(out, Some(e.record.bytes_received)),
        "BYTES_SENT" => |e, out| number(out, Some(e.record.bytes_sent)),
        "DURATION" => |e, out| millis(out, Some(e.record.started.elapsed())),
        "REQUEST_DURATION" => |e, out| millis(out, e.record.request_end),
        "RESPONSE_DURATION" => |e, out| millis(out, e.record.response_begin),
        "RESPONSE_TX_DURATION" => |e, out| millis(out, tx_duration(e.record)),
        "UPSTREAM_HOST" => |e, out| upstream_host(e, out),
        "UPSTREAM_CLUSTER" | "UPSTREAM_CLUSTER_RAW" => |e, out| text(out, e.record.cluster.as_deref()),
        "UPSTREAM_REQUEST_ATTEMPT_COUNT" => |e, out| number(out, Some(u64::from(e.record.attempts))),
        "REQUESTED_SERVER_NAME" => |e, out| text(out, e.conn.sni.as_deref()),
        "ROUTE_NAME" => |e, out| text(out, e.record.route_name.as_deref()),
        "VIRTUAL_HOST_NAME" => |e, out| text(out, e.record.virtual_host.as_deref()),
        // A number stands for a name that the configuration does not give.
        "FILTER_CHAIN_NAME" => {
            |e, out| text(out, Some(e.conn.chain.as_str()).filter(|name| !name.starts_with('#')))
        }
        "CONNECTION_ID" => |e, out| number(out, Some(e.conn.id)),
        "HOSTNAME" => |_, out| text(out, Some(hostname())),
        "GRPC_STATUS_NUMBER" => |e, out| number(out, e.record.grpc_status.map(u64::from)),
        "DOWNSTREAM_PEER_URI_SAN" => |e, out| text(out, peer(e).map(|p| joined(&p.uri_sans))),
        "DOWNSTREAM_PEER_DNS_SAN" => |e, out| text(out, peer(e).map(|p| joined(&p.dns_sans))),
        "DOWNSTREAM_PEER_SUBJECT" => |e, out| text(out, peer(e).map(|p| p.subject.clone())),
        "DOWNSTREAM_PEER_FINGERPRINT_256" => |e, out| text(out, peer(e).map(|p| p.sha256.clone())),
        "DOWNSTREAM_LOCAL_URI_SAN" => |e, out| {
            text(out, e.conn.tls.as_ref().and_then(|t| t.local.as_ref()).map(|l| joined(&l.uri_sans)));
        },
        "DOWNSTREAM_TLS_VERSION" => |e, out| text(out, e.conn.tls.as_ref().map(|t| t.version)),
        "DOWNSTREAM_TLS_CIPHER" => |e, out| text(out, e.conn.tls.as_ref().map(|t| t.cipher)),
        _ => return None,
    })
}

fn peer<'a>(entry: &Entry<'a>) -> Option<&'a identity::PeerIdentity> {
    entry.conn.tls.as_ref()?.peer.as_deref()
}

fn joined(names: &[stdx::Str]) -> String {
    names.iter().map(stdx::Str::as_str).collect::<Vec<_>>().join(",")
}

fn tx_duration(record: &Record) -> Option<Duration> {
    record.response_begin.map(|begin| record.started.elapsed().saturating_sub(begin))
}

fn hostname() -> &'static str {
    static NAME: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    NAME.get_or_init(|| {
        std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
    })
}
