//! The reading half of a connection: a buffer while there are bytes, and where in a message we
//! are.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, ReadBuf};

use crate::chunked::{Decoder, Step};
use crate::parse::Patience;
use crate::pool::{self, LARGE, SMALL};
use crate::{BodyError, BodyKind, Frame, Limits, ReadError, Refusal};

/// What was read and not consumed, and the state of the body.
pub(crate) struct Reader {
    /// Without capacity it holds no memory.
    buffer: BytesMut,
    body: BodyState,
    /// The peer will send nothing more.
    pub(crate) eof: bool,
    /// Bytes read in this exchange.
    pub(crate) received: u64,
    /// Bytes that were there when it began.
    before: u64,
    /// Bytes of its heads.
    heads: u64,
    patience: Patience,
    /// It is the peer's turn to wait for us: nothing is likely to be there.
    pub(crate) quiet: bool,
}

/// What of a body is still to come.
enum BodyState {
    Done,
    Length(u64),
    Chunked(Decoder),
    UntilClose,
    /// It failed; the connection is of no more use.
    Broken,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Reader {
            buffer: BytesMut::new(),
            body: BodyState::Done,
            eof: false,
            received: 0,
            before: 0,
            heads: 0,
            patience: Patience::default(),
            quiet: false,
        }
    }

    /// Another exchange begins.
    pub(crate) fn begin(&mut self) {
        (self.received, self.before, self.heads) = (0, self.buffer.len() as u64, 0);
    }

    /// Bytes of this exchange that were consumed, and those of its heads.
    pub(crate) fn consumed(&self) -> (u64, u64) {
        ((self.before + self.received).saturating_sub(self.buffer.len() as u64), self.heads)
    }

    /// Reads more into the buffer; 0 is the end. While nothing arrives an empty buffer is given
    /// back.
    pub(crate) fn poll_fill<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if self.eof {
            return Poll::Ready(Ok(0));
        }
        if std::mem::take(&mut self.quiet) && self.buffer.capacity() == 0 {
            // Without a buffer, which would go back at once. Whoever has bytes is ready all the same.
            ready!(Pin::new(&mut *io).poll_read(cx, &mut ReadBuf::new(&mut [])))?;
        }
        let size = if self.expected() > SMALL as u64 { LARGE } else { SMALL };
        pool::make_room(&mut self.buffer, size);
        let result = poll_read(io, cx, &mut self.buffer);
        if let Poll::Ready(Ok(read)) = result {
            self.eof = read == 0;
            self.received += read as u64;
        }
        self.give_back();
        result
    }

    /// Gives an empty buffer back.
    pub(crate) fn give_back(&mut self) {
        if self.buffer.is_empty() {
            pool::give(std::mem::take(&mut self.buffer));
        }
    }

    /// Whether bytes are there that nobody consumed.
    pub(crate) fn has_bytes(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Waits for a byte to be there. `false`: the peer closed.
    pub(crate) fn poll_readable<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<bool>> {
        if self.buffer.is_empty() {
            ready!(self.poll_fill(io, cx))?;
        }
        Poll::Ready(Ok(!self.buffer.is_empty()))
    }

    /// Reads a head with `parse`, which gives it and its length. `None`: the peer closed before
    /// its first byte.
    pub(crate) fn poll_head<S: AsyncRead + Unpin, H>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
        limits: &Limits,
        mut parse: impl FnMut(&[u8]) -> Result<Option<(H, usize)>, Refusal>,
    ) -> Poll<Result<Option<H>, ReadError>> {
        loop {
            let too_long = self.buffer.len() > limits.max_head_bytes();
            if !self.buffer.is_empty()
                && (self.patience.worth_parsing(&self.buffer) || too_long)
                && let Some((head, len)) = parse(&self.buffer)?
            {
                pool::consume(&mut self.buffer, len);
                self.heads += len as u64;
                self.quiet = true;
                self.patience = Patience::default();
                self.give_back();
                return Poll::Ready(Ok(Some(head)));
            }
            if ready!(self.poll_fill(io, cx))? == 0 {
                return Poll::Ready(if self.buffer.is_empty() { Ok(None) } else { Err(ReadError::Closed) });
            }
        }
    }

    /// Says what follows the head that was read.
    pub(crate) fn expect(&mut self, kind: BodyKind) {
        self.body = match kind {
            BodyKind::None | BodyKind::Length(0) => BodyState::Done,
            BodyKind::Length(length) => BodyState::Length(length),
            BodyKind::Chunked => BodyState::Chunked(Decoder::new()),
            BodyKind::UntilClose => BodyState::UntilClose,
        };
    }

    /// The body was read to its end.
    pub(crate) fn body_done(&self) -> bool {
        matches!(self.body, BodyState::Done)
    }

    /// The next piece of the body.
    pub(crate) fn poll_frame<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
        limits: &Limits,
    ) -> Poll<Result<Option<Frame>, BodyError>> {
        let result = ready!(self.poll_frame_inner(io, cx, limits));
        if result.is_err() {
            self.body = BodyState::Broken;
        }
        self.give_back();
        Poll::Ready(result)
    }

    fn poll_frame_inner<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
        limits: &Limits,
    ) -> Poll<Result<Option<Frame>, BodyError>> {
        loop {
            match self.take_frame(limits)? {
                Step::Frame(frame) => return Poll::Ready(Ok(Some(frame))),
                Step::Done => {
                    self.body = BodyState::Done;
                    return Poll::Ready(Ok(None));
                }
                Step::NeedMore => {}
            }
            if ready!(self.poll_fill(io, cx))? == 0 {
                if matches!(self.body, BodyState::UntilClose) {
                    self.body = BodyState::Done;
                    return Poll::Ready(Ok(None));
                }
                return Poll::Ready(Err(BodyError::Incomplete));
            }
        }
    }

    /// The next piece of the body that is in the buffer.
    fn take_frame(&mut self, limits: &Limits) -> Result<Step, BodyError> {
        let left = match &mut self.body {
            BodyState::Done => return Ok(Step::Done),
            BodyState::Broken => return Err(BodyError::Incomplete),
            BodyState::Chunked(decoder) => return Ok(decoder.step(&mut self.buffer, limits)?),
            BodyState::UntilClose => u64::MAX,
            BodyState::Length(left) => *left,
        };
        let len = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if len == 0 {
            return Ok(Step::NeedMore);
        }
        match &mut self.body {
            BodyState::Length(left) if *left == len as u64 => self.body = BodyState::Done,
            BodyState::Length(left) => *left -= len as u64,
            _ => {}
        }
        Ok(Step::Frame(Frame::Data(self.buffer.split_to(len).freeze())))
    }

    /// How many bytes of body are known to follow.
    fn expected(&self) -> u64 {
        match &self.body {
            BodyState::Length(left) => *left,
            BodyState::Chunked(decoder) => decoder.expected(),
            BodyState::UntilClose => u64::MAX,
            BodyState::Done | BodyState::Broken => 0,
        }
    }

    /// What was read and not consumed.
    pub(crate) fn take_rest(&mut self) -> bytes::Bytes {
        let rest = bytes::Bytes::copy_from_slice(&self.buffer);
        self.buffer.clear();
        self.give_back();
        rest
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        pool::give(std::mem::take(&mut self.buffer));
    }
}

/// Reads into the room behind the buffer's bytes; 0 is the end.
///
/// # Errors
/// The reader's.
#[allow(unsafe_code)]
pub fn poll_read<S: AsyncRead + Unpin>(
    io: &mut S,
    cx: &mut Context<'_>,
    buffer: &mut BytesMut,
) -> Poll<io::Result<usize>> {
    let room = buffer.spare_capacity_mut();
    let start = room.as_mut_ptr();
    let mut read = ReadBuf::uninit(room);
    ready!(Pin::new(io).poll_read(cx, &mut read))?;
    let filled = read.filled();
    assert!(std::ptr::eq(filled.as_ptr(), start.cast()), "a reader must not exchange the buffer");
    let count = filled.len();
    // SAFETY: `filled` begins where the spare room does (asserted) and `ReadBuf` vouches that its
    // bytes are initialized, so the first `count` bytes of the spare room are, and they are within
    // the capacity.
    unsafe { buffer.set_len(buffer.len() + count) };
    Poll::Ready(Ok(count))
}
