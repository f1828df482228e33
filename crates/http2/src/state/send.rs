//! What goes out: heads, bodies as windows and the socket allow, windows for the peer.

use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http1::{RequestHead, ResponseHead, Trailers};

use super::Core;
use crate::error::{Error, Reason};
use crate::frame::{self, HEAD, Head, flag, kind};
use crate::hpack::Encoder;
use crate::message;
use crate::stream::{Turn, remember};

/// Bytes of bodies that wait for the socket. A peer can open windows as wide as it likes and then read
/// nothing; flow control is no bound for us.
pub(crate) const OUT_LIMIT: usize = 256 * 1024;
/// Of one stream, before it is another one's turn.
const BURST: usize = 64 * 1024;

impl Core {
    /// Opens a stream with a request. The caller has seen that there is room.
    pub(crate) fn open(&mut self, head: &RequestHead, https: bool, ends: bool) -> Result<usize, Error> {
        if let Some(error) = self.refusal() {
            return Err(error);
        }
        let id = self.next_id;
        self.next_id += 2;
        let slot = self.insert(id);
        let stream = &mut self.streams[slot];
        stream.handles = 2;
        stream.send_ended = ends;
        stream.is_head = head.method() == b"HEAD";
        self.block(slot, id, ends, |encoder, out| message::write_request(encoder, head, https, out));
        Ok(slot)
    }

    /// Answers a stream.
    pub(crate) fn respond(&mut self, slot: usize, head: &ResponseHead, ends: bool) -> Result<(), Error> {
        let id = self.sendable(slot)?;
        self.block(slot, id, ends, |encoder, out| message::write_response(encoder, head, out));
        self.sent(slot, ends);
        Ok(())
    }

    pub(crate) fn send_trailers(&mut self, slot: usize, trailers: &Trailers) -> Result<(), Error> {
        let id = self.sendable(slot)?;
        self.block(slot, id, true, |encoder, out| message::write_trailers(encoder, trailers, out));
        self.sent(slot, true);
        Ok(())
    }

    /// Writes a header block.
    fn block(&mut self, slot: usize, id: u32, ends: bool, write: impl FnOnce(&mut Encoder, &mut BytesMut)) {
        let out = self.out.tail();
        let at = out.len();
        out.extend_from_slice(&[0; HEAD]);
        write(&mut self.encoder, out);
        message::frame_block(out, at, id, ends, self.peer.max_frame);
        self.streams[slot].sent_head(out.len() - at);
        self.wake_driver();
    }

    /// The stream's id, if it may still be sent on.
    fn sendable(&self, slot: usize) -> Result<u32, Error> {
        let stream = &self.streams[slot];
        match &stream.error {
            Some(error) => Err(error.clone()),
            None if stream.send_ended => Err(Error::Reset(Reason::STREAM_CLOSED)),
            None => Ok(stream.id),
        }
    }

    fn sent(&mut self, slot: usize, ended: bool) {
        if ended {
            self.streams[slot].send_ended = true;
            self.settle(slot);
        }
    }

    /// Ends a stream without bytes.
    pub(crate) fn end(&mut self, slot: usize) -> Result<(), Error> {
        let id = self.sendable(slot)?;
        Head { len: 0, kind: kind::DATA, flags: flag::END_STREAM, stream: id }.write(self.out.tail());
        self.streams[slot].wire.sent += HEAD as u64;
        self.wake_driver();
        self.sent(slot, true);
        Ok(())
    }

