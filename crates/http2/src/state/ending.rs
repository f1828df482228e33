//! How a connection ends (RFC 9113, sections 5.4.1 and 6.8).

use std::task::Waker;

use super::{Core, Ending, Role, control};
use crate::error::{Error, Reason};
use crate::frame;

impl Core {
    /// The connection is over: everyone learns why.
    pub(crate) fn fail(&mut self, error: Error) {
        if self.error.is_some() {
            return;
        }
        let client = self.role == Role::Client;
        for (_, stream) in &mut self.streams {
            match (stream.recv_ended, stream.send_ended) {
                // What has ended stays whole.
                (true, true) => {}
                (true, false) if client => stream.send_ended = true,
                _ => stream.fail(&error),
            }
            stream.wake();
        }
        self.error = Some(error);
        self.openers.drain(..).for_each(Waker::wake);
        if let Some(waker) = self.pings.waker.take() {
            waker.wake();
        }
    }

    /// GOAWAY with this reason; nothing else is done for the peer.
    pub(crate) fn abort(&mut self, error: Error) {
        if self.error.is_none() {
            let reason = error.reason().unwrap_or(Reason::INTERNAL_ERROR);
            frame::goaway(self.last_id, reason, self.out.tail());
            self.fail(error);
            self.wake_driver();
        }
    }

    /// Announces the end: streams that are on their way are still served.
    pub(crate) fn announce_end(&mut self) {
        if self.ending == Ending::No && self.error.is_none() {
            self.ending = Ending::Announced;
            let out = self.out.tail();
            frame::goaway(0x7fff_ffff, Reason::NO_ERROR, out);
            frame::ping(false, control::END_PING, out);
            self.wake_driver();
        }
    }

    /// Nobody will open another stream: those that are open come to their end.
    pub(crate) fn abandon(&mut self) {
        if !std::mem::replace(&mut self.abandoned, true) && self.error.is_none() {
            frame::goaway(0, Reason::NO_ERROR, self.out.tail());
            self.wake_driver();
        }
    }

    /// No new streams are to come.
    pub(super) fn is_ending(&self) -> bool {
        self.abandoned || self.gone_away.is_some() || matches!(self.ending, Ending::After(_))
    }

    /// Nothing is under way, and nothing more will be.
    pub(crate) fn is_over(&self) -> bool {
        self.is_ending() && self.active == 0 && self.opened.is_empty()
    }

    /// The peer lets us open another stream.
    pub(crate) fn has_room(&self) -> bool {
        self.active < self.peer.max_streams
    }

    /// Why no stream can be opened, if none can.
    pub(crate) fn refusal(&self) -> Option<Error> {
        const LAST: u32 = 0x7fff_ffff;
        let gone = || self.gone_away.map(Error::GoneAway);
        let used_up = || (self.next_id > LAST).then_some(Error::GoneAway(Reason::NO_ERROR));
        self.error.clone().or_else(gone).or_else(used_up)
    }
}
