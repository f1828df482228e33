//! What became of a request: times, numbers, flags, names.

use std::time::Duration;

use ir::access_log::LogType;

use super::address::upstream_host;
use super::{Operator, put_clean, text};
use crate::access_log::Record;
use crate::format::Entry;

/// Of `%COMMON_DURATION%`.
pub(super) fn grpc_status(arguments: &str) -> Option<Operator> {
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

/// Operators without arguments whose value is a number.
pub(super) fn numeric(name: &str) -> Option<Operator> {
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
        "DOWNSTREAM_HANDSHAKE_DURATION" => |e| e.conn.handshake_ms.map(u64::from),
        "GRPC_STATUS_NUMBER" => |e| e.record.grpc_status.map(u64::from),
        _ => return None,
    }))
}

/// Operators without arguments whose value is a text.
pub(super) fn plain(name: &str) -> Option<fn(&Entry<'_>, &mut Vec<u8>)> {
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
        "UPSTREAM_PROTOCOL" => |e, out| text(out, e.record.upstream.as_ref().map(|facts| facts.protocol)),
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
        // A number stands for a name that the configuration does not give.
        "FILTER_CHAIN_NAME" => {
            |e, out| text(out, Some(e.conn.chain.as_str()).filter(|name| !name.starts_with('#')))
        }
        "HOSTNAME" => |_, out| text(out, Some(hostname())),
        _ => return None,
    })
}

/// Blanks would break columns; Envoy replaces them as well.
fn one_word(out: &mut Vec<u8>, text: &str) {
    out.extend(text.bytes().map(|b| if b.is_ascii_whitespace() { b'_' } else { b }));
}

/// Rounded down.
fn whole_millis(duration: Duration) -> u64 {
    duration.as_secs() * 1000 + u64::from(duration.subsec_millis())
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
