//! The writing half of a connection: heads and small pieces are gathered, large pieces are
//! written from where they are.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::AsyncWrite;

use crate::body::Fields;
use crate::pool::{self, SMALL};
use crate::tokens::{Known, is_hop_by_hop, is_token, known};
use crate::{BodyError, BodyKind, Frame};

/// A piece up to this size is copied behind what waits already: cheaper than a slice of its own
/// in a vectored write.
const COPIED: usize = 4 * 1024;

const CRLF: &[u8] = b"\r\n";

/// What waits to be written.
pub(crate) struct Writer {
    /// Without capacity it holds no memory.
    out: BytesMut,
    /// Written after `out`, and then so many bytes of the end of a line.
    large: Bytes,
    tail: u8,
    body: BodyState,
    /// Data of the body that was taken and not written yet.
    unreleased: usize,
    /// Bytes written in this exchange.
    pub(crate) sent: u64,
    /// Bytes that waited when it began.
    before: u64,
    /// Bytes of its heads.
    heads: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyState {
    Done,
    /// So many bytes are to come.
    Length(u64),
    Chunked,
    /// Ends with the connection.
    UntilClose,
    /// Data is thrown away: the response to HEAD.
    Discard,
}

/// Writes the field that announces a body.
pub(crate) fn announce(body: BodyKind, out: &mut BytesMut) {
    match body {
        BodyKind::None | BodyKind::UntilClose => {}
        BodyKind::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        BodyKind::Length(length) => {
            out.extend_from_slice(b"content-length: ");
            put_number::<10>(length, out);
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// Appends a number in that base, without the machinery of `core::fmt`.
fn put_number<const BASE: u64>(mut number: u64, out: &mut BytesMut) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b"0123456789abcdef"[(number % BASE) as usize];
        number /= BASE;
        if number == 0 {
            return out.extend_from_slice(&digits[at..]);
        }
    }
}

impl Writer {
    pub(crate) fn new() -> Self {
        Writer {
            out: BytesMut::new(),
            large: Bytes::new(),
            tail: 0,
            body: BodyState::Done,
            unreleased: 0,
            sent: 0,
            before: 0,
            heads: 0,
        }
    }

    /// Another exchange begins.
    pub(crate) fn begin(&mut self) {
        (self.sent, self.before, self.heads) = (0, self.waiting(), 0);
    }

    fn waiting(&self) -> u64 {
        (self.out.len() + self.large.len() + usize::from(self.tail)) as u64
    }

    /// Bytes of this exchange, whether they are written or wait, and those of its heads.
    pub(crate) fn queued(&self) -> (u64, u64) {
        ((self.sent + self.waiting()).saturating_sub(self.before), self.heads)
    }

    /// Queues a head.
    pub(crate) fn head(&mut self, write: impl FnOnce(&mut BytesMut)) {
        let out = self.out();
        let before = out.len();
        write(out);
        self.heads += (out.len() - before) as u64;
    }

    /// The buffer that is written next.
    pub(crate) fn out(&mut self) -> &mut BytesMut {
        if self.out.capacity() == 0 {
            self.out = pool::take(SMALL);
        }
        &mut self.out
    }

    /// Says what follows the head that was queued.
    pub(crate) fn expect(&mut self, body: BodyKind, discard: bool) {
        self.body = match body {
            _ if discard => BodyState::Discard,
            BodyKind::None | BodyKind::Length(0) => BodyState::Done,
            BodyKind::Length(length) => BodyState::Length(length),
            BodyKind::Chunked => BodyState::Chunked,
            BodyKind::UntilClose => BodyState::UntilClose,
        };
    }

    pub(crate) fn is_flushed(&self) -> bool {
        self.out.is_empty() && self.large.is_empty() && self.tail == 0
    }

    /// All that waits is in one buffer, which has room.
    pub(crate) fn is_small(&self) -> bool {
        self.large.is_empty() && self.tail == 0 && self.out.len() < SMALL - COPIED
    }

    /// Nothing more may be queued.
    pub(crate) fn ended(&self) -> bool {
        self.body == BodyState::Done
    }

    /// How many bytes were taken and are written now.
    pub(crate) fn take_released(&mut self) -> usize {
        std::mem::take(&mut self.unreleased)
    }

    /// Queues a piece. There is room: [`Writer::poll_room`] said so.
    pub(crate) fn queue(&mut self, frame: Frame) -> Result<(), BodyError> {
        match frame {
            Frame::Data(data) => self.queue_data(data),
            Frame::Trailers(trailers) => self.queue_end(Some(&trailers)),
        }
    }

    fn queue_data(&mut self, data: Bytes) -> Result<(), BodyError> {
        self.unreleased += data.len();
        match &mut self.body {
            BodyState::Done => return Err(BodyError::Stopped("body longer than announced")),
            BodyState::Discard => {
                pool::recycle(data);
                return Ok(());
            }
            BodyState::UntilClose => {}
            BodyState::Length(left) => match left.checked_sub(data.len() as u64) {
                Some(0) => self.body = BodyState::Done,
                Some(rest) => *left = rest,
                None => return Err(BodyError::Stopped("body longer than announced")),
            },
            BodyState::Chunked => {
                let out = self.out();
                put_number::<16>(data.len() as u64, out);
                out.extend_from_slice(b"\r\n");
                self.push(data);
                self.push_tail();
                return Ok(());
            }
        }
        self.push(data);
        Ok(())
    }

    fn push(&mut self, data: Bytes) {
        if data.len() <= COPIED {
            self.out().extend_from_slice(&data);
            pool::recycle(data);
        } else {
            self.large = data;
        }
    }

    /// The CRLF behind a chunk's data, wherever that is.
    fn push_tail(&mut self) {
        if self.large.is_empty() {
            self.out().extend_from_slice(b"\r\n");
        } else {
            self.tail = CRLF.len() as u8;
        }
    }

    /// Ends the body. Without chunks trailers have no place and are dropped, as by any HTTP/1
    /// server that announced a length.
    pub(crate) fn queue_end(&mut self, trailers: Option<&Fields>) -> Result<(), BodyError> {
        match self.body {
            BodyState::Length(_) => return Err(BodyError::Stopped("body shorter than announced")),
            BodyState::Chunked => {
                // Room was made before, so that no large piece waits any more.
                let out = self.out();
                out.extend_from_slice(b"0\r\n");
                for (name, value) in trailers.into_iter().flat_map(Fields::iter) {
                    put_trailer(name, value, out);
                }
                out.extend_from_slice(b"\r\n");
            }
            BodyState::Done | BodyState::UntilClose | BodyState::Discard => {}
        }
        self.body = BodyState::Done;
        Ok(())
    }

    /// Waits until a piece may be queued.
    pub(crate) fn poll_room<T: AsyncWrite + Unpin>(
        &mut self,
        io: &mut T,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_small() {
            return Poll::Ready(Ok(()));
        }
        self.poll_flush(io, cx)
    }

    /// Writes all that waits.
    pub(crate) fn poll_flush<T: AsyncWrite + Unpin>(
        &mut self,
        io: &mut T,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.is_flushed() {
            let written = if self.large.is_empty() && self.tail == 0 {
                ready!(Pin::new(&mut *io).poll_write(cx, &self.out))?
            } else {
                let parts = [IoSlice::new(&self.out), IoSlice::new(&self.large), IoSlice::new(self.tail())];
                ready!(Pin::new(&mut *io).poll_write_vectored(cx, &parts))?
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        self.give_back();
        // TLS keeps records until it is told.
        Pin::new(io).poll_flush(cx)
    }

    fn advance(&mut self, written: usize) {
        self.sent += written as u64;
        let of_out = written.min(self.out.len());
        pool::consume(&mut self.out, of_out);
        let of_large = (written - of_out).min(self.large.len());
        self.large.advance(of_large);
        let of_tail = (written - of_out - of_large).min(self.tail().len());
        self.tail -= of_tail as u8;
    }

    fn tail(&self) -> &'static [u8] {
        &CRLF[CRLF.len() - usize::from(self.tail)..]
    }

    fn give_back(&mut self) {
        pool::recycle(std::mem::take(&mut self.large));
        pool::give(std::mem::take(&mut self.out));
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        pool::give(std::mem::take(&mut self.out));
    }
}

/// Writes a trailer, if it is one that may be in a trailer section.
fn put_trailer(name: &[u8], value: &[u8], out: &mut BytesMut) {
    let forbidden = matches!(known(name), Known::ContentLength | Known::Host) || is_hop_by_hop(name);
    if forbidden || !is_token(name) || value.iter().any(|b| b.is_ascii_control() && *b != b'\t') {
        return;
    }
    out.put_slice(name);
    out.put_slice(b": ");
    out.put_slice(value);
    out.put_slice(b"\r\n");
}
