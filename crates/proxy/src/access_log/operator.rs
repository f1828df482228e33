//! The operators of format strings.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use identity::Names;
use ir::access_log::LogType;
use ir::bootstrap::Json;
use stdx::Str;

use super::Entry;
use super::record::Record;
use super::time::TimeFormat;
use crate::text::{put_display, put_ip, put_number, put_socket};

/// One `%OPERATOR%`.
#[derive(Debug)]
pub(super) enum Operator {
    StartTime(TimeFormat),
    EmitTime(TimeFormat),
    Header {
        of: Of,
        name: String,
        fallback: Option<String>,
    },
    Value(fn(&Entry<'_>, &mut Vec<u8>)),
    Number(fn(&Entry<'_>) -> Option<u64>),
    Address {
        which: Which,
        part: Part,
    },
    /// Between two points in time, in this many nanoseconds.
    Between {
        from: Point,
        to: Point,
        unit: u128,
    },
    /// The path of a request, as it is now or as it came.
    Path {
        query: bool,
        source: Source,
    },
    /// The query, or the value of one parameter.
    Query {
        parameter: Option<String>,
        source: Source,
    },
    ServerName {
        first: NameFrom,
        source: Source,
    },
    /// What a filter left behind, by its name and path.
    Metadata(Vec<String>),
    Fixed(Box<str>),
}

/// Of `%COMMON_DURATION%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Point {
    DownstreamRxBegin,
    DownstreamRxEnd,
    UpstreamRxBegin,
    DownstreamTxEnd,
}

/// The path that a request came with, where it was rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Now,
    Original,
    OriginalOrNow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameFrom {
    Sni,
    SniElseHost,
    HostElseSni,
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
    /// The network of this many bits.
    Network(u8),
    Port,
}

/// Operators of Envoy's for which we know no value: logged as missing, and reported by name.
const WITHOUT_VALUE: &[&str] = &[
    "BYTES_RETRANSMITTED",
    "CLUSTER_METADATA",
    "CUSTOM_FLAGS",
    "DOWNSTREAM_DETECTED_CLOSE_TYPE",
    "DOWNSTREAM_HANDSHAKE_DURATION",
    "DOWNSTREAM_HEADER_BYTES_RECEIVED",
    "DOWNSTREAM_HEADER_BYTES_SENT",
    "DOWNSTREAM_LOCAL_CLOSE_REASON",
    "DOWNSTREAM_LOCAL_SUBJECT",
    "DOWNSTREAM_PEER_CERT",
    "DOWNSTREAM_PEER_CERT_V_END",
    "DOWNSTREAM_PEER_CERT_V_START",
    "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1",
    "DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256",
    "DOWNSTREAM_PEER_CHAIN_SERIALS",
    "DOWNSTREAM_PEER_FINGERPRINT_1",
    "DOWNSTREAM_PEER_ISSUER",
    "DOWNSTREAM_PEER_OTHERNAME_SAN",
    "DOWNSTREAM_PEER_SERIAL",
    "DOWNSTREAM_TLS_SESSION_ID",
    "DOWNSTREAM_WIRE_BYTES_RECEIVED",
    "DOWNSTREAM_WIRE_BYTES_SENT",
    "FILTER_STATE",
    "LOCAL_REPLY_BODY",
    "METADATA",
    "PACKETS_RETRANSMITTED",
    "REQUEST_HEADERS_BYTES",
    "REQUEST_TX_DURATION",
    "RESPONSE_HEADERS_BYTES",
    "RESPONSE_TRAILERS_BYTES",
    "ROUNDTRIP_DURATION",
    "SPAN_ID",
    "TLS_JA3_FINGERPRINT",
    "TLS_JA4_FINGERPRINT",
    "UPSTREAM_CONNECTION_ID",
    "UPSTREAM_CONNECTION_POOL_READY_DURATION",
    "UPSTREAM_DETECTED_CLOSE_TYPE",
    "UPSTREAM_FILTER_STATE",
    "UPSTREAM_HEADER_BYTES_RECEIVED",
    "UPSTREAM_HEADER_BYTES_SENT",
    "UPSTREAM_HOSTS_ATTEMPTED",
    "UPSTREAM_HOST_NAME",
    "UPSTREAM_HOST_NAMES_ATTEMPTED",
    "UPSTREAM_HOST_NAME_WITHOUT_PORT",
    "UPSTREAM_LOCAL_CLOSE_REASON",
    "UPSTREAM_METADATA",
    "UPSTREAM_PEER_CERT",
    "UPSTREAM_PEER_ISSUER",
    "UPSTREAM_TLS_SESSION_ID",
    "UPSTREAM_WIRE_BYTES_RECEIVED",
    "UPSTREAM_WIRE_BYTES_SENT",
    "VIRTUAL_CLUSTER_NAME",
];

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
        if let Some(operator) = with_arguments(name, arguments.unwrap_or(""))? {
            return Ok(operator);
        }
        if WITHOUT_VALUE.contains(&name) {
            tracing::warn!(operator = name, "is not known here, and logged as missing");
            return Ok(Operator::Value(|_, _| {}));
        }
        let unknown = || format!("access log operator %{name}% is not supported");
        let operator = address(name).or_else(|| plain(name).map(Operator::Value)).ok_or_else(unknown)?;
        match arguments.filter(|arguments| !arguments.is_empty()) {
            Some(arguments) => {
                Err(format!("%{name}% does not take any parameters or length, has ({arguments})"))
            }
            None => Ok(operator),
        }
    }

    /// Whether a `:length` may follow.
    pub fn takes_length(&self) -> bool {
        matches!(
            self,
            Operator::Header { .. }
                | Operator::Path { .. }
                | Operator::Query { .. }
                | Operator::Metadata(_)
                | Operator::ServerName { .. }
                | Operator::Fixed(_)
        )
    }

    /// Whether JSON shows it without quotes.
    pub fn is_number(&self) -> bool {
        match self {
            Operator::Between { .. } | Operator::Number(_) => true,
            Operator::Address { part, .. } => matches!(part, Part::Port),
            _ => false,
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
            Operator::Number(value) => number(out, value(entry)),
            Operator::Between { from, to, unit } => between(entry, *from, *to, *unit, out),
            Operator::Path { query, source } => {
                if let Some(path) = path(entry, *source) {
                    put_clean(out, if *query { &path } else { engine::request::path_only(&path) });
                }
            }
            Operator::Query { parameter, source } => {
                let Some(path) = path(entry, *source) else { return };
                let query = engine::request::query(&path);
                match parameter {
                    None => put_clean(out, query),
                    Some(name) => put_clean(out, parameter_of(query, name).unwrap_or(b"")),
                }
            }
            Operator::ServerName { first, source } => server_name(entry, *first, *source, out),
            Operator::Metadata(path) => {
                if let Some(value) = entry.record.metadata.as_deref().and_then(|all| of_filter(all, path)) {
                    put_json(value, out);
                }
            }
            Operator::Fixed(value) => text(out, Some(value)),
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
    if let Some(value) = value {
        put_clean(out, &value);
    }
}

/// A line stays one line whatever a peer sends.
fn put_clean(out: &mut Vec<u8>, value: &[u8]) {
    // A tab is a part of many values, and ends no line.
    let strange = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
    if !value.iter().any(strange) {
        return out.extend_from_slice(value);
    }
    for byte in value {
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
        Which::DownstreamDirectRemote => Some(entry.conn.direct_remote()),
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
        Part::Network(bits) => put_display(out, format_args!("{}/{bits}", network(address.ip(), bits))),
        Part::Port => put_number(out, u64::from(address.port())),
    }
}

/// Operators whose arguments say what is meant; `None`: it is none of them.
fn with_arguments(name: &str, arguments: &str) -> Result<Option<Operator>, String> {
    let one_of = |allowed: &str| format!("%{name}% takes {allowed}, has ({arguments})");
    Ok(Some(match name {
        "GRPC_STATUS" => {
            grpc_status(arguments).ok_or_else(|| one_of("CAMEL_STRING, SNAKE_STRING or NUMBER"))?
        }
        "COMMON_DURATION" => common_duration(arguments)?,
        "PATH" => {
            let (query, source) = arguments.split_once(':').unwrap_or((arguments, ""));
            let query = match query {
                "" | "WQ" => true,
                "NQ" => false,
                _ => return Err(one_of("WQ or NQ")),
            };
            let source = source_of(source).ok_or_else(|| one_of("PATH, ORIG or ORIG_OR_PATH"))?;
            Operator::Path { query, source }
        }
        "QUERY_PARAM" if arguments.is_empty() => return Err(format!("%{name}% requires parameters")),
        "QUERY_PARAM" => Operator::Query { parameter: Some(arguments.to_owned()), source: Source::Now },
        "QUERY_PARAMS" => {
            let source = match arguments {
                "" => Source::Now,
                "ORIG" => Source::Original,
                _ => return Err(one_of("ORIG")),
            };
            Operator::Query { parameter: None, source }
        }
        "REQUESTED_SERVER_NAME" => {
            let (first, source) = arguments.split_once(':').unwrap_or((arguments, ""));
            let first = match first {
                "" | "SNI_ONLY" => NameFrom::Sni,
                "SNI_FIRST" => NameFrom::SniElseHost,
                "HOST_FIRST" => NameFrom::HostElseSni,
                _ => return Err(one_of("SNI_ONLY, SNI_FIRST or HOST_FIRST")),
            };
            let source = match source {
                "" | "HOST" => Source::Now,
                other => source_of(&other.replace("HOST", "PATH"))
                    .ok_or_else(|| one_of("HOST, ORIG or ORIG_OR_HOST"))?,
            };
            Operator::ServerName { first, source }
        }
        "DYNAMIC_METADATA" => {
            if arguments.is_empty() {
                return Err(format!("%{name}% requires parameters"));
            }
            Operator::Metadata(arguments.split(':').map(str::to_owned).collect())
        }
        "ENVIRONMENT" => {
            if arguments.is_empty() {
                return Err(format!("%{name}% requires parameters"));
            }
            // Envoy writes the dash even into JSON.
            Operator::Fixed(std::env::var(arguments).unwrap_or_else(|_| "-".to_owned()).into())
        }
        "RESPONSE_CODE_DETAILS" if arguments == "ALLOW_WHITESPACES" => {
            Operator::Value(|e, out| text(out, Some(&e.record.details)))
        }
        _ => match numeric(name) {
            Some(operator) if arguments.is_empty() => operator,
            Some(_) => {
                return Err(format!("%{name}% does not take any parameters or length, has ({arguments})"));
            }
            None => return Ok(masked(name, arguments)),
        },
    }))
}

fn source_of(name: &str) -> Option<Source> {
    Some(match name {
        "" | "PATH" => Source::Now,
        "ORIG" => Source::Original,
        "ORIG_OR_PATH" => Source::OriginalOrNow,
        _ => return None,
    })
}

/// `%…_ADDRESS_WITHOUT_PORT(8)%`.
fn masked(name: &str, arguments: &str) -> Option<Operator> {
    let bits: u8 = arguments.parse().ok().filter(|bits| *bits <= 128)?;
    match address(name)? {
        Operator::Address { which, part: Part::Ip } => {
            Some(Operator::Address { which, part: Part::Network(bits) })
        }
        _ => None,
    }
}

fn network(ip: std::net::IpAddr, bits: u8) -> std::net::IpAddr {
    use std::net::IpAddr;
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0);
            IpAddr::V4((u32::from(ip) & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            IpAddr::V6((u128::from(ip) & mask).into())
        }
    }
}

/// `START:END:UNIT`.
fn common_duration(arguments: &str) -> Result<Operator, String> {
    let parts: Vec<&str> = arguments.split(':').collect();
    let [from, to, unit] = parts[..] else {
        return Err(format!("%COMMON_DURATION% takes START:END:PRECISION, has ({arguments})"));
    };
    let point = |name: &str| match name {
        "DS_RX_BEG" => Ok(Point::DownstreamRxBegin),
        "DS_RX_END" => Ok(Point::DownstreamRxEnd),
        "US_RX_BEG" => Ok(Point::UpstreamRxBegin),
        "DS_TX_END" => Ok(Point::DownstreamTxEnd),
        _ => Err(format!("%COMMON_DURATION% does not know the point {name}")),
    };
    let unit = match unit {
        "ms" => 1_000_000,
        "us" => 1_000,
        "ns" => 1,
        _ => return Err(format!("%COMMON_DURATION% takes ms, us or ns, has {unit}")),
    };
    Ok(Operator::Between { from: point(from)?, to: point(to)?, unit })
}

fn between(entry: &Entry<'_>, from: Point, to: Point, unit: u128, out: &mut Vec<u8>) {
    let record = entry.record;
    let at = |point| match point {
        Point::DownstreamRxBegin => Some(Duration::ZERO),
        Point::DownstreamRxEnd => record.request_end,
        Point::UpstreamRxBegin => record.response_begin,
        Point::DownstreamTxEnd => Some(record.started.elapsed()),
    };
    if let (Some(from), Some(to)) = (at(from), at(to))
        && let Some(time) = to.checked_sub(from)
    {
        number(out, u64::try_from(time.as_nanos() / unit).ok());
    }
}

fn path<'a>(entry: &'a Entry<'_>, source: Source) -> Option<Cow<'a, [u8]>> {
    let now = || entry.headers.request(":path");
    let original = || entry.headers.request("x-envoy-original-path");
    match source {
        Source::Now => now(),
        Source::Original => original(),
        Source::OriginalOrNow => original().or_else(now),
    }
}

fn parameter_of<'a>(query: &'a [u8], name: &str) -> Option<&'a [u8]> {
    query.split(|byte| *byte == b'&').find_map(|pair| {
        let end = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        (&pair[..end] == name.as_bytes()).then(|| pair.get(end + 1..).unwrap_or(b""))
    })
}

