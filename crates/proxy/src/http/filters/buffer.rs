//! Waiting for whole requests.

use ir::buffer::BufferOverride;

use crate::http::body::{RequestBody, Whole};
use crate::http::context::Context;
use crate::http::respond::{LocalReply, Stop};

/// Goes on once the request is wholly here. Its length is known then, and the upstream is told.
pub async fn whole(ctx: &mut Context, body: &RequestBody, of_filter: u32) -> Result<(), Stop> {
    let limit = match ctx.overrides().find_map(|it| it.config.buffer) {
        Some(BufferOverride::Disabled) => return Ok(()),
        Some(BufferOverride::Limit(bytes)) => bytes,
        None => of_filter,
    };
    if body.ended() {
        return Ok(());
    }
    if let Some(expectation) = ctx.expectation.take() {
        // The body is wanted now, whatever the upstream would say.
        drop(expectation);
    }
    match body.collect(limit as usize).await {
        Whole::Yes => Ok(()),
        Whole::TooLong => {
            let reply = LocalReply::new(413, None, "request_payload_too_large").body("Payload Too Large");
            Err(Stop::Local(Box::new(reply)))
        }
        Whole::Broken => {
            Err(Stop::Refused { status: 400, details: "request_body_failed", body: "Bad Request" })
        }
    }
}
