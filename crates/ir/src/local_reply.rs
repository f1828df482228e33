//! What becomes of the proxy's own answers.

use crate::access_log::AccessLogFilter;
use crate::body::BodySource;
use crate::route::{BodyFormat, HeaderValue};

/// `envoy.extensions.filters.network.http_connection_manager.v3.LocalReplyConfig`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LocalReplyConfig {
    /// The first whose filter lets an answer pass changes it.
    pub mappers: Vec<ReplyMapper>,
    /// Of all answers whose mapper has none of its own. `None`: the body as it is.
    pub format: Option<BodyFormat>,
}

/// `envoy.extensions.filters.network.http_connection_manager.v3.ResponseMapper`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReplyMapper {
    pub filter: AccessLogFilter,
    pub status: Option<u16>,
    pub body: Option<BodySource>,
    /// `body_format_override`.
    pub format: Option<BodyFormat>,
    pub headers: Vec<HeaderValue>,
}