fn server_name(entry: &Entry<'_>, first: NameFrom, source: Source, out: &mut Vec<u8>) {
    let sni = || entry.conn.sni.as_deref().filter(|name| !name.is_empty());
    let now = || entry.headers.request(":authority");
    let original = || entry.headers.request("x-envoy-original-host");
    let host = || match source {
        Source::Now => now(),
        Source::Original => original(),
        Source::OriginalOrNow => original().or_else(now),
    };
    let name: Option<Cow<'_, [u8]>> = match first {
        NameFrom::Sni => sni().map(|name| name.as_bytes().into()),
        NameFrom::SniElseHost => sni().map(|name| name.as_bytes().into()).or_else(host),
        NameFrom::HostElseSni => host().or_else(|| sni().map(|name| name.as_bytes().into())),
    };
    if let Some(name) = name {
        put_clean(out, &name);
    }
}

/// The value at a filter's name and the path below it.
fn of_filter<'a>(all: &'a ir::Metadata, path: &[String]) -> Option<&'a Json> {
    let (filter, path) = path.split_first()?;
    found(all.get(filter.as_str())?, path)
}

/// The value at a path of metadata.
fn found<'a>(all: &'a BTreeMap<Str, Json>, path: &[String]) -> Option<&'a Json> {
    let (first, rest) = path.split_first()?;
    let value = all.get(first.as_str())?;
    match (rest.is_empty(), value) {
        (true, value) => Some(value),
        (false, Json::Map(fields)) => found(fields, rest),
        (false, _) => None,
    }
}

