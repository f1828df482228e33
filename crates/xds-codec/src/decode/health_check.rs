//! Health checks.

use std::time::Duration;

use ir::HealthCheck;
use ir::health_check::{CheckMethod, GrpcCheck, HealthChecker, HttpCheck, TcpCheck};

use super::at::At;
use super::strict::{harmless, refuse};
use super::{headers, matcher, metadata, wire};
use crate::pb::core::health_check::{self as nested, payload};
use crate::pb::core::{self, RequestMethod};
use crate::pb::envoy_type::{CodecClientType, Int64Range};

pub(super) fn health_checks(at: At<'_>, all: Vec<core::HealthCheck>) -> Vec<HealthCheck> {
    let one = |(index, it)| health_check(at.index("health_checks", index), it);
    all.into_iter().enumerate().filter_map(one).collect()
}

fn health_check(at: At<'_>, it: core::HealthCheck) -> Option<HealthCheck> {
    let core::HealthCheck {
        timeout,
        interval,
        initial_jitter,
        interval_jitter,
        interval_jitter_percent,
        unhealthy_threshold,
        healthy_threshold,
        alt_port,
        reuse_connection,
        no_traffic_interval,
        no_traffic_healthy_interval,
        unhealthy_interval,
        unhealthy_edge_interval,
        healthy_edge_interval,
        event_log_path,
        event_logger,
        event_service,
        always_log_health_check_failures,
        always_log_health_check_success,
        tls_options,
        transport_socket_match_criteria,
        health_checker,
    } = it;
    refuse!(at; event_log_path, event_logger, event_service);
    // How much an event log has, and there is none.
    harmless!(NoSuchMechanism; always_log_health_check_failures, always_log_health_check_success);
    let duration = |name, it| wire::optional_duration(at.field(name), it);
    let required = |name, it| {
        let value = duration(name, it).unwrap_or_default();
        if value.is_zero() {
            at.field(name).refuse("is required and must not be zero");
        }
        value.max(Duration::from_millis(1))
    };
    let count = |name, it| {
        let value = wire::optional_number(it);
        if value.is_none_or(|value| value == 0) {
            at.field(name).refuse("is required and must not be 0");
        }
        value.unwrap_or(1)
    };
    Some(HealthCheck {
        timeout: required("timeout", timeout),
        interval: required("interval", interval),
        initial_jitter: duration("initial_jitter", initial_jitter),
        interval_jitter: duration("interval_jitter", interval_jitter),
        interval_jitter_percent,
        unhealthy_threshold: count("unhealthy_threshold", unhealthy_threshold),
        healthy_threshold: count("healthy_threshold", healthy_threshold),
        alt_port: wire::optional_number(alt_port).map(|it| wire::port(at.field("alt_port"), it)),
        reuse_connection: wire::flag(reuse_connection, true),
        no_traffic_interval: duration("no_traffic_interval", no_traffic_interval),
        no_traffic_healthy_interval: duration("no_traffic_healthy_interval", no_traffic_healthy_interval),
        unhealthy_interval: duration("unhealthy_interval", unhealthy_interval),
        unhealthy_edge_interval: duration("unhealthy_edge_interval", unhealthy_edge_interval),
        healthy_edge_interval: duration("healthy_edge_interval", healthy_edge_interval),
        alpn: wire::texts(tls_options.map(|it| it.alpn_protocols).unwrap_or_default()),
        transport_criteria: metadata::texts(
            at.field("transport_socket_match_criteria"),
            transport_socket_match_criteria.unwrap_or_default(),
        ),
        checker: checker(at, health_checker)?,
    })
}

