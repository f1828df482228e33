//! How a request went on its way: endpoints and connections that were tried, moments, lengths of heads.

use std::time::Instant;

use super::{Operator, number, text};
use crate::access_log::{Told, Tried};
use crate::format::Entry;
use crate::text::put_number;

/// Which endpoints, and what of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::format) struct Endpoints {
    /// All that were tried, not the last one only.
    all: bool,
    /// By their names, where they have one.
    named: bool,
    port: bool,
}

/// Points in time of `%COMMON_DURATION%`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::format) enum Point {
    DownstreamRxBegin,
    DownstreamRxEnd,
    UpstreamConnectBegin,
    UpstreamConnectEnd,
    UpstreamHandshakeEnd,
    UpstreamTxBegin,
    UpstreamTxEnd,
    UpstreamRxBegin,
    UpstreamRxEnd,
    DownstreamTxBegin,
    DownstreamTxEnd,
}

impl Point {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "DS_RX_BEG" => Point::DownstreamRxBegin,
            "DS_RX_END" => Point::DownstreamRxEnd,
            "US_CX_BEG" => Point::UpstreamConnectBegin,
            "US_CX_END" => Point::UpstreamConnectEnd,
            "US_HS_END" => Point::UpstreamHandshakeEnd,
            "US_TX_BEG" => Point::UpstreamTxBegin,
            "US_TX_END" => Point::UpstreamTxEnd,
            "US_RX_BEG" => Point::UpstreamRxBegin,
            "US_RX_END" => Point::UpstreamRxEnd,
            "DS_TX_BEG" => Point::DownstreamTxBegin,
            "DS_TX_END" => Point::DownstreamTxEnd,
            _ => return None,
        })
    }

    /// Whether it is noted for every request.
    fn is_known_anyway(self) -> bool {
        matches!(
            self,
            Point::DownstreamRxBegin
                | Point::DownstreamRxEnd
                | Point::UpstreamRxBegin
                | Point::DownstreamTxEnd
        )
    }

    fn at(self, entry: &Entry<'_>) -> Option<Instant> {
        let record = entry.record;
        let told = record.told.as_deref();
        let dialed = || record.upstream.as_ref().map(|facts| facts.dialed);
        match self {
            Point::DownstreamRxBegin => Some(record.started),
            Point::DownstreamRxEnd => record.request_end.map(|after| record.started + after),
            Point::UpstreamConnectBegin => dialed().map(|it| it.begun),
            Point::UpstreamConnectEnd => dialed().map(|it| it.connected),
            Point::UpstreamHandshakeEnd => dialed().and_then(|it| it.secured),
            Point::UpstreamTxBegin => told.and_then(Told::sending_at),
            Point::UpstreamTxEnd => told.and_then(Told::sent_at),
            Point::UpstreamRxBegin => record.response_begin.map(|after| record.started + after),
            Point::UpstreamRxEnd => told.and_then(Told::received_at),
            Point::DownstreamTxBegin => told.and_then(Told::answering_at),
            Point::DownstreamTxEnd => Some(Instant::now()),
        }
    }
}

/// `START:END:UNIT`.
pub(super) fn common_duration(arguments: &str) -> Result<Operator, String> {
    let parts: Vec<&str> = arguments.split(':').collect();
    let [from, to, unit] = parts[..] else {
        return Err(format!("%COMMON_DURATION% takes START:END:PRECISION, has ({arguments})"));
    };
    let point = |name: &str| {
        Point::of(name).ok_or_else(|| format!("%COMMON_DURATION% does not know the point {name}"))
    };
    let unit = match unit {
        "ms" => 1_000_000,
        "us" => 1_000,
        "ns" => 1,
        _ => return Err(format!("%COMMON_DURATION% takes ms, us or ns, has {unit}")),
    };
    Ok(Operator::Between { from: point(from)?, to: point(to)?, unit })
}

