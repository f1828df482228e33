//! Frames that come in (RFC 9113, section 6).

use bytes::{Buf, Bytes, BytesMut};

use super::{Core, Role};
use crate::error::{Error, Fault, Reason, broken};
use crate::frame::{HEAD, Head, MAX_FRAME, flag, kind, u32_of, unpadded};
use crate::inbox;
use crate::stream::Stream;

/// Streams that were over before they were looked at, by the client's reset or by what made us reset them
/// (CVE-2023-44487, CVE-2025-8671): read at once, a few are no attack.
const MAX_UNSEEN_RESETS: usize = 100;

impl Core {
    /// Takes the whole frames off `bytes`. After an error of the connection, which is told to the peer,
    /// nothing is taken any more.
    pub(crate) fn receive(&mut self, bytes: &mut BytesMut) {
        let mut at = 0;
        while self.error.is_none()
            && let Some(head) = bytes.get(at..).and_then(|rest| rest.first_chunk::<HEAD>())
        {
            let head = Head::read(head);
            let result = if head.len > MAX_FRAME {
                broken(Reason::FRAME_SIZE_ERROR, "a frame that is too large")
            } else if bytes.len() < at + HEAD + head.len {
                break;
            } else if !self.credit.take(&head) {
                broken(Reason::ENHANCE_YOUR_CALM, "a flood of frames")
            } else if head.kind == kind::DATA && head.len >= inbox::LARGE && !head.has(flag::PADDED) {
                // Stays where it was read.
                bytes.advance(at + HEAD);
                at = 0;
                let payload = bytes.split_to(head.len).freeze();
                self.expected_now(&head).and_then(|()| self.data(&head, payload.len(), Data::Large(payload)))
            } else {
                let payload = at + HEAD..at + HEAD + head.len;
                at = payload.end;
                self.frame(&head, &bytes[payload])
            };
            match result {
                Ok(()) => {}
                Err(Fault::Stream(id, reason)) => self.refuse(id, reason),
                Err(Fault::Connection(reason, why)) => self.abort(Error::Violation(reason, why)),
            }
            if self.unseen_resets > MAX_UNSEEN_RESETS {
                self.abort(Error::Violation(Reason::ENHANCE_YOUR_CALM, "a flood of resets"));
            }
        }
        bytes.advance(at);
    }

    /// The peer broke the rules of one stream.
    fn refuse(&mut self, id: u32, reason: Reason) {
        match self.slot_of(id) {
            Some(slot) => {
                self.streams[slot].fail(&Error::Refused(reason));
                self.reset_stream(slot, reason);
            }
            None => self.tell_reset(id, reason),
        }
    }

    /// What may come at this point.
    fn expected_now(&self, head: &Head) -> Result<(), Fault> {
        match &self.block {
            Some(block) if head.kind != kind::CONTINUATION || head.stream != block.stream => {
                return broken(Reason::PROTOCOL_ERROR, "a frame within a header block");
            }
            None if head.kind == kind::CONTINUATION => {
                return broken(Reason::PROTOCOL_ERROR, "CONTINUATION without a header block");
            }
            _ => {}
        }
        if !self.peer.known && (head.kind != kind::SETTINGS || head.has(flag::ACK)) {
            return broken(Reason::PROTOCOL_ERROR, "another frame before SETTINGS");
        }
        let of_stream = match head.kind {
            kind::DATA | kind::HEADERS | kind::PRIORITY | kind::RST_STREAM | kind::CONTINUATION => true,
            kind::SETTINGS | kind::PING | kind::GOAWAY => false,
            _ => return Ok(()),
        };
        if of_stream != (head.stream != 0) {
            return broken(Reason::PROTOCOL_ERROR, "a frame where it does not belong");
        }
        Ok(())
    }

