//! What becomes of the proxy's own answers.

use ir::local_reply::{LocalReplyConfig, ReplyMapper};

use super::{access_log, headers, respond, wire};
use crate::pb::hcm as pb;

pub(super) fn config(it: &LocalReplyConfig) -> pb::LocalReplyConfig {
    pb::LocalReplyConfig {
        mappers: it.mappers.iter().map(mapper).collect(),
        body_format: it.format.as_ref().map(respond::body_format),
    }
}

fn mapper(it: &ReplyMapper) -> pb::ResponseMapper {
    pb::ResponseMapper {
        filter: Some(access_log::filter(&it.filter)),
        status_code: it.status.map(|status| wire::number(status.into())),
        body: it.body.as_ref().map(respond::body),
        body_format_override: it.format.as_ref().map(respond::body_format),
        headers_to_add: it.headers.iter().map(headers::header_value).collect(),
    }
}
