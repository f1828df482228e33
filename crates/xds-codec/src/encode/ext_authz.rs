//! External authorization.

use std::time::Duration;

use ir::ext_authz::{AuthzBody, AuthzService, ExtAuthzOverride, GrpcAuthz, HttpAuthz};
use ir::{ExtAuthz, Str, StringMatcher};

use super::{matcher, wire};
use crate::pb::core::grpc_service::{EnvoyGrpc, TargetSpecifier};
use crate::pb::ext_authz::{self as pb, ext_authz::Services, ext_authz_per_route::Override};
use crate::pb::{core, envoy_type, matcher as pb_matcher};

pub(super) fn filter(it: &ExtAuthz) -> pb::ExtAuthz {
    let services = match &it.service {
        AuthzService::Grpc(it) => Services::GrpcService(grpc(it)),
        AuthzService::Http(it) => Services::HttpService(http(it)),
    };
    pb::ExtAuthz {
        transport_api_version: core::ApiVersion::V3.into(),
        failure_mode_allow: it.failure_mode_allow,
        failure_mode_allow_header_add: it.failure_mode_allow_header_add,
        with_request_body: it.with_request_body.map(body),
        status_on_error: Some(envoy_type::HttpStatus { code: it.status_on_error.into() }),
        filter_enabled: Some(matcher::runtime_fraction(it.enabled)),
        include_peer_certificate: it.include_peer_certificate,
        allowed_headers: texts(&it.allowed_headers),
        disallowed_headers: texts(&it.disallowed_headers),
        stat_prefix: it.stat_prefix.to_string(),
        services: Some(services),
        ..Default::default()
    }
}

fn texts(all: &[StringMatcher]) -> Option<pb_matcher::ListStringMatcher> {
    let list = || pb_matcher::ListStringMatcher { patterns: matcher::texts(all) };
    (!all.is_empty()).then(list)
}

fn body(it: AuthzBody) -> pb::BufferSettings {
    pb::BufferSettings {
        max_request_bytes: it.max_bytes,
        allow_partial_message: it.allow_partial,
        pack_as_bytes: it.pack_as_bytes,
    }
}

fn pairs(all: &[(Str, Str)]) -> Vec<core::HeaderValue> {
    let one = |(key, value): &(Str, Str)| core::HeaderValue {
        key: key.to_string(),
        value: wire::literal(value),
        ..Default::default()
    };
    all.iter().map(one).collect()
}

fn grpc(it: &GrpcAuthz) -> core::GrpcService {
    core::GrpcService {
        timeout: wire::optional_duration(it.timeout),
        initial_metadata: pairs(&it.metadata),
        target_specifier: Some(TargetSpecifier::EnvoyGrpc(EnvoyGrpc {
            cluster_name: it.cluster.to_string(),
            authority: wire::optional_text(&it.authority),
            ..Default::default()
        })),
        ..Default::default()
    }
}

fn http(it: &HttpAuthz) -> pb::HttpService {
    pb::HttpService {
        server_uri: Some(http_uri(&it.uri, &it.cluster, it.timeout)),
        path_prefix: it.path_prefix.to_string(),
        path_override: wire::optional_text(&it.path_override),
        authorization_request: Some(pb::AuthorizationRequest {
            headers_to_add: pairs(&it.headers_to_add),
            ..Default::default()
        }),
        authorization_response: Some(pb::AuthorizationResponse {
            allowed_upstream_headers: texts(&it.allowed_upstream_headers),
            allowed_upstream_headers_to_append: texts(&it.allowed_upstream_headers_to_append),
            allowed_client_headers: texts(&it.allowed_client_headers),
            allowed_client_headers_on_success: texts(&it.allowed_client_headers_on_success),
            dynamic_metadata_from_headers: texts(&it.metadata_from_headers),
        }),
        ..Default::default()
    }
}

pub(super) fn http_uri(uri: &str, cluster: &str, timeout: Duration) -> core::HttpUri {
    core::HttpUri {
        uri: uri.to_owned(),
        timeout: Some(wire::duration(timeout)),
        http_upstream_type: Some(core::http_uri::HttpUpstreamType::Cluster(cluster.to_owned())),
    }
}

pub(super) fn per_route(it: &ExtAuthzOverride) -> pb::ExtAuthzPerRoute {
    let said = match it {
        ExtAuthzOverride::Disabled => Override::Disabled(true),
        ExtAuthzOverride::Check { context_extensions, disable_request_body_buffering, with_request_body } => {
            let extensions = context_extensions.iter().map(|(k, v)| (k.to_string(), v.to_string()));
            Override::CheckSettings(pb::CheckSettings {
                context_extensions: extensions.collect(),
                disable_request_body_buffering: *disable_request_body_buffering,
                with_request_body: with_request_body.map(body),
                ..Default::default()
            })
        }
    };
    pb::ExtAuthzPerRoute { r#override: Some(said) }
}
