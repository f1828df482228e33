//! Options of HTTP/2 connections.

use std::time::Duration;

use ir::http::{Http2Keepalive, Http2Options};
use proptest::option;
use proptest::prelude::*;

/// Any options that Envoy takes.
pub(super) fn options() -> impl Strategy<Value = Http2Options> {
    let window = || option::of(65_535u32..=0x7fff_ffff);
    let numbers = (option::of(any::<u32>()), option::of(1u32..=0x7fff_ffff), window(), window());
    (numbers, any::<bool>(), option::of(keepalive())).prop_map(|(numbers, allow_connect, keepalive)| {
        Http2Options {
            hpack_table_size: numbers.0,
            max_concurrent_streams: numbers.1,
            initial_stream_window_size: numbers.2,
            initial_connection_window_size: numbers.3,
            allow_connect,
            keepalive,
        }
    })
}

fn keepalive() -> impl Strategy<Value = Http2Keepalive> {
    let time = || (1u64..10_000_000).prop_map(Duration::from_millis);
    let intervals = prop_oneof![
        (time(), option::of(time())).prop_map(|(interval, idle)| (Some(interval), idle)),
        time().prop_map(|idle| (None, Some(idle))),
    ];
    (intervals, time(), option::of(0u32..=100)).prop_map(
        |((interval, idle_interval), timeout, jitter_percent)| Http2Keepalive {
            interval,
            timeout,
            jitter_percent,
            idle_interval,
        },
    )
}
