//! External authorization.

use std::time::Duration;

use ir::ext_authz::{AuthzBody, AuthzService, ExtAuthzOverride, GrpcAuthz, HttpAuthz};
use ir::{ExtAuthz, Fraction, Str, StringMatcher};

use super::at::At;
use super::strict::{harmless, refuse, refuse_true};
use super::{headers, matcher, wire};
use crate::pb::core::grpc_service::{EnvoyGrpc, TargetSpecifier};
use crate::pb::ext_authz::{self as pb, ext_authz::Services, ext_authz_per_route::Override};
use crate::pb::{core, envoy_type, matcher as pb_matcher};

pub(super) fn filter(at: At<'_>, it: pb::ExtAuthz) -> ExtAuthz {
    let pb::ExtAuthz {
        transport_api_version,
        failure_mode_allow,
        failure_mode_allow_header_add,
        with_request_body,
        clear_route_cache,
        status_on_error,
        validate_mutations,
        metadata_context_namespaces,
        typed_metadata_context_namespaces,
        route_metadata_context_namespaces,
        route_typed_metadata_context_namespaces,
        filter_enabled,
        filter_enabled_metadata,
        deny_at_disable,
        include_peer_certificate,
        stat_prefix,
        bootstrap_metadata_labels_key,
        allowed_headers,
        disallowed_headers,
        include_tls_session,
        charge_cluster_response_stats,
        encode_raw_headers,
        decoder_header_mutation_rules,
        enable_dynamic_metadata_ingestion,
        filter_metadata,
        emit_filter_state_stats,
        max_denied_response_body_bytes,
        enforce_response_header_limits,
        shadow_mode,
        emit_client_span,
        services,
    } = it;
    refuse!(at; clear_route_cache, validate_mutations, metadata_context_namespaces,
        typed_metadata_context_namespaces, route_metadata_context_namespaces,
        route_typed_metadata_context_namespaces, filter_enabled_metadata, deny_at_disable,
        bootstrap_metadata_labels_key, include_tls_session, encode_raw_headers, decoder_header_mutation_rules,
        max_denied_response_body_bytes, enforce_response_header_limits, shadow_mode);
    harmless!(Statistics; charge_cluster_response_stats, emit_filter_state_stats, emit_client_span);
    harmless!(Metadata; enable_dynamic_metadata_ingestion, filter_metadata);
    wire::api_version(at.field("transport_api_version"), transport_api_version);
    let service = match services {
        Some(Services::GrpcService(it)) => AuthzService::Grpc(grpc(at.field("grpc_service"), it)),
        Some(Services::HttpService(it)) => AuthzService::Http(http(at.field("http_service"), it)),
        None => {
            at.refuse("grpc_service or http_service is required");
            return placeholder();
        }
    };
    ExtAuthz {
        service,
        failure_mode_allow,
        failure_mode_allow_header_add,
        with_request_body: with_request_body.map(|it| body(at.field("with_request_body"), it)),
        status_on_error: error_status(at, status_on_error),
        enabled: filter_enabled
            .map_or(Fraction::ALL, |it| matcher::runtime_fraction(at.field("filter_enabled"), it)),
        include_peer_certificate,
        allowed_headers: texts(at.field("allowed_headers"), allowed_headers),
        disallowed_headers: texts(at.field("disallowed_headers"), disallowed_headers),
        stat_prefix: stat_prefix.into(),
    }
}

fn placeholder() -> ExtAuthz {
    let (cluster, authority, timeout, metadata) = Default::default();
    ExtAuthz {
        service: AuthzService::Grpc(GrpcAuthz { cluster, authority, timeout, metadata }),
        failure_mode_allow: false,
        failure_mode_allow_header_add: false,
        with_request_body: None,
        status_on_error: 403,
        enabled: Fraction::ALL,
        include_peer_certificate: false,
        allowed_headers: Vec::new(),
        disallowed_headers: Vec::new(),
        stat_prefix: Str::default(),
    }
}

fn error_status(at: At<'_>, it: Option<envoy_type::HttpStatus>) -> u16 {
    let Some(envoy_type::HttpStatus { code }) = it else { return 403 };
    match u16::try_from(code) {
        Ok(code @ 200..=599) => code,
        _ => {
            at.field("status_on_error.code").refuse(format!("{code} is not a status"));
            403
        }
    }
}

fn texts(at: At<'_>, it: Option<pb_matcher::ListStringMatcher>) -> Vec<StringMatcher> {
    let pb_matcher::ListStringMatcher { patterns } = it.unwrap_or_default();
    matcher::texts(&at, "patterns", patterns)
}

fn body(at: At<'_>, it: pb::BufferSettings) -> AuthzBody {
    let pb::BufferSettings { max_request_bytes: max_bytes, allow_partial_message, pack_as_bytes } = it;
    if max_bytes == 0 {
        at.field("max_request_bytes").refuse("must not be 0");
    }
    AuthzBody { max_bytes, allow_partial: allow_partial_message, pack_as_bytes }
}