/// Nothing, where one of them was not reached, or they came the other way round.
pub(super) fn between(entry: &Entry<'_>, from: Point, to: Point, unit: u128, out: &mut Vec<u8>) {
    if let (Some(from), Some(to)) = (from.at(entry), to.at(entry))
        && let Some(time) = to.checked_duration_since(from)
    {
        number(out, u64::try_from(time.as_nanos() / unit).ok());
    }
}

/// Whether a duration needs more than what is noted for every request.
pub(super) fn asks(from: Point, to: Point) -> bool {
    !(from.is_known_anyway() && to.is_known_anyway())
}

/// `UPSTREAM_HOST_NAME` and those like it.
pub(super) fn endpoints(name: &str) -> Option<Operator> {
    let (name, port) = match name.strip_suffix("_WITHOUT_PORT") {
        Some(name) => (name, false),
        None => (name, true),
    };
    let (all, named) = match name {
        "UPSTREAM_HOST_NAME" => (false, true),
        "UPSTREAM_HOSTS_ATTEMPTED" => (true, false),
        "UPSTREAM_HOST_NAMES_ATTEMPTED" => (true, true),
        _ => return None,
    };
    Some(Operator::Endpoints(Endpoints { all, named, port }))
}

pub(super) fn write_endpoints(entry: &Entry<'_>, it: Endpoints, out: &mut Vec<u8>) {
    let Some(told) = entry.record.told.as_deref() else { return };
    let tried = told.tried();
    let from = if it.all { 0 } else { tried.len().saturating_sub(1) };
    let texts: Vec<String> = tried.get(from..).unwrap_or_default().iter().map(|one| it.text(one)).collect();
    text(out, Some(texts.join(",")));
}

impl Endpoints {
    fn text(self, it: &Tried) -> String {
        match (&it.name, &it.address) {
            (Some(name), _) if self.named => match self.port {
                true => name.to_string(),
                false => without_port(name).to_owned(),
            },
            (_, ir::Address::Socket(address)) if !self.port => address.ip().to_string(),
            (_, ir::Address::Name { host, .. }) if !self.port => host.to_string(),
            (_, address) => address.to_string(),
        }
    }
}

/// A name without the port that may follow it; an IPv6 address has colons of its own.
fn without_port(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => name,
    }
}

/// Operators without arguments whose value is a number, and whether it is noted only where it is asked for.
pub(super) fn numeric(name: &str) -> Option<(fn(&Entry<'_>) -> Option<u64>, bool)> {
    Some(match name {
        "UPSTREAM_CONNECTION_ID" => {
            (|e| Some(e.record.upstream.as_ref().map_or(0, |facts| facts.dialed.id)), false)
        }
        "UPSTREAM_CONNECTION_POOL_READY_DURATION" => {
            (|e| millis(e, Told::attempted_at, Told::sending_at), true)
        }
        "REQUEST_TX_DURATION" => (
            |e| {
                let sent = e.record.told.as_deref()?.sent_at()?;
                Some(sent.saturating_duration_since(e.record.started).as_millis() as u64)
            },
            true,
        ),
        "REQUEST_HEADERS_BYTES" => (|e| Some(e.headers.request_bytes()), false),
        "RESPONSE_HEADERS_BYTES" => {
            (|e| Some(e.record.told.as_ref().map_or(0, |told| told.response_head_bytes.get())), true)
        }
        "RESPONSE_TRAILERS_BYTES" => (|e| Some(e.headers.trailer_bytes()), false),
        _ => return None,
    })
}

type Moment = fn(&Told) -> Option<Instant>;

fn millis(entry: &Entry<'_>, from: Moment, to: Moment) -> Option<u64> {
    let told = entry.record.told.as_deref()?;
    Some(to(told)?.checked_duration_since(from(told)?)?.as_millis() as u64)
}

/// Numbers of the connections that were tried.
pub(super) fn connections(entry: &Entry<'_>, out: &mut Vec<u8>) {
    let tried = entry.record.told.as_deref().map(Told::connections).unwrap_or_default();
    for (index, id) in tried.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        put_number(out, id);
    }
}