    /// Sends as much of `bytes` as can go now, and how much that was. `last`: they end the stream.
    pub(crate) fn poll_send(
        &mut self,
        slot: usize,
        bytes: &mut Bytes,
        last: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize, Error>> {
        let (id, room) = ready!(self.poll_sendable(slot, cx))?;
        let len = room.min(bytes.len());
        let piece = bytes.split_to(len);
        let ends = last && bytes.is_empty();
        let flags = if ends { flag::END_STREAM } else { 0 };
        Head { len, kind: kind::DATA, flags, stream: id }.write(self.out.tail());
        self.out.push(piece);
        self.count_sent(slot, len);
        self.sent(slot, ends);
        Poll::Ready(Ok(len))
    }

    /// Like [`Core::poll_send`], for bytes that are somebody else's.
    pub(crate) fn poll_copy(
        &mut self,
        slot: usize,
        bytes: &[u8],
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize, Error>> {
        let (id, room) = ready!(self.poll_sendable(slot, cx))?;
        let len = room.min(bytes.len());
        let out = self.out.tail();
        Head { len, kind: kind::DATA, flags: 0, stream: id }.write(out);
        out.extend_from_slice(&bytes[..len]);
        self.count_sent(slot, len);
        Poll::Ready(Ok(len))
    }

    fn poll_sendable(&mut self, slot: usize, cx: &mut Context<'_>) -> Poll<Result<(u32, usize), Error>> {
        let id = self.sendable(slot)?;
        self.poll_room(slot, cx).map(|room| Ok((id, room)))
    }

    fn count_sent(&mut self, slot: usize, len: usize) {
        self.send_window -= len as i64;
        let stream = &mut self.streams[slot];
        stream.send_window -= len as i64;
        stream.wire.sent += (HEAD + len) as u64;
        stream.burst += len;
        self.wake_driver();
    }

    /// How many bytes of a body may go in the next frame of a stream.
    fn poll_room(&mut self, slot: usize, cx: &mut Context<'_>) -> Poll<usize> {
        let stream = &mut self.streams[slot];
        if stream.flush != self.flushes {
            (stream.flush, stream.burst) = (self.flushes, 0);
        }
        if stream.send_window <= 0 {
            // The peer opens it; until then it is others' turn.
            remember(&mut stream.send_waker, cx);
            if std::mem::replace(&mut stream.turn, Turn::None) != Turn::None {
                self.grant();
            }
            return Poll::Pending;
        }
        let all = self.send_window.min(OUT_LIMIT as i64 - self.out.len() as i64);
        let in_turn = stream.turn == Turn::Granted || self.waiting.is_empty();
        if all <= 0 || !in_turn || stream.burst >= BURST {
            remember(&mut stream.send_waker, cx);
            if stream.turn != Turn::Queued {
                stream.turn = Turn::Queued;
                self.waiting.push_back((slot, stream.id));
            }
            return Poll::Pending;
        }
        let room = all.min(stream.send_window).min(self.peer.max_frame as i64);
        // At most 16 MiB, and above zero.
        Poll::Ready(room as usize)
    }

    /// As many of the streams that wait get their turn as there is room for.
    pub(super) fn grant(&mut self) {
        let mut room = self.send_window.min(OUT_LIMIT as i64 - self.out.len() as i64);
        while room > 0
            && let Some((slot, id)) = self.waiting.pop_front()
        {
            let Some(stream) = self.streams.get_mut(slot) else { continue };
            if stream.id == id && stream.turn == Turn::Queued {
                stream.turn = Turn::Granted;
                stream.wake_send();
                room -= BURST as i64;
            }
        }
    }

    /// Bytes went to the socket.
    pub(crate) fn flushed(&mut self, bytes: usize) {
        if bytes > 0 {
            self.credit.sent(bytes);
            self.flushes = self.flushes.wrapping_add(1);
            if !self.waiting.is_empty() {
                self.grant();
            }
        }
    }

    /// The taker of a stream has so many bytes: the peer may send as many more.
    pub(crate) fn release(&mut self, slot: usize, bytes: usize) {
        let stream = &mut self.streams[slot];
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(stream.held);
        stream.held -= bytes;
        self.release_connection(bytes);
        self.release_stream(slot, bytes);
    }

    pub(super) fn release_stream(&mut self, slot: usize, bytes: u32) {
        let window = self.config.stream_window();
        let stream = &mut self.streams[slot];
        stream.unacked += bytes;
        // Told in large steps, and not at all where nothing more comes.
        if stream.unacked >= (window / 2).max(1) && !stream.recv_ended && self.error.is_none() {
            let by = std::mem::take(&mut stream.unacked);
            stream.recv_window += i64::from(by);
            stream.wire.sent += frame::WINDOW_UPDATE;
            let id = stream.id;
            frame::window_update(id, by, self.out.tail());
            self.wake_driver();
        }
    }

    pub(super) fn release_connection(&mut self, bytes: u32) {
        self.unacked += bytes;
        // In large steps, but not larger than what is left: of streams whose takers wait nothing comes back.
        if bytes > 0 && i64::from(self.unacked) * 2 >= self.recv_window && self.error.is_none() {
            let by = std::mem::take(&mut self.unacked);
            self.recv_window += i64::from(by);
            frame::window_update(0, by, self.out.tail());
            self.wake_driver();
        }
    }

    /// Asks whether the peer is alive.
    pub(crate) fn send_ping(&mut self) {
        self.pings.waiting = true;
        frame::ping(false, super::control::ALIVE_PING, self.out.tail());
        self.wake_driver();
    }

    /// Waits until another stream may be opened.
    pub(crate) fn poll_opening(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if let Some(error) = self.refusal() {
            return Poll::Ready(Err(error));
        }
        if self.has_room() {
            return Poll::Ready(Ok(()));
        }
        if !self.openers.iter().any(|opener| opener.will_wake(cx.waker())) {
            self.openers.push_back(cx.waker().clone());
        }
        Poll::Pending
    }
}
