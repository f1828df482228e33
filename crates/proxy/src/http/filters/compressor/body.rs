//! A body that is compressed while it moves.

use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use ir::compressor::Codec;
use upstream::{Body, BodyError, BodyKind, Frame, Trailers};

use super::encoder::Encoder;
use crate::http::body::{BoxBody, Progress};
use crate::telemetry::CompressionStats;

/// A compressed body. Every frame is flushed: who streams is not held up.
pub struct Compressed {
    source: BoxBody,
    encoder: Encoder,
    trailers: Option<Trailers>,
    /// Of a response: what the client gets counts, not what the upstream sent.
    progress: Option<Rc<Progress>>,
    stats: Arc<CompressionStats>,
}

impl Compressed {
    pub fn new(source: BoxBody, codec: Codec, stats: Arc<CompressionStats>) -> Self {
        Compressed { source, encoder: Encoder::Waiting(codec), trailers: None, progress: None, stats }
    }

    /// Corrects how many bytes a client was sent.
    pub fn of_response(self, progress: Rc<Progress>) -> Self {
        Compressed { progress: Some(progress), ..self }
    }

    /// The rest, counted.
    fn finish(&mut self) -> Result<Bytes, BodyError> {
        let rest = self.encoder.finish().map_err(|_| BodyError::Incomplete)?;
        self.count(0, rest.len());
        Ok(rest.into())
    }

    fn count(&self, taken: usize, given: usize) {
        self.stats.plain_bytes.add(taken as u64);
        self.stats.compressed_bytes.add(given as u64);
        if let Some(progress) = &self.progress {
            let bytes = &progress.response_bytes;
            bytes.set(bytes.get().saturating_sub(taken as u64) + given as u64);
        }
    }
}

impl Body for Compressed {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, BodyError>> {
        loop {
            if self.encoder.is_ended() {
                return Poll::Ready(Ok(self.trailers.take().map(Frame::Trailers)));
            }
            match ready!(self.source.poll_frame(cx))? {
                Some(Frame::Data(bytes)) => {
                    let out = self.encoder.write(&bytes).map_err(|_| BodyError::Incomplete)?;
                    // It was copied: more may come.
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
        self.encoder.is_ended() && self.trailers.is_none()
    }
}
