//! CorsPolicy of a VirtualService:
//! <https://istio.io/latest/docs/reference/config/networking/virtual-service/#CorsPolicy>.

use std::time::Duration;

use model::Str;

use super::http_match::STRING_MATCH;
use crate::schema::macros::{choice, message};
use crate::schema::{boolean, choice as one_of, duration, list, object, texts};
use crate::units::StringMatch;

message! {
    /// Which other origins a browser may call the service from.
    pub struct CorsPolicy {
        /// Deprecated: see allowOrigins.
        "allowOrigin" allow_origin: Vec<Str> = texts(),
        "allowOrigins" allow_origins: Vec<StringMatch> = list(&object(&STRING_MATCH)),
        "allowMethods" allow_methods: Vec<Str> = texts(),
        "allowHeaders" allow_headers: Vec<Str> = texts(),
        "exposeHeaders" expose_headers: Vec<Str> = texts(),
        /// How long the answer to a preflight may be kept, in whole seconds.
        "maxAge" max_age: Option<Duration> = duration(),
        "allowCredentials" allow_credentials: Option<bool> = boolean().nullable(),
        "unmatchedPreflights" unmatched_preflights: Option<UnmatchedPreflights> =
            one_of(UnmatchedPreflights::NAMES),
    }
}

choice! {
    /// What becomes of a preflight of an origin that is not allowed.
    pub enum UnmatchedPreflights {
        /// As FORWARD.
        "UNSPECIFIED" Unspecified,
        "FORWARD" Forward,
        "IGNORE" Ignore,
    }
}