/// A text as it is, anything else as JSON.
fn put_json(value: &Json, out: &mut Vec<u8>) {
    match value {
        Json::Text(value) => put_clean(out, value.as_bytes()),
        other => super::json::put(other, out),
    }
}

fn grpc_status(arguments: &str) -> Option<Operator> {
    Some(match arguments {
        "NUMBER" => Operator::Number(|e| e.record.grpc_status.map(u64::from)),
        "SNAKE_STRING" => Operator::Value(|e, out| text(out, e.record.grpc_status.map(grpc_name))),
        "" | "CAMEL_STRING" => {
            Operator::Value(|e, out| text(out, e.record.grpc_status.map(|s| camel(grpc_name(s)))))
        }
        _ => return None,
    })
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

/// Operators without arguments whose value is a number.
fn numeric(name: &str) -> Option<Operator> {
    Some(Operator::Number(match name {
        "RESPONSE_CODE" => |e| Some(u64::from(e.record.status)),
        "BYTES_RECEIVED" => |e| Some(e.record.bytes_received),
        "BYTES_SENT" => |e| Some(e.record.bytes_sent),
        "DURATION" => |e| Some(whole_millis(e.record.started.elapsed())),
        "REQUEST_DURATION" => |e| e.record.request_end.map(whole_millis),
        "RESPONSE_DURATION" => |e| e.record.response_begin.map(whole_millis),
        "RESPONSE_TX_DURATION" => |e| tx_duration(e.record).map(whole_millis),
        "UPSTREAM_REQUEST_ATTEMPT_COUNT" => |e| Some(u64::from(e.record.attempts)),
        "CONNECTION_ID" => |e| Some(e.conn.id),
        "GRPC_STATUS_NUMBER" => |e| e.record.grpc_status.map(u64::from),
        _ => return None,
    }))
}

/// Operators without arguments whose value is a text.
fn plain(name: &str) -> Option<fn(&Entry<'_>, &mut Vec<u8>)> {
    Some(match name {
        "PROTOCOL" => |e, out| text(out, e.record.protocol),
        "RESPONSE_CODE_DETAILS" => |e, out| one_word(out, &e.record.details),
        "RESPONSE_FLAGS" => |e, out| e.record.flags.write(out),
        "RESPONSE_FLAGS_LONG" => |e, out| e.record.flags.write_long(out),
        "CONNECTION_TERMINATION_DETAILS" => |e, out| text(out, e.record.termination.as_deref()),
        "UPSTREAM_TRANSPORT_FAILURE_REASON" => {
            |e, out| one_word(out, e.record.transport_failure.as_deref().unwrap_or(""))
        }
        "UPSTREAM_HOST" => |e, out| upstream_host(e, out),
        "UPSTREAM_CLUSTER" | "UPSTREAM_CLUSTER_RAW" => |e, out| text(out, e.record.cluster.as_deref()),
        "DOWNSTREAM_TRANSPORT_FAILURE_REASON" => {
            |e, out| one_word(out, e.record.downstream_failure.as_deref().unwrap_or(""))
        }
        "UPSTREAM_PROTOCOL" => |e, out| text(out, e.record.upstream_protocol),
        "UPSTREAM_TLS_VERSION" => |e, out| text(out, e.record.upstream_tls.as_ref().map(|t| t.version)),
        "UPSTREAM_TLS_CIPHER" => |e, out| text(out, e.record.upstream_tls.as_ref().map(|t| t.cipher)),
        "UPSTREAM_PEER_URI_SAN" => |e, out| text(out, server(e).map(|p| joined(&p.uri_sans))),
        "UPSTREAM_PEER_DNS_SAN" => |e, out| text(out, server(e).map(|p| joined(&p.dns_sans))),
        "UPSTREAM_PEER_IP_SAN" => |e, out| text(out, server(e).map(addresses)),
        "UPSTREAM_PEER_SUBJECT" => |e, out| text(out, server(e).map(|p| p.subject.clone())),
        "UPSTREAM_LOCAL_URI_SAN" => |e, out| text(out, client(e).map(|p| joined(&p.uri_sans))),
        "UPSTREAM_LOCAL_DNS_SAN" => |e, out| text(out, client(e).map(|p| joined(&p.dns_sans))),
        "ACCESS_LOG_TYPE" => |e, out| {
            text(
                out,
                Some(match e.record.kind {
                    LogType::NotSet => "NotSet",
                    LogType::TcpConnectionEnd => "TcpConnectionEnd",
                    LogType::DownstreamEnd => "DownstreamEnd",
                }),
            );
        },
        // Nothing is traced.
        "TRACE_ID" => |_, _| {},
        "STREAM_ID" => |e, out| put_clean(out, &e.headers.request("x-request-id").unwrap_or_default()),
        "UNIQUE_ID" => |e, out| out.extend_from_slice(&e.record.unique_id()),
        "ROUTE_NAME" => |e, out| text(out, e.record.route_name.as_deref()),
        "VIRTUAL_HOST_NAME" => |e, out| text(out, e.record.virtual_host.as_deref()),
        // A number stands for a name that the configuration does not give.
        "FILTER_CHAIN_NAME" => {
            |e, out| text(out, Some(e.conn.chain.as_str()).filter(|name| !name.starts_with('#')))
        }
        "HOSTNAME" => |_, out| text(out, Some(hostname())),
        "DOWNSTREAM_PEER_URI_SAN" => |e, out| text(out, peer(e).map(|p| joined(&p.uri_sans))),
        "DOWNSTREAM_PEER_DNS_SAN" => |e, out| text(out, peer(e).map(|p| joined(&p.dns_sans))),
        "DOWNSTREAM_PEER_IP_SAN" => |e, out| text(out, peer(e).map(|p| addresses(&p.names))),
        "DOWNSTREAM_PEER_EMAIL_SAN" => |e, out| text(out, peer(e).map(|p| joined(&p.email_sans))),
        "DOWNSTREAM_LOCAL_DNS_SAN" => |e, out| text(out, local(e).map(|p| joined(&p.dns_sans))),
        "DOWNSTREAM_LOCAL_IP_SAN" => |e, out| text(out, local(e).map(addresses)),
        "DOWNSTREAM_LOCAL_EMAIL_SAN" => |e, out| text(out, local(e).map(|p| joined(&p.email_sans))),
        "DOWNSTREAM_PEER_SUBJECT" => |e, out| text(out, peer(e).map(|p| p.subject.clone())),
        "DOWNSTREAM_PEER_FINGERPRINT_256" => |e, out| text(out, peer(e).map(|p| p.sha256.clone())),
        "DOWNSTREAM_LOCAL_URI_SAN" => |e, out| text(out, local(e).map(|p| joined(&p.uri_sans))),
        "DOWNSTREAM_TLS_VERSION" => |e, out| text(out, e.conn.tls.as_ref().map(|t| t.version)),
        "DOWNSTREAM_TLS_CIPHER" => |e, out| text(out, e.conn.tls.as_ref().map(|t| t.cipher)),
        _ => return None,
    })
}

fn peer<'a>(entry: &Entry<'a>) -> Option<&'a identity::PeerIdentity> {
    entry.conn.tls.as_ref()?.peer.as_deref()
}

/// What we show to clients.
fn local<'a>(entry: &Entry<'a>) -> Option<&'a Names> {
    entry.conn.tls.as_ref()?.local.as_deref()
}

/// What the upstream shows.
fn server<'a>(entry: &Entry<'a>) -> Option<&'a Names> {
    entry.record.upstream_tls.as_ref()?.peer.as_deref().map(|peer| &peer.names)
}

/// What we show to the upstream.
fn client<'a>(entry: &Entry<'a>) -> Option<&'a Names> {
    entry.record.upstream_tls.as_ref()?.local.as_deref()
}

fn addresses(names: &Names) -> String {
    names.ip_sans.iter().map(std::net::IpAddr::to_string).collect::<Vec<_>>().join(",")
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
