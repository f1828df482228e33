//! Which other origins a browser may call a service from.

use ir::{StringMatch, StringMatcher};
use istio_api::StringMatch as Written;
use istio_api::networking::CorsPolicy;
use istio_api::networking::cors::UnmatchedPreflights;
use stdx::Str;

pub fn policy(written: &CorsPolicy) -> ir::CorsPolicy {
    let deprecated = written.allow_origin.iter().map(|origin| StringMatcher::exact(origin.clone()));
    let origins = written.allow_origins.iter().map(|origin| StringMatcher::new(pattern(origin)));
    let allow_origins = match written.allow_origins.is_empty() {
        true => deprecated.collect(),
        false => origins.collect(),
    };
    ir::CorsPolicy {
        allow_origins,
        allow_methods: joined(&written.allow_methods),
        allow_headers: joined(&written.allow_headers),
        expose_headers: joined(&written.expose_headers),
        max_age: written.max_age.map(|age| age.as_secs().to_string().into()),
        allow_credentials: written.allow_credentials,
        forward_not_matching_preflights: Some(
            written.unmatched_preflights != Some(UnmatchedPreflights::Ignore),
        ),
        ..ir::CorsPolicy::default()
    }
}

fn pattern(written: &Written) -> StringMatch {
    match written {
        Written::Exact(text) => StringMatch::Exact(text.clone()),
        Written::Prefix(text) => StringMatch::Prefix(text.clone()),
        Written::Regex(text) => StringMatch::Regex(text.clone()),
    }
}

/// As a header has it; `None`: the header is left out.
fn joined(list: &[Str]) -> Option<Str> {
    let text = list.iter().map(Str::as_str).collect::<Vec<_>>().join(",");
    (!text.is_empty()).then(|| text.into())
}
