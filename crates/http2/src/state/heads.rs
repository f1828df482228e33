//! Header blocks: requests, responses and trailers (RFC 9113, sections 6.2, 6.10 and 8.1).

use bytes::BytesMut;

use super::{Block, Core, Ending, Opened, Role};
use crate::error::{Fault, Reason, broken};
use crate::frame::{HEAD, Head, MAX_FRAME, flag, u32_of, unpadded};
use crate::message::{self, Message};

/// Interim responses to one request. Whoever takes them may be slow.
const MAX_INTERIM: u8 = 16;

impl Core {
    pub(super) fn headers(&mut self, head: &Head, payload: &[u8]) -> Result<(), Fault> {
        let wire = HEAD + payload.len();
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
            self.block = Some(Block { stream: head.stream, ends, bytes: BytesMut::from(block), wire });
        } else {
            self.whole_block(head.stream, ends, block, wire)?;
        }
        if depends_on_itself {
            return Err(Fault::Stream(head.stream, Reason::PROTOCOL_ERROR));
        }
        Ok(())
    }

    pub(super) fn continuation(&mut self, head: &Head, payload: &[u8]) -> Result<(), Fault> {
        let Some(mut block) = self.block.take() else { return Ok(()) };
        block.bytes.extend_from_slice(payload);
        block.wire += HEAD + payload.len();
        // What was compressed is never longer by much; and each piece costs something, too.
        if block.bytes.len() > self.config.max_head.saturating_mul(2) + MAX_FRAME {
            return broken(Reason::ENHANCE_YOUR_CALM, "a header block without end");
        }
        match head.has(flag::END_HEADERS) {
            true => self.whole_block(block.stream, block.ends, &block.bytes, block.wire),
            false => {
                self.block = Some(block);
                Ok(())
            }
        }
    }

    /// Whatever becomes of it, the table has to be kept in step.
    fn whole_block(&mut self, id: u32, ends: bool, block: &[u8], wire: usize) -> Result<(), Fault> {
        match self.slot_of(id) {
            Some(slot) => {
                let stream = &mut self.streams[slot];
                stream.received_head(wire);
                match stream.headed {
                    true => self.trailers(slot, ends, block),
                    false => self.response(slot, ends, block),
                }
            }
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
            None => self.request(id, ends, block, wire),
        }
    }

    fn skip(&mut self, block: &[u8]) -> Result<(), Fault> {
        self.decoder.decode(block, |_| {}).or_else(|_| broken(Reason::COMPRESSION_ERROR, "a header block"))
    }

    fn request(&mut self, id: u32, ends: bool, block: &[u8], wire: usize) -> Result<(), Fault> {
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
                stream.received_head(wire);
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
            stream.interims += 1;
            // Section 8.6: there is nothing to switch to.
            if ends || status == 101 || stream.interims > MAX_INTERIM {
                return malformed;
            }
            stream.interim.push_back(response.head);
            stream.wake_recv();
            return Ok(());
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
