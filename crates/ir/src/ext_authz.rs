//! External authorization.

use std::collections::BTreeMap;
use std::time::Duration;

use stdx::Str;

use crate::{Fraction, StringMatcher};

/// `envoy.extensions.filters.http.ext_authz.v3.ExtAuthz`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ExtAuthz {
    pub service: AuthzService,
    /// Requests go on while nobody can be asked.
    pub failure_mode_allow: bool,
    /// They are told apart by `x-envoy-auth-failure-mode-allowed`.
    pub failure_mode_allow_header_add: bool,
    pub with_request_body: Option<AuthzBody>,
    /// Answered where nobody can be asked.
    pub status_on_error: u16,
    /// The share of requests that is asked about; the others go on.
    pub enabled: Fraction,
    pub include_peer_certificate: bool,
    /// Of the request, that the service is told of; empty: for HTTP the necessary ones, for gRPC all.
    pub allowed_headers: Vec<StringMatcher>,
    pub disallowed_headers: Vec<StringMatcher>,
    pub stat_prefix: Str,
}

/// Who decides.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AuthzService {
    /// `envoy.service.auth.v3.Authorization`.
    Grpc(GrpcAuthz),
    Http(HttpAuthz),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GrpcAuthz {
    pub cluster: Str,
    /// `None`: the cluster's name.
    pub authority: Option<Str>,
    /// `None` is Envoy's 200 ms.
    pub timeout: Option<Duration>,
    pub metadata: Vec<(Str, Str)>,
}

/// `envoy.extensions.filters.http.ext_authz.v3.HttpService`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpAuthz {
    /// Its authority is the one that is asked.
    pub uri: Str,
    pub cluster: Str,
    pub timeout: Duration,
    /// Before the path of the request.
    pub path_prefix: Str,
    /// In its place.
    pub path_override: Option<Str>,
    /// For the question. Name in lower case, value.
    pub headers_to_add: Vec<(Str, Str)>,
    /// Of an answer that allows: for the upstream, in place of what the request has.
    pub allowed_upstream_headers: Vec<StringMatcher>,
    /// … beside what it has.
    pub allowed_upstream_headers_to_append: Vec<StringMatcher>,
    /// Of an answer that denies, for the client; empty: all but a few.
    pub allowed_client_headers: Vec<StringMatcher>,
    /// Of an answer that allows, for the client.
    pub allowed_client_headers_on_success: Vec<StringMatcher>,
    /// Of an answer, that go into dynamic metadata.
    pub metadata_from_headers: Vec<StringMatcher>,
}

/// How much of a request's body the service gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuthzBody {
    /// At least 1. A longer body is answered 413, unless a part will do.
    pub max_bytes: u32,
    pub allow_partial: bool,
    pub pack_as_bytes: bool,
}

/// `envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ExtAuthzOverride {
    Disabled,
    Check {
        context_extensions: BTreeMap<Str, Str>,
        disable_request_body_buffering: bool,
        with_request_body: Option<AuthzBody>,
    },
}
