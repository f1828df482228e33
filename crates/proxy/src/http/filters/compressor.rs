//! Compressing responses.

use std::io::Write as _;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as Task, Poll, ready};

use bytes::Bytes;
use engine::Problem;
use engine::compressor::{Response, Rules, Wish, vary, wish};
use flate2::write::GzEncoder;
use ir::compressor::CompressorOverride;
use stdx::Str;
use upstream::{Body, BodyError, BodyKind, Frame, ResponseHead, Trailers};

use crate::http::body::{BoxBody, Progress};
use crate::http::context::Context;
use crate::telemetry::CompressorStats;

/// A compiled [`ir::Compressor`].
pub struct Compression {
    rules: Rules,
    /// `http.<prefix>.compressor.<library>.gzip`
    scope: Str,
}

impl Compression {
    /// # Errors
    /// An expression that is not RE2's.
    pub fn compile(config: &ir::Compressor, prefix: &str) -> Result<Self, Problem> {
        let scope = format!("http.{prefix}.compressor.{}.gzip", config.library).into();
        Ok(Compression { rules: Rules::compile(config)?, scope })
    }
}

/// What is known of a response that may be compressed.
pub struct Asked {
    /// `None`: the client says nothing of it.
    wish: Option<Wish>,
    /// It will be, at this level.
    begun: Option<(u32, Arc<CompressorStats>)>,
}

/// Remembers what the client takes, and maybe hides it from the upstream.
pub fn decode(ctx: &mut Context, filter: &Compression) {
    let config = &filter.rules.config;
    let of_route = ctx.overrides().find_map(|it| it.config.compressor);
    // Requests are never compressed, and Envoy counts that.
    ctx.conn.worker.stats.compressor(&filter.scope).request_not_compressed.inc();
    let remove = match of_route {
        Some(CompressorOverride::Disabled) => return,
        Some(CompressorOverride::Enabled { remove_accept_encoding_header }) => {
            remove_accept_encoding_header.unwrap_or(config.remove_accept_encoding_header)
        }
        None if !config.enabled => return,
        None => config.remove_accept_encoding_header,
    };
    let wish = ctx.head.joined("accept-encoding").map(|value| wish(&value));
    if remove {
        ctx.head.remove("accept-encoding");
    }
    ctx.filter_state().gzip = Some(Asked { wish, begun: None });
}

/// Decides, and says so. `empty`: there is no body.
pub fn encode(ctx: &mut Context, filter: &Compression, head: &mut ResponseHead, empty: bool) {
    let stats = ctx.conn.worker.stats.compressor(&filter.scope);
    let Some(asked) = ctx.filters.as_mut().and_then(|state| state.gzip.as_mut()) else {
        return stats.not_compressed.inc();
    };
    let rules = &filter.rules;
    let it = Response {
        status: head.status(),
        content_length: head.content_length(),
        content_type: head.get("content-type"),
        content_encoding: head.get("content-encoding"),
        cache_control: head.get("cache-control"),
        etag: head.get("etag"),
    };
    let long = rules.is_long_enough(&it);
    if !long {
        stats.too_small.inc();
    }
    if long && rules.may_be_changed(&it) && rules.is_kept_for_etag(&it) {
        stats.etag.inc();
    }
    let wanted = long && !empty && is_wanted(asked.wish, rules.is_of_type(&it), &stats);
    if !rules.compressible(&it) || head.status() == 101 {
        return stats.not_compressed.inc();
    }
    let strong = it.etag.filter(|etag| !etag.starts_with(b"W/")).map(<[u8]>::to_vec);
    if wanted {
        stats.compressed.inc();
        asked.begun = Some((rules.config.level.unwrap_or(6), stats));
        head.remove("content-length");
        head.set("content-encoding", "gzip");
        // What a strong tag stands for is another sequence of bytes.
        match strong {
            Some(tag) if rules.config.weaken_etag => head.set("etag", [b"W/", tag.as_slice()].concat()),
            Some(_) => {
                head.remove("etag");
            }
            None => {}
        }
    } else {
        stats.not_compressed.inc();
    }
    if let Some(vary) = vary(head.joined("vary").as_deref()) {
        head.set("vary", vary);
    }
}

/// Whether the client takes it, which is counted; of what is not `of_type` there is plain text only.
fn is_wanted(wish: Option<Wish>, of_type: bool, stats: &CompressorStats) -> bool {
    match wish {
        Some(wish) if wish.takes_gzip() && !of_type => stats.not_valid.inc(),
        None => stats.no_accept_header.inc(),
        Some(Wish::Gzip) => stats.used.inc(),
        Some(Wish::Any) => stats.wildcard.inc(),
        Some(Wish::Identity) => stats.identity.inc(),
        Some(Wish::Other) => stats.not_valid.inc(),
    }
    wish.is_some_and(Wish::takes_gzip)
}

/// The body as it was announced.
pub fn encode_body(ctx: &Context, body: BoxBody) -> BoxBody {
    match ctx.filters.as_ref().and_then(|state| state.gzip.as_ref()?.begun.as_ref()) {
        Some((level, stats)) => Box::new(Gzip {
            source: body,
            encoder: Some(GzEncoder::new(Vec::new(), flate2::Compression::new(*level))),
            trailers: None,
            progress: ctx.progress.clone(),
            stats: stats.clone(),
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
    stats: Arc<CompressorStats>,
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
        self.stats.plain_bytes.add(taken as u64);
        self.stats.compressed_bytes.add(given as u64);
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