fn grpc(at: At<'_>, it: core::GrpcService) -> GrpcAuthz {
    let core::GrpcService { timeout, initial_metadata, retry_policy, target_specifier } = it;
    refuse!(at; retry_policy);
    let Some(TargetSpecifier::EnvoyGrpc(it)) = target_specifier else {
        at.field("envoy_grpc").refuse("is required");
        let (cluster, authority, timeout, metadata) = Default::default();
        return GrpcAuthz { cluster, authority, timeout, metadata };
    };
    let EnvoyGrpc { cluster_name, authority, retry_policy, max_receive_message_length, skip_envoy_headers } =
        it;
    let envoy = at.field("envoy_grpc");
    {
        let at = envoy;
        refuse!(at; retry_policy);
    }
    harmless!(Bound; max_receive_message_length);
    // None are added.
    harmless!(NoSuchMechanism; skip_envoy_headers);
    GrpcAuthz {
        cluster: wire::required(envoy.field("cluster_name"), cluster_name),
        authority: wire::optional_text(authority),
        timeout: wire::optional_duration(at.field("timeout"), timeout),
        metadata: pairs(at, "initial_metadata", initial_metadata),
    }
}

fn pairs(at: At<'_>, name: &str, all: Vec<core::HeaderValue>) -> Vec<(Str, Str)> {
    let one = |(index, it)| {
        let at = at.index(name, index);
        let core::HeaderValue { key, value, raw_value } = it;
        refuse!(at; raw_value);
        (headers::header_name(at.field("key"), key), wire::literal(at.field("value"), value))
    };
    all.into_iter().enumerate().map(one).collect()
}

fn http(at: At<'_>, it: pb::HttpService) -> HttpAuthz {
    let pb::HttpService {
        server_uri,
        path_prefix,
        path_override,
        authorization_request,
        authorization_response,
        retry_policy,
    } = it;
    refuse!(at; retry_policy);
    let (uri, cluster, timeout) = http_uri(at.field("server_uri"), server_uri);
    let pb::AuthorizationRequest { allowed_headers, headers_to_add } =
        authorization_request.unwrap_or_default();
    let pb::AuthorizationResponse {
        allowed_upstream_headers,
        allowed_upstream_headers_to_append,
        allowed_client_headers,
        allowed_client_headers_on_success,
        dynamic_metadata_from_headers,
    } = authorization_response.unwrap_or_default();
    let of_request = at.field("authorization_request");
    if allowed_headers.is_some() {
        of_request
            .field("allowed_headers")
            .refuse("is deprecated, the filter's allowed_headers takes its place");
    }
    let at_response = at.field("authorization_response");
    let list = |name, it| texts(at_response.field(name), it);
    HttpAuthz {
        uri,
        cluster,
        timeout,
        path_prefix: path_prefix.into(),
        path_override: wire::optional_text(path_override),
        headers_to_add: pairs(of_request, "headers_to_add", headers_to_add),
        allowed_upstream_headers: list("allowed_upstream_headers", allowed_upstream_headers),
        allowed_upstream_headers_to_append: list(
            "allowed_upstream_headers_to_append",
            allowed_upstream_headers_to_append,
        ),
        allowed_client_headers: list("allowed_client_headers", allowed_client_headers),
        allowed_client_headers_on_success: list(
            "allowed_client_headers_on_success",
            allowed_client_headers_on_success,
        ),
        metadata_from_headers: list("dynamic_metadata_from_headers", dynamic_metadata_from_headers),
    }
}

/// URI, cluster and timeout of a service that is asked over HTTP.
pub(super) fn http_uri(at: At<'_>, it: Option<core::HttpUri>) -> (Str, Str, Duration) {
    let Some(core::HttpUri { uri, timeout, http_upstream_type }) = it else {
        at.refuse("is required");
        return Default::default();
    };
    let cluster = match http_upstream_type {
        Some(core::http_uri::HttpUpstreamType::Cluster(name)) => name,
        None => String::new(),
    };
    if timeout.is_none() {
        at.field("timeout").refuse("is required");
    }
    (
        wire::required(at.field("uri"), uri),
        wire::required(at.field("cluster"), cluster),
        wire::optional_duration(at.field("timeout"), timeout).unwrap_or_default(),
    )
}

pub(super) fn per_route(at: At<'_>, it: pb::ExtAuthzPerRoute) -> ExtAuthzOverride {
    let pb::CheckSettings {
        context_extensions,
        disable_request_body_buffering,
        with_request_body,
        emit_client_span,
        service_override,
    } = match it.r#override {
        Some(Override::Disabled(true)) => return ExtAuthzOverride::Disabled,
        Some(Override::CheckSettings(it)) => it,
        Some(Override::Disabled(false)) | None => {
            at.refuse("disabled: true or check_settings is required");
            return ExtAuthzOverride::Disabled;
        }
    };
    let at = at.field("check_settings");
    if service_override.is_some() {
        at.unsupported("service_override");
    }
    refuse_true!(at; emit_client_span);
    ExtAuthzOverride::Check {
        context_extensions: context_extensions.into_iter().map(|(k, v)| (k.into(), v.into())).collect(),
        disable_request_body_buffering,
        with_request_body: with_request_body.map(|it| body(at.field("with_request_body"), it)),
    }
}