    fn frame(&mut self, head: &Head, payload: &[u8]) -> Result<(), Fault> {
        self.expected_now(head)?;
        match head.kind {
            kind::DATA => self.data(head, payload.len(), Data::Small(unpadded(head, payload)?)),
            kind::HEADERS => self.headers(head, payload),
            kind::CONTINUATION => self.continuation(head, payload),
            kind::WINDOW_UPDATE => self.window_update(head.stream, payload),
            kind::RST_STREAM => self.rst_stream(head.stream, payload),
            kind::SETTINGS => self.settings(head, payload),
            kind::PING => self.ping(head, payload),
            kind::GOAWAY => self.goaway(payload),
            kind::PRIORITY if payload.len() != 5 => Err(Fault::Stream(head.stream, Reason::FRAME_SIZE_ERROR)),
            kind::PRIORITY if u32_of(payload).is_some_and(|on| on & 0x7fff_ffff == head.stream) => {
                Err(Fault::Stream(head.stream, Reason::PROTOCOL_ERROR))
            }
            kind::PUSH_PROMISE => broken(Reason::PROTOCOL_ERROR, "PUSH_PROMISE"),
            // PRIORITY is of no use (section 5.3.2), and unknown kinds are to be ignored (section 4.1).
            _ => Ok(()),
        }
    }

    /// The stream of a frame that belongs to one which exists; `None`: it is closed.
    pub(super) fn existing(&self, id: u32) -> Result<Option<usize>, Fault> {
        match self.slot_of(id) {
            Some(slot) => Ok(Some(slot)),
            None if self.is_idle(id) => broken(Reason::PROTOCOL_ERROR, "a frame for an idle stream"),
            None => Ok(None),
        }
    }

    pub(super) fn is_idle(&self, id: u32) -> bool {
        match self.is_ours(id) {
            true => id >= self.next_id,
            false => id > self.last_id,
        }
    }

    /// Clients' streams are odd, and servers open none.
    pub(super) fn is_ours(&self, id: u32) -> bool {
        (self.role == Role::Client) == (id % 2 == 1)
    }

    /// `counted`: its length, padding included.
    fn data(&mut self, head: &Head, counted: usize, data: Data<'_>) -> Result<(), Fault> {
        let counted = counted as u32;
        self.recv_window -= i64::from(counted);
        if self.recv_window < 0 {
            return broken(Reason::FLOW_CONTROL_ERROR, "more than the connection's window");
        }
        let ends = head.has(flag::END_STREAM);
        let Some(slot) = self.existing(head.stream)? else {
            self.release_connection(counted);
            return self.closed(head.stream);
        };
        let stream = &mut self.streams[slot];
        stream.wire.received += (HEAD + counted as usize) as u64;
        let fault = if stream.recv_ended {
            Some(Reason::STREAM_CLOSED)
        } else if !stream.headed {
            Some(Reason::PROTOCOL_ERROR)
        } else if i64::from(counted) > stream.recv_window {
            Some(Reason::FLOW_CONTROL_ERROR)
        } else if !stream.count(data.len(), ends) {
            Some(Reason::PROTOCOL_ERROR)
        } else {
            None
        };
        if let Some(reason) = fault {
            self.release_connection(counted);
            return Err(Fault::Stream(head.stream, reason));
        }
        stream.recv_window -= i64::from(counted);
        let kept = if stream.deaf { 0 } else { data.len() as u32 };
        stream.held += kept;
        if kept > 0 {
            data.into(stream);
        }
        stream.recv_ended = ends;
        stream.wake_recv();
        if kept < counted {
            // Padding, and what nobody takes, is taken as soon as it is here.
            self.release_connection(counted - kept);
            self.release_stream(slot, counted - kept);
        }
        if ends {
            self.settle(slot);
        }
        Ok(())
    }

    /// A frame came for a stream that is over.
    fn closed(&mut self, id: u32) -> Result<(), Fault> {
        // It may have been on its way when we reset the stream.
        match self.reset.contains(&id) {
            true => Ok(()),
            false => Err(Fault::Stream(id, Reason::STREAM_CLOSED)),
        }
    }
}

/// Bytes of a body.
enum Data<'a> {
    Small(&'a [u8]),
    Large(Bytes),
}

impl Data<'_> {
    fn len(&self) -> usize {
        match self {
            Data::Small(bytes) => bytes.len(),
            Data::Large(bytes) => bytes.len(),
        }
    }

    fn into(self, stream: &mut Stream) {
        match self {
            Data::Small(bytes) if bytes.len() < inbox::LARGE => stream.inbox.copy(bytes),
            Data::Small(bytes) => stream.inbox.push(Bytes::copy_from_slice(bytes)),
            Data::Large(bytes) => stream.inbox.push(bytes),
        }
    }
}
