//! Frames that come in (RFC 9113, section 6).

use bytes::{Buf, Bytes, BytesMut};

use super::{Block, Core, Ending, Opened, Role};
use crate::error::{Error, Fault, Reason, broken};
use crate::frame::{HEAD, Head, MAX_FRAME, flag, kind, u32_of, unpadded};
use crate::inbox;
use crate::message::{self, Message};
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

    fn is_idle(&self, id: u32) -> bool {
        match self.is_ours(id) {
            true => id >= self.next_id,
            false => id > self.last_id,
        }
    }

    /// Clients' streams are odd, and servers open none.
    fn is_ours(&self, id: u32) -> bool {
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

    fn headers(&mut self, head: &Head, payload: &[u8]) -> Result<(), Fault> {
        let mut block = unpadded(head, payload)?;
        let mut depends_on_itself = false;
        if head.has(flag::PRIORITY) {
            let Some((priority, rest)) = block.split_at_checked(5) else {
                return broken(Reason::FRAME_SIZE_ERROR, "HEADERS without room for its priority");
            };
            depends_on_itself = u32_of(priority).is_some_and(|on| on & 0x7fff_ffff == head.stream);
            block = rest;
        }
        let ends = head.has(flag::END_STREAM);
        if !head.has(flag::END_HEADERS) {
            self.block = Some(Block { stream: head.stream, ends, bytes: BytesMut::from(block) });
        } else {
            self.whole_block(head.stream, ends, block)?;
        }
        if depends_on_itself {
            return Err(Fault::Stream(head.stream, Reason::PROTOCOL_ERROR));
        }
        Ok(())
    }

    fn continuation(&mut self, head: &Head, payload: &[u8]) -> Result<(), Fault> {
        let Some(mut block) = self.block.take() else { return Ok(()) };
        block.bytes.extend_from_slice(payload);
        // What was compressed is never longer by much; and each piece costs something, too.
        if block.bytes.len() > self.config.max_head.saturating_mul(2) + MAX_FRAME {
            return broken(Reason::ENHANCE_YOUR_CALM, "a header block without end");
        }
        match head.has(flag::END_HEADERS) {
            true => self.whole_block(block.stream, block.ends, &block.bytes),
            false => {
                self.block = Some(block);
                Ok(())
            }
        }
    }

    /// Whatever becomes of it, the table has to be kept in step.
    fn whole_block(&mut self, id: u32, ends: bool, block: &[u8]) -> Result<(), Fault> {
        match self.slot_of(id) {
            Some(slot) if self.streams[slot].headed => self.trailers(slot, ends, block),
            Some(slot) => self.response(slot, ends, block),
            None if self.is_ours(id) || !self.is_idle(id) => {
                self.skip(block)?;
                if self.is_idle(id) {
                    return broken(Reason::PROTOCOL_ERROR, "HEADERS for an idle stream");
                }
                match self.reset.contains(&id) {
                    true => Ok(()),
                    false => broken(Reason::STREAM_CLOSED, "HEADERS for a closed stream"),
                }
            }
            None if self.role == Role::Client || id.is_multiple_of(2) => {
                broken(Reason::PROTOCOL_ERROR, "a stream that is not the peer's to open")
            }
            None => self.request(id, ends, block),
        }
    }

    fn skip(&mut self, block: &[u8]) -> Result<(), Fault> {
        self.decoder.decode(block, |_| {}).or_else(|_| broken(Reason::COMPRESSION_ERROR, "a header block"))
    }

    fn request(&mut self, id: u32, ends: bool, block: &[u8]) -> Result<(), Fault> {
        let limits = (self.config.max_head, self.config.extended_connect);
        let message = message::request(&mut self.decoder, block, limits, ends)
            .or_else(|_| broken(Reason::COMPRESSION_ERROR, "a header block"))?;
        if matches!(self.ending, Ending::After(last) if id > last) {
            // Section 6.8: it was told that this one is not served.
            return Ok(());
        }
        self.last_id = id;
        if self.active >= self.config.max_streams as usize {
            return Err(Fault::Stream(id, Reason::REFUSED_STREAM));
        }
        match message {
            Message::Malformed => Err(Fault::Stream(id, Reason::PROTOCOL_ERROR)),
            Message::TooLarge => {
                self.answer_too_large(id);
                Ok(())
            }
            Message::Whole(request) if ends && request.length.is_some_and(|length| length > 0) => {
                Err(Fault::Stream(id, Reason::PROTOCOL_ERROR))
            }
            Message::Whole(request) => {
                let message::Request { head, https, length, upgrade } = request;
                let slot = self.insert(id);
                let stream = &mut self.streams[slot];
                // Of whoever takes it.
                stream.handles = 2;
                stream.unseen = true;
                stream.headed = true;
                stream.recv_ended = ends;
                stream.expected = length.filter(|_| !upgrade);
                self.opened.push_back(Opened { slot, head, https, upgrade });
                Ok(())
            }
        }
    }

    /// 431, and nothing of the request is looked at.
    fn answer_too_large(&mut self, id: u32) {
        let out = self.out.tail();
        let at = out.len();
        out.extend_from_slice(&[0; HEAD]);
        message::write_status(&mut self.encoder, b"431", out);
        message::frame_block(out, at, id, true, self.peer.max_frame);
        self.tell_reset(id, Reason::NO_ERROR);
    }

    fn response(&mut self, slot: usize, ends: bool, block: &[u8]) -> Result<(), Fault> {
        let message = message::response(&mut self.decoder, block, self.config.max_head, ends)
            .or_else(|_| broken(Reason::COMPRESSION_ERROR, "a header block"))?;
        let stream = &mut self.streams[slot];
        let malformed = Err(Fault::Stream(stream.id, Reason::PROTOCOL_ERROR));
        let Message::Whole(response) = message else { return malformed };
        let status = response.head.status();
        if status < 200 {
            // Interim responses are for HTTP/1's sake here.
            return if ends { malformed } else { Ok(()) };
        }
        stream.headed = true;
        // A length without a body is right where there is none (RFC 9110, sections 8.6 and 15.4.5).
        let lengthless = stream.is_head || status == 304;
        stream.expected = response.length.filter(|_| !lengthless);
        if !stream.count(0, ends) {
            return malformed;
        }
        if lengthless {
            stream.expected = Some(0);
        }
        stream.head = Some(Box::new(response.head));
        stream.recv_ended = ends;
        stream.wake_recv();
        self.settle(slot);
        Ok(())
    }

    fn trailers(&mut self, slot: usize, ends: bool, block: &[u8]) -> Result<(), Fault> {
        let message = message::trailers(&mut self.decoder, block, self.config.max_head)
            .or_else(|_| broken(Reason::COMPRESSION_ERROR, "a header block"))?;
        let stream = &mut self.streams[slot];
        let id = stream.id;
        if stream.recv_ended {
            return Err(Fault::Stream(id, Reason::STREAM_CLOSED));
        }
        match message {
            Message::Whole(trailers) if ends && stream.count(0, true) => {
                stream.trailers = Some(Box::new(trailers));
                stream.recv_ended = true;
                stream.wake_recv();
                self.settle(slot);
                Ok(())
            }
            _ => Err(Fault::Stream(id, Reason::PROTOCOL_ERROR)),
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
