//! The operators of format strings.

mod address;
mod coalesce;
mod exchange;
mod outcome;
mod parse;
mod request;
mod tls;
mod wire;

use std::borrow::Cow;
use std::collections::BTreeMap;

use identity::PeerDetails;
use ir::metadata::Json;
use stdx::Str;

use super::time::TimeFormat;
use super::{Asks, Entry, Template};
use crate::text::{put_display, put_number};
use address::{Part, Which};
use exchange::{Endpoints, Point};
use request::{NameFrom, Of, Source};
use tls::Peer;

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
    /// As [`Operator::Value`] and [`Operator::Number`], of what is noted only where it is asked for.
    ToldValue(fn(&Entry<'_>, &mut Vec<u8>)),
    ToldNumber(fn(&Entry<'_>) -> Option<u64>),
    /// Endpoints that were tried.
    Endpoints(Endpoints),
    /// The first of these that has a value.
    Coalesce(Vec<Template>),
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
    LocalReplyBody,
    /// Of the peer's certificates, what is kept only where it is asked for.
    Details {
        peer: Peer,
        write: fn(&PeerDetails, &mut Vec<u8>),
    },
    /// When the peer's certificate begins or ceases to be valid.
    Validity {
        peer: Peer,
        end: bool,
        format: TimeFormat,
    },
}

impl Operator {
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
            Operator::Between { .. } | Operator::Number(_) | Operator::ToldNumber(_) => true,
            Operator::Coalesce(all) => all.iter().all(Template::is_number),
            Operator::Address { part, .. } => matches!(part, Part::Port),
            _ => false,
        }
    }

    /// What it tells of certificates and exchanges.
    pub fn asks(&self) -> Asks {
        match self {
            Operator::Details { peer, .. } => {
                let (clients, servers) = (*peer == Peer::Client, *peer == Peer::Server);
                Asks { clients, servers, exchange: false }
            }
            Operator::ToldValue(_) | Operator::ToldNumber(_) | Operator::Endpoints(_) => Asks::of_exchange(),
            Operator::Between { from, to, .. } if exchange::asks(*from, *to) => Asks::of_exchange(),
            Operator::Coalesce(all) => all.iter().fold(Asks::default(), |mut asks, one| {
                asks |= one.asks();
                asks
            }),
            _ => Asks::default(),
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

    /// Appends the value. `true`: there is one even if nothing was appended.
    pub fn write(&self, entry: &Entry<'_>, out: &mut Vec<u8>) -> bool {
        match self {
            Operator::Header { of, name, fallback } => {
                return request::write_header(entry, *of, name, fallback.as_deref(), out);
            }
            Operator::Query { parameter, source } => {
                return request::write_query(entry, parameter.as_deref(), *source, out);
            }
            Operator::Coalesce(all) => return all.iter().any(|one| one.write(entry, true, out)),
            // In a log it is nothing, in Envoy, too: not even missing.
            Operator::LocalReplyBody => {
                out.extend_from_slice(entry.headers.local_reply_body());
                return true;
            }
            _ => self.write_text(entry, out),
        }
        false
    }

    /// As [`Operator::write`], of those that are missing where there is nothing to write.
    fn write_text(&self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        match self {
            Operator::StartTime(format) => format.write(entry.record.started_at(), out),
            Operator::EmitTime(format) => format.write(std::time::SystemTime::now(), out),
            Operator::Header { .. }
            | Operator::Query { .. }
            | Operator::Coalesce(_)
            | Operator::LocalReplyBody => {}
            Operator::Value(write) | Operator::ToldValue(write) => write(entry, out),
            Operator::Number(value) | Operator::ToldNumber(value) => number(out, value(entry)),
            Operator::Endpoints(which) => exchange::write_endpoints(entry, *which, out),
            Operator::Between { from, to, unit } => exchange::between(entry, *from, *to, *unit, out),
            Operator::Path { query, source } => {
                if let Some(path) = request::path(entry, *source) {
                    put_clean(out, if *query { &path } else { engine::request::path_only(&path) });
                }
            }
            Operator::ServerName { first, source } => request::server_name(entry, *first, *source, out),
            Operator::Metadata(path) => {
                if let Some(value) = entry.headers.metadata().and_then(|all| of_filter(all, path)) {
                    put_json(&value, out);
                }
            }
            Operator::Fixed(value) => text(out, Some(value)),
            Operator::Details { peer, write } => {
                if let Some(details) = peer.of(entry).and_then(|peer| peer.details.as_ref()) {
                    write(details, out);
                }
            }
            Operator::Validity { peer, end, format } => tls::validity(entry, *peer, *end, format, out),
            Operator::Address { which, part } => address::write_address(entry, *which, *part, out),
        }
    }
}

/// The value at a filter's name and the path below it; without a path all that it says.
fn of_filter<'a>(all: &'a ir::Metadata, path: &[String]) -> Option<Cow<'a, Json>> {
    let (filter, path) = path.split_first()?;
    let said = all.get(filter.as_str())?;
    match path {
        [] => Some(Cow::Owned(Json::Map(said.clone()))),
        path => found(said, path).map(Cow::Borrowed),
    }
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