fn checker(at: At<'_>, it: Option<nested::HealthChecker>) -> Option<HealthChecker> {
    match it {
        Some(nested::HealthChecker::HttpHealthCheck(it)) => {
            Some(HealthChecker::Http(http(at.field("http_health_check"), it)))
        }
        Some(nested::HealthChecker::TcpHealthCheck(it)) => {
            let at = at.field("tcp_health_check");
            let nested::TcpHealthCheck { send, receive, proxy_protocol_config } = it;
            refuse!(at; proxy_protocol_config);
            let send = send.map(|it| bytes(at.field("send"), it)).unwrap_or_default();
            Some(HealthChecker::Tcp(TcpCheck { send, receive: payloads(at, receive) }))
        }
        Some(nested::HealthChecker::GrpcHealthCheck(it)) => {
            let at = at.field("grpc_health_check");
            let nested::GrpcHealthCheck { service_name, authority, initial_metadata } = it;
            let initial_metadata = headers::additions(at, "initial_metadata", initial_metadata);
            let (service_name, authority) = (service_name.into(), authority.into());
            Some(HealthChecker::Grpc(GrpcCheck { service_name, authority, initial_metadata }))
        }
        Some(nested::HealthChecker::CustomHealthCheck(_)) => {
            at.unsupported("custom_health_check");
            None
        }
        None => {
            at.refuse("http_health_check, tcp_health_check or grpc_health_check is required");
            None
        }
    }
}

fn http(at: At<'_>, it: nested::HttpHealthCheck) -> HttpCheck {
    let nested::HttpHealthCheck {
        host,
        path,
        send,
        receive,
        response_buffer_size,
        request_headers_to_add,
        request_headers_to_remove,
        expected_statuses,
        retriable_statuses,
        codec_client_type,
        service_name_matcher,
        method,
    } = it;
    refuse!(at; send);
    let http2 = match wire::enumeration(at.field("codec_client_type"), codec_client_type) {
        CodecClientType::Http1 => false,
        CodecClientType::Http2 => true,
        CodecClientType::Http3 => {
            at.field("codec_client_type").refuse("HTTP3 is not supported");
            false
        }
    };
    HttpCheck {
        host: host.into(),
        path: wire::required(at.field("path"), path),
        method: check_method(at.field("method"), method),
        headers: headers::additions(at, "request_headers_to_add", request_headers_to_add),
        remove_headers: headers::removals(at, "request_headers_to_remove", request_headers_to_remove),
        expected_statuses: statuses(at, "expected_statuses", expected_statuses),
        retriable_statuses: statuses(at, "retriable_statuses", retriable_statuses),
        http2,
        receive: payloads(at, receive),
        response_buffer_size: response_buffer_size.map(|it| it.value),
        service_name: service_name_matcher.map(|it| matcher::text(at.field("service_name_matcher"), it)),
    }
}

fn check_method(at: At<'_>, it: i32) -> CheckMethod {
    match wire::enumeration(at, it) {
        RequestMethod::MethodUnspecified | RequestMethod::Get => CheckMethod::Get,
        RequestMethod::Head => CheckMethod::Head,
        RequestMethod::Post => CheckMethod::Post,
        RequestMethod::Put => CheckMethod::Put,
        RequestMethod::Delete => CheckMethod::Delete,
        RequestMethod::Options => CheckMethod::Options,
        RequestMethod::Trace => CheckMethod::Trace,
        RequestMethod::Patch => CheckMethod::Patch,
        RequestMethod::Connect => {
            at.refuse("CONNECT is not supported");
            CheckMethod::Get
        }
    }
}

fn statuses(at: At<'_>, name: &str, all: Vec<Int64Range>) -> Vec<(u16, u16)> {
    let mut found = Vec::with_capacity(all.len());
    for (index, Int64Range { start, end }) in all.into_iter().enumerate() {
        match (u16::try_from(start), u16::try_from(end)) {
            (Ok(start), Ok(end)) if (100..end).contains(&start) && end <= 600 => found.push((start, end)),
            _ => at.index(name, index).refuse("is not a range of statuses from 100 to 599"),
        }
    }
    found
}

fn payloads(at: At<'_>, all: Vec<nested::Payload>) -> Vec<Vec<u8>> {
    all.into_iter().enumerate().map(|(index, it)| bytes(at.index("receive", index), it)).collect()
}

/// `text` is written in hexadecimal digits.
fn bytes(at: At<'_>, it: nested::Payload) -> Vec<u8> {
    let found = match it.payload {
        Some(payload::Payload::Text(text)) => hex(&text),
        Some(payload::Payload::Binary(bytes)) => Some(bytes),
        None => None,
    };
    match found {
        Some(bytes) if !bytes.is_empty() => bytes,
        _ => {
            at.refuse("must have hexadecimal text, or bytes");
            Vec::new()
        }
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some((digit(pair[0])? * 16 + digit(*pair.get(1)?)?) as u8)).collect()
}
