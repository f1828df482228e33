//! Frames that cost their sender nothing: SETTINGS, PING, PRIORITY, RST_STREAM, WINDOW_UPDATE,
//! unknown ones, DATA without bytes. `h2` answers what has to be answered and bounds what it keeps,
//! but takes any number of them.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use net::Io;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Length of the client's preface (RFC 9113, section 3.4).
const PREFACE: usize = 24;
/// Length of a frame's head (section 4.1).
const HEAD: usize = 9;

/// What a connection may spend at once, and what it earns again.
const CREDIT: i64 = 2000;
const PER_SECOND: i64 = 200;
/// For a request's head or bytes of a body: control frames belong to them.
const PER_FRAME: i64 = 10;
/// Bytes that we sent are worth one: they may be acknowledged by WINDOW_UPDATEs.
const BYTES_SENT: usize = 256;

/// Of what a client sends after it was told to stop.
const DISCARDED: usize = 1024 * 1024;

/// A client's connection whose frames are counted on their way in.
pub(super) struct Guarded {
    wire: Rc<Wire>,
    frames: Frames,
}

/// The connection as it is left when HTTP/2 is over.
pub(super) struct Wire {
    io: RefCell<Io>,
    flooded: Cell<bool>,
}

impl Guarded {
    pub(super) fn new(io: Io) -> (Self, Rc<Wire>) {
        let wire = Rc::new(Wire { io: RefCell::new(io), flooded: Cell::new(false) });
        (Guarded { wire: wire.clone(), frames: Frames::new(Instant::now()) }, wire)
    }
}

impl Wire {
    /// It is enough: nothing more is read.
    pub(super) fn is_flooded(&self) -> bool {
        self.flooded.get()
    }

    /// Reads on until the client hangs up or has sent far too much.
    pub(super) async fn discard(&self) {
        let mut room = [0; 4096];
        let mut left = DISCARDED;
        while left > 0 {
            let read = poll_fn(|cx| {
                let mut buf = ReadBuf::new(&mut room);
                ready!(Pin::new(&mut *self.io.borrow_mut()).poll_read(cx, &mut buf))?;
                Poll::Ready(io::Result::Ok(buf.filled().len()))
            });
            match read.await {
                Ok(0) | Err(_) => return,
                Ok(read) => left = left.saturating_sub(read),
            }
        }
    }
}

/// Where in the stream of frames we are, and what is left to spend.
struct Frames {
    head: [u8; HEAD],
    have: usize,
    skip: usize,
    credit: i64,
    since: Instant,
}

impl Frames {
    fn new(now: Instant) -> Self {
        Frames { head: [0; HEAD], have: 0, skip: PREFACE, credit: CREDIT, since: now }
    }

    /// Reads heads of frames in what came in.
    fn see(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let skipped = self.skip.min(bytes.len());
                self.skip -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            let taken = (HEAD - self.have).min(bytes.len());
            self.head[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
            self.have += taken;
            bytes = &bytes[taken..];
            if self.have == HEAD {
                self.have = 0;
                let [a, b, c, kind, flags, ..] = self.head;
                self.skip = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                self.credit = (self.credit + worth(kind, flags, self.skip)).min(CREDIT);
            }
        }
    }

    fn sent(&mut self, bytes: usize) {
        self.credit = (self.credit + (bytes / BYTES_SENT) as i64).min(CREDIT);
    }

    /// The clock is read only where the credit is used up.
    fn is_spent(&mut self, now: impl FnOnce() -> Instant) -> bool {
        if self.credit >= 0 {
            return false;
        }
        let now = now();
        let earned = now.saturating_duration_since(self.since).as_secs_f64() * PER_SECOND as f64;
        self.credit = (self.credit + earned as i64).min(CREDIT);
        self.since = now;
        self.credit < 0
    }
}

/// What a frame adds to the credit or takes from it.
fn worth(kind: u8, flags: u8, len: usize) -> i64 {
    const END_STREAM: u8 = 1;
    match kind {
        // DATA
        0 if len > 0 || flags & END_STREAM != 0 => PER_FRAME,
        // HEADERS
        1 => PER_FRAME,
        // SETTINGS: may change the window of every stream.
        4 => -10,
        // CONTINUATION: bounded by the size of the list.
        9 => 0,
        _ => -1,
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        if !this.wire.flooded.get() {
            ready!(Pin::new(&mut *this.wire.io.borrow_mut()).poll_read(cx, buf))?;
            this.frames.see(&buf.filled()[before..]);
            if !this.frames.is_spent(Instant::now) {
                return Poll::Ready(Ok(()));
            }
            this.wire.flooded.set(true);
            buf.set_filled(before);
        }
        // The connection's task looks at the flag.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut *self.wire.io.borrow_mut()).poll_write(cx, buf))?;
        self.frames.sent(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut *self.wire.io.borrow_mut()).poll_write_vectored(cx, bufs))?;
        self.frames.sent(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.wire.io.borrow().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.wire.io.borrow_mut()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.wire.io.borrow_mut()).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let len = payload.len() as u32;
        [&len.to_be_bytes()[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    /// How many of such frames pass, read in pieces of `size`.
    fn pass(frame: &[u8], size: usize) -> Option<usize> {
        let start = Instant::now();
        let mut frames = Frames::new(start);
        frames.see(&[b'P'; PREFACE]);
        (0..100_000).find(|_| {
            frame.chunks(size).for_each(|piece| frames.see(piece));
            frames.is_spent(|| start)
        })
    }

    #[test]
    fn floods_end() {
        for size in [1, 7, 9, 100] {
            assert_eq!(pass(&frame(6, 0, &[0; 8]), size), Some(2000), "PING");
            assert_eq!(pass(&frame(4, 0, &[0; 6]), size), Some(200), "SETTINGS");
            assert_eq!(pass(&frame(0, 0, &[]), size), Some(2000), "empty DATA");
            assert_eq!(pass(&frame(2, 0, &[0; 5]), size), Some(2000), "PRIORITY");
        }
    }

    #[test]
    fn work_goes_on() {
        let request = [frame(1, 5, &[0; 30]), frame(8, 0, &[0; 4]), frame(6, 0, &[0; 8])].concat();
        let upload = [frame(0, 0, &[1]), frame(8, 0, &[0; 4])].concat();
        assert_eq!((pass(&request, 11), pass(&upload, 11)), (None, None));
        let start = Instant::now();
        let mut frames = Frames::new(start);
        frames.see(&[b'P'; PREFACE]);
        for second in 0..10_000 {
            (0..100).for_each(|_| frames.see(&frame(6, 0, &[0; 8])));
            assert!(!frames.is_spent(|| start + Duration::from_secs(second)), "{second}");
        }
        // A download whose every frame is acknowledged twice.
        for _ in 0..10_000 {
            frames.sent(16 * 1024);
            frames.see(&[frame(8, 0, &[0; 4]), frame(8, 0, &[0; 4])].concat());
            assert!(!frames.is_spent(|| start));
        }
    }
}
