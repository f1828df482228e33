//! Bodies as streams of frames, the same for HTTP/1 and HTTP/2.

use std::task::{Context, Poll};

use bytes::Bytes;

use crate::{BodyError, BodyKind};

/// A piece of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Never empty.
    Data(Bytes),
    /// After all data; nothing comes after it.
    Trailers(Fields),
}

/// Something that gives a body piece by piece. Whoever asks for a piece has room for it, so
/// nothing is produced ahead of its taker.
pub trait Body {
    /// The next piece; `None` is the end. Not called again after the end or an error.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, BodyError>>;

    /// The taker is done with that many bytes of data: an HTTP/2 body opens its window by them.
    fn release(&mut self, bytes: usize) {
        let _ = bytes;
    }

    /// How long it is, as far as known: `None`, `Length`, or `Chunked` for unknown.
    fn kind(&self) -> BodyKind;

    /// The end was reached: another poll would give `None`. Where that is not known yet, `false`.
    fn is_end(&self) -> bool {
        false
    }
}

impl<B: Body + ?Sized> Body for &mut B {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, BodyError>> {
        (**self).poll_frame(cx)
    }

    fn release(&mut self, bytes: usize) {
        (**self).release(bytes);
    }

    fn kind(&self) -> BodyKind {
        (**self).kind()
    }

    fn is_end(&self) -> bool {
        (**self).is_end()
    }
}

impl<B: Body + ?Sized> Body for Box<B> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, BodyError>> {
        (**self).poll_frame(cx)
    }

    fn release(&mut self, bytes: usize) {
        (**self).release(bytes);
    }

    fn kind(&self) -> BodyKind {
        (**self).kind()
    }

    fn is_end(&self) -> bool {
        (**self).is_end()
    }
}

/// No body.
#[derive(Clone, Copy, Debug, Default)]
pub struct Empty;

impl Body for Empty {
    fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Frame>, BodyError>> {
        Poll::Ready(Ok(None))
    }

    fn kind(&self) -> BodyKind {
        BodyKind::None
    }

    fn is_end(&self) -> bool {
        true
    }
}

/// A body that is there whole.
#[derive(Clone, Debug, Default)]
pub struct Full(Bytes);

impl Full {
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Full(bytes.into())
    }
}

impl Body for Full {
    fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Frame>, BodyError>> {
        let bytes = std::mem::take(&mut self.0);
        Poll::Ready(Ok((!bytes.is_empty()).then_some(Frame::Data(bytes))))
    }

    fn kind(&self) -> BodyKind {
        match self.0.len() {
            0 => BodyKind::None,
            len => BodyKind::Length(len as u64),
        }
    }

    fn is_end(&self) -> bool {
        self.0.is_empty()
    }
}

/// A few fields that own their bytes: trailers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<(Bytes, Bytes)>);

impl Fields {
    /// Adds a field. The caller has checked that name and value are valid.
    pub fn push(&mut self, name: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.0.push((name.into(), value.into()));
    }

    /// In the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(name, value)| (&name[..], &value[..]))
    }

    /// The first value of a field, whatever the case of its name.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
