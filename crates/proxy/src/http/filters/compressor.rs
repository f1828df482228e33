//! Compressing responses.

use std::io::Write as _;
use std::rc::Rc;
use std::task::{Context as Task, Poll, ready};

use bytes::Bytes;
use engine::compressor::{Response, Rules, accepts_gzip, vary};
use flate2::{Compression, write::GzEncoder};
use ir::compressor::CompressorOverride;
use upstream::{Body, BodyError, BodyKind, Frame, ResponseHead, Trailers};

use crate::http::body::{BoxBody, Progress};
use crate::http::context::Context;

/// Remembers what the client takes, and maybe hides it from the upstream.
pub fn decode(ctx: &mut Context, rules: &Rules) {
    let of_route = ctx.overrides().find_map(|it| it.config.compressor);
    let remove = match of_route {
        Some(CompressorOverride::Disabled) => return,
        Some(CompressorOverride::Enabled { remove_accept_encoding_header }) => {
            remove_accept_encoding_header.unwrap_or(rules.config.remove_accept_encoding_header)
        }
        None if !rules.config.enabled => return,
        None => rules.config.remove_accept_encoding_header,
    };
    let accepted = ctx.head.joined("accept-encoding").is_some_and(|value| accepts_gzip(&value));
    if remove {
        ctx.head.remove("accept-encoding");
    }
    ctx.filter_state().gzip = Some(Wish { accepted, level: None });
}

/// What is known of a response that may be compressed.
#[derive(Clone, Copy)]
pub struct Wish {
    /// The client takes it.
    accepted: bool,
    /// It will be, at this level.
    level: Option<u32>,
}

/// Decides, and says so. `empty`: there is no body.
pub fn encode(ctx: &mut Context, rules: &Rules, head: &mut ResponseHead, empty: bool) {
    let Some(wish) = ctx.filters.as_mut().and_then(|state| state.gzip.as_mut()) else { return };
    let it = Response {
        status: head.status(),
        content_length: head.content_length(),
        content_type: head.get("content-type"),
        content_encoding: head.get("content-encoding"),
        cache_control: head.get("cache-control"),
        etag: head.get("etag"),
    };
    if !rules.compressible(&it) || head.status() == 101 {
        return;
    }
    let weak = it.etag.is_none_or(|etag| etag.starts_with(b"W/"));
    if wish.accepted && !empty {
        wish.level = Some(rules.config.level.unwrap_or(6));
        head.remove("content-length");
        head.set("content-encoding", "gzip");
        if !weak {
            // What a strong tag stands for is another sequence of bytes.
            head.remove("etag");
        }
    }
    if let Some(vary) = vary(head.joined("vary").as_deref()) {
        head.set("vary", vary);
    }
}

/// The body as it was announced.
pub fn encode_body(ctx: &Context, body: BoxBody) -> BoxBody {
    match ctx.filters.as_ref().and_then(|state| state.gzip?.level) {
        Some(level) => Box::new(Gzip {
            source: body,
            encoder: Some(GzEncoder::new(Vec::new(), Compression::new(level))),
            trailers: None,
            progress: ctx.progress.clone(),
        }),
        None => body,
    }
}

/// A compressed body. Every frame is flushed: who streams is not held up.
struct Gzip {
    source: BoxBody,
    /// `None` once the end is written.
    encoder: Option<GzEncoder<Vec<u8>>>,
    trailers: Option<Trailers>,
    progress: Rc<Progress>,
}

impl Gzip {
    /// The rest, counted.
    fn finish(&mut self) -> Result<Bytes, BodyError> {
        let encoder = self.encoder.take().ok_or(BodyError::Incomplete)?;
        let rest = encoder.finish().map_err(|_| BodyError::Incomplete)?;
        self.count(0, rest.len());
        Ok(rest.into())
    }

    /// What the client gets counts, not what the upstream sent.
    fn count(&self, taken: usize, given: usize) {
        let bytes = &self.progress.response_bytes;
        bytes.set(bytes.get().saturating_sub(taken as u64) + given as u64);
    }
}

impl Body for Gzip {
    fn poll_frame(&mut self, cx: &mut Task<'_>) -> Poll<Result<Option<Frame>, BodyError>> {
        loop {
            let Some(encoder) = &mut self.encoder else {
                return Poll::Ready(Ok(self.trailers.take().map(Frame::Trailers)));
            };
            match ready!(self.source.poll_frame(cx))? {
                Some(Frame::Data(bytes)) => {
                    let written = encoder.write_all(&bytes).and_then(|()| encoder.flush());
                    written.map_err(|_| BodyError::Incomplete)?;
                    let out = std::mem::take(encoder.get_mut());
                    // It was copied: the upstream may send more.
                    self.source.release(bytes.len());
                    self.count(bytes.len(), out.len());
                    if !out.is_empty() {
                        return Poll::Ready(Ok(Some(Frame::Data(out.into()))));
                    }
                }
                Some(Frame::Trailers(trailers)) => {
                    self.trailers = Some(trailers);
                    return Poll::Ready(self.finish().map(|rest| Some(Frame::Data(rest))));
                }
                None => return Poll::Ready(self.finish().map(|rest| Some(Frame::Data(rest)))),
            }
        }
    }

    fn kind(&self) -> BodyKind {
        BodyKind::Chunked
    }

    fn is_end(&self) -> bool {
        self.encoder.is_none() && self.trailers.is_none()
    }
}
