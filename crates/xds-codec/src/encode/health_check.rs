//! Health checks.

use ir::HealthCheck;
use ir::health_check::{CheckMethod, HealthChecker, HttpCheck};

use super::{headers, matcher, wire};
use crate::pb::core::health_check::{self as nested, payload};
use crate::pb::core::{self, RequestMethod};
use crate::pb::envoy_type::{CodecClientType, Int64Range};
use crate::pb::google;

pub(super) fn health_check(it: &HealthCheck) -> core::HealthCheck {
    let duration = wire::optional_duration;
    let criteria = it.transport_criteria.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    core::HealthCheck {
        timeout: Some(wire::duration(it.timeout)),
        interval: Some(wire::duration(it.interval)),
        initial_jitter: duration(it.initial_jitter),
        interval_jitter: duration(it.interval_jitter),
        interval_jitter_percent: it.interval_jitter_percent,
        unhealthy_threshold: Some(wire::number(it.unhealthy_threshold)),
        healthy_threshold: Some(wire::number(it.healthy_threshold)),
        alt_port: wire::optional_number(it.alt_port.map(u32::from)),
        reuse_connection: (!it.reuse_connection).then(|| wire::boolean(false)).flatten(),
        no_traffic_interval: duration(it.no_traffic_interval),
        no_traffic_healthy_interval: duration(it.no_traffic_healthy_interval),
        unhealthy_interval: duration(it.unhealthy_interval),
        unhealthy_edge_interval: duration(it.unhealthy_edge_interval),
        healthy_edge_interval: duration(it.healthy_edge_interval),
        tls_options: (!it.alpn.is_empty())
            .then(|| nested::TlsOptions { alpn_protocols: wire::texts(&it.alpn) }),
        transport_socket_match_criteria: (!it.transport_criteria.is_empty())
            .then(|| wire::text_struct(criteria)),
        health_checker: Some(checker(&it.checker)),
        ..Default::default()
    }
}

fn checker(it: &HealthChecker) -> nested::HealthChecker {
    match it {
        HealthChecker::Http(it) => nested::HealthChecker::HttpHealthCheck(http(it)),
        HealthChecker::Tcp(it) => nested::HealthChecker::TcpHealthCheck(nested::TcpHealthCheck {
            send: (!it.send.is_empty()).then(|| payload(&it.send)),
            receive: it.receive.iter().map(|it| payload(it)).collect(),
            proxy_protocol_config: None,
        }),
        HealthChecker::Grpc(it) => nested::HealthChecker::GrpcHealthCheck(nested::GrpcHealthCheck {
            service_name: it.service_name.to_string(),
            authority: it.authority.to_string(),
            initial_metadata: it.initial_metadata.iter().map(headers::header_value).collect(),
        }),
    }
}

fn http(it: &HttpCheck) -> nested::HttpHealthCheck {
    let codec = if it.http2 { CodecClientType::Http2 } else { CodecClientType::Http1 };
    nested::HttpHealthCheck {
        host: it.host.to_string(),
        path: it.path.to_string(),
        send: None,
        receive: it.receive.iter().map(|it| payload(it)).collect(),
        response_buffer_size: it.response_buffer_size.map(|value| google::UInt64Value { value }),
        request_headers_to_add: it.headers.iter().map(headers::header_value).collect(),
        request_headers_to_remove: wire::texts(&it.remove_headers),
        expected_statuses: statuses(&it.expected_statuses),
        retriable_statuses: statuses(&it.retriable_statuses),
        codec_client_type: codec.into(),
        service_name_matcher: it.service_name.as_ref().map(matcher::text),
        method: check_method(it.method).into(),
    }
}

fn check_method(it: CheckMethod) -> RequestMethod {
    match it {
        CheckMethod::Get => RequestMethod::MethodUnspecified,
        CheckMethod::Head => RequestMethod::Head,
        CheckMethod::Post => RequestMethod::Post,
        CheckMethod::Put => RequestMethod::Put,
        CheckMethod::Delete => RequestMethod::Delete,
        CheckMethod::Options => RequestMethod::Options,
        CheckMethod::Trace => RequestMethod::Trace,
        CheckMethod::Patch => RequestMethod::Patch,
    }
}

fn statuses(all: &[(u16, u16)]) -> Vec<Int64Range> {
    all.iter().map(|(start, end)| Int64Range { start: (*start).into(), end: (*end).into() }).collect()
}

/// As hexadecimal digits, which every version of Envoy reads.
fn payload(bytes: &[u8]) -> nested::Payload {
    let text = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    nested::Payload { payload: Some(payload::Payload::Text(text)) }
}
