//! Bytes on the wire: what frames bodies, and heads as they were compressed, included.

use super::Operator;
use crate::access_log::{Record, Told};
use crate::format::Entry;

/// Those of a connection without requests are what was relayed, below TLS's framing as in Envoy.
pub(super) fn bytes(name: &str) -> Option<Operator> {
    Some(Operator::ToldNumber(match name {
        "DOWNSTREAM_WIRE_BYTES_RECEIVED" => {
            |e| Some(of(e, |told| told.downstream().received, |tcp| tcp.bytes_received))
        }
        "DOWNSTREAM_WIRE_BYTES_SENT" => |e| Some(of(e, |told| told.downstream().sent, |tcp| tcp.bytes_sent)),
        "UPSTREAM_WIRE_BYTES_RECEIVED" => {
            |e| Some(of(e, |told| told.upstream().received, |tcp| to_upstream(tcp, tcp.bytes_sent)))
        }
        "UPSTREAM_WIRE_BYTES_SENT" => {
            |e| Some(of(e, |told| told.upstream().sent, |tcp| to_upstream(tcp, tcp.bytes_received)))
        }
        "DOWNSTREAM_HEADER_BYTES_RECEIVED" => |e| Some(of(e, |told| told.downstream().received_heads, |_| 0)),
        "DOWNSTREAM_HEADER_BYTES_SENT" => |e| Some(of(e, |told| told.downstream().sent_heads, |_| 0)),
        "UPSTREAM_HEADER_BYTES_RECEIVED" => |e| Some(of(e, |told| told.upstream().received_heads, |_| 0)),
        "UPSTREAM_HEADER_BYTES_SENT" => |e| Some(of(e, |told| told.upstream().sent_heads, |_| 0)),
        _ => return None,
    }))
}

fn of(entry: &Entry<'_>, request: fn(&Told) -> u64, connection: fn(&Record) -> u64) -> u64 {
    match entry.record.protocol {
        Some(_) => entry.record.told.as_deref().map_or(0, request),
        None => connection(entry.record),
    }
}

/// None, if there was nobody.
fn to_upstream(record: &Record, bytes: u64) -> u64 {
    if record.local_to_upstream().is_some() { bytes } else { 0 }
}
