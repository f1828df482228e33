//! What becomes of the proxy's own answers.

use ir::access_log::AccessLogFilter;
use ir::local_reply::{LocalReplyConfig, ReplyMapper};

use super::at::At;
use super::{access_log, headers, respond};
use crate::pb::hcm as pb;

pub(super) fn config(at: At<'_>, it: pb::LocalReplyConfig) -> LocalReplyConfig {
    let pb::LocalReplyConfig { mappers, body_format } = it;
    let mappers =
        mappers.into_iter().enumerate().map(|(index, it)| mapper(at.index("mappers", index), it)).collect();
    LocalReplyConfig {
        mappers,
        format: body_format.map(|it| respond::body_format(at.field("body_format"), it)),
    }
}

fn mapper(at: At<'_>, it: pb::ResponseMapper) -> ReplyMapper {
    let pb::ResponseMapper { filter, status_code, body, body_format_override, headers_to_add } = it;
    let filter = match filter {
        Some(it) => access_log::filter(at.field("filter"), it),
        None => {
            at.field("filter").refuse("is required");
            None
        }
    };
    let status = status_code.and_then(|it| match u16::try_from(it.value) {
        Ok(status @ 200..600) => Some(status),
        _ => {
            at.field("status_code").refuse("is not from 200 to 599");
            None
        }
    });
    let format = body_format_override.map(|it| respond::body_format(at.field("body_format_override"), it));
    ReplyMapper {
        // One that is not known matches nothing, and is refused or reported besides.
        filter: filter.unwrap_or(AccessLogFilter::Or(Vec::new())),
        status,
        body: body.map(|it| respond::body(at.field("body"), it)),
        format,
        headers: headers::additions(at, "headers_to_add", headers_to_add),
    }
}
