//! Frames of the connection, and those that open, close and steer streams (RFC 9113, sections 6.4 to 6.9).

use bytes::{Buf, BytesMut};

use super::{Core, Ending, Role};
use crate::error::{Error, Fault, Reason, broken};
use crate::frame::{self, Head, PREFACE, flag, u32_of};
use crate::settings::MAX_WINDOW;
use crate::stream::Stream;

/// The PING between the two GOAWAYs of an end, and that of the keepalive.
pub(super) const END_PING: [u8; 8] = *b"last one";
pub(crate) const ALIVE_PING: [u8; 8] = *b"are you?";

impl Core {
    /// Whether a client's first bytes are here, which it takes off. `None`: not all of them.
    pub(crate) fn preface(&mut self, bytes: &mut BytesMut) -> Option<bool> {
        if !PREFACE.starts_with(&bytes[..bytes.len().min(PREFACE.len())]) {
            return Some(false);
        }
        (bytes.len() >= PREFACE.len()).then(|| {
            bytes.advance(PREFACE.len());
            true
        })
    }

    pub(super) fn window_update(&mut self, id: u32, payload: &[u8]) -> Result<(), Fault> {
        let Some(by) = u32_of(payload).filter(|_| payload.len() == 4).map(|by| by & 0x7fff_ffff) else {
            return broken(Reason::FRAME_SIZE_ERROR, "WINDOW_UPDATE");
        };
        if id == 0 {
            if by == 0 {
                return broken(Reason::PROTOCOL_ERROR, "WINDOW_UPDATE by nothing");
            }
            self.send_window += i64::from(by);
            if self.send_window > i64::from(MAX_WINDOW) {
                return broken(Reason::FLOW_CONTROL_ERROR, "a window that is too large");
            }
            self.grant();
            return Ok(());
        }
        // For a stream that is over it was on its way.
        let Some(slot) = self.existing(id)? else { return Ok(()) };
        if by == 0 {
            return Err(Fault::Stream(id, Reason::PROTOCOL_ERROR));
        }
        let stream = &mut self.streams[slot];
        stream.wire.received += frame::WINDOW_UPDATE;
        stream.send_window += i64::from(by);
        if stream.send_window > i64::from(MAX_WINDOW) {
            return Err(Fault::Stream(id, Reason::FLOW_CONTROL_ERROR));
        }
        stream.wake_send();
        Ok(())
    }

    pub(super) fn rst_stream(&mut self, id: u32, payload: &[u8]) -> Result<(), Fault> {
        let Some(reason) = u32_of(payload).filter(|_| payload.len() == 4) else {
            return broken(Reason::FRAME_SIZE_ERROR, "RST_STREAM");
        };
        if let Some(slot) = self.existing(id)? {
            let stream = &mut self.streams[slot];
            stream.wire.received += frame::RST_STREAM;
            // Section 8.1: a response that is whole stays so.
            let whole = self.role == Role::Client && stream.recv_ended && reason == Reason::NO_ERROR.0;
            (stream.recv_ended, stream.send_ended) = (true, true);
            if !whole {
                stream.fail(&Error::Reset(Reason(reason)));
            }
            stream.wake();
            self.close(slot);
        }
        Ok(())
    }

    pub(super) fn settings(&mut self, head: &Head, payload: &[u8]) -> Result<(), Fault> {
        if head.has(flag::ACK) {
            return match payload.is_empty() {
                true => Ok(()),
                false => broken(Reason::FRAME_SIZE_ERROR, "an acknowledgement with settings"),
            };
        }
        let before = self.peer;
        self.peer.apply(payload, self.role == Role::Client)?;
        let by = i64::from(self.peer.stream_window) - i64::from(before.stream_window);
        if by != 0 {
            for (_, stream) in &mut self.streams {
                stream.send_window += by;
                if stream.send_window > i64::from(MAX_WINDOW) {
                    return broken(Reason::FLOW_CONTROL_ERROR, "a window that is too large");
                }
                stream.wake_send();
            }
        }
        if self.peer.table_size != before.table_size {
            self.encoder.set_max_size(self.peer.table_size.min(self.config.table()) as usize);
        }
        for _ in self.active..self.peer.max_streams {
            let Some(opener) = self.openers.pop_front() else { break };
            opener.wake();
        }
        frame::settings_ack(self.out.tail());
        Ok(())
    }

    pub(super) fn ping(&mut self, head: &Head, payload: &[u8]) -> Result<(), Fault> {
        let Ok(payload) = <[u8; 8]>::try_from(payload) else {
            return broken(Reason::FRAME_SIZE_ERROR, "PING");
        };
        if !head.has(flag::ACK) {
            frame::ping(true, payload, self.out.tail());
        } else if payload == END_PING && self.ending == Ending::Announced {
            // Section 6.8: what was on its way is here.
            self.ending = Ending::After(self.last_id);
            frame::goaway(self.last_id, Reason::NO_ERROR, self.out.tail());
        } else if payload == ALIVE_PING {
            self.pings.waiting = false;
            if let Some(waker) = self.pings.waker.take() {
                waker.wake();
            }
        }
        Ok(())
    }

    pub(super) fn goaway(&mut self, payload: &[u8]) -> Result<(), Fault> {
        let Some((last, reason)) =
            payload.split_at_checked(4).and_then(|(last, rest)| Some((u32_of(last)?, u32_of(rest)?)))
        else {
            return broken(Reason::FRAME_SIZE_ERROR, "GOAWAY");
        };
        let (last, reason) = (last & 0x7fff_ffff, Reason(reason));
        self.gone_away = Some(reason);
        self.openers.drain(..).for_each(std::task::Waker::wake);
        if self.role == Role::Client {
            let lost = |stream: &Stream| stream.id > last && !stream.closed;
            let lost: Vec<_> =
                self.streams.iter().filter(|(_, stream)| lost(stream)).map(|(slot, _)| slot).collect();
            for slot in lost {
                let stream = &mut self.streams[slot];
                stream.fail(&Error::GoneAway(reason));
                (stream.recv_ended, stream.send_ended) = (true, true);
                self.close(slot);
            }
        }
        Ok(())
    }
}
