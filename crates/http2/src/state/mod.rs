//! A connection without its socket: frames in, frames out, and the streams between.

mod control;
mod ending;
mod heads;
mod receive;
mod send;

use std::collections::{HashMap, VecDeque};
use std::task::Waker;
use std::time::Instant;

use bytes::BytesMut;
use foldhash::fast::RandomState;
use http1::RequestHead;
use slab::Slab;

use crate::credit::Credit;
use crate::error::{Error, Reason};
use crate::frame;
use crate::hpack::{Decoder, Encoder};
use crate::out::Out;
use crate::settings::{Config, FIRST_TABLE, FIRST_WINDOW, Peer};
use crate::stream::{Stream, Turn};

pub(crate) use send::OUT_LIMIT;

/// Streams that we reset, and whose peers may not have heard of it.
const REMEMBERED: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Server,
    Client,
}

/// A request that nobody has taken.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) slot: usize,
    pub(crate) head: RequestHead,
    pub(crate) https: bool,
    pub(crate) upgrade: bool,
}

/// Of a header block that has not come whole.
struct Block {
    stream: u32,
    ends: bool,
    bytes: BytesMut,
    /// Bytes of its frames.
    wire: usize,
}

/// How far we are with ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    No,
    /// The end was announced, with a PING behind it (RFC 9113, section 6.8).
    Announced,
    /// No stream above this one is served.
    After(u32),
}

/// PINGs of the keepalive.
#[derive(Debug, Default)]
pub(crate) struct Pings {
    pub(crate) waiting: bool,
    pub(crate) waker: Option<Waker>,
}

/// All state of a connection.
pub(crate) struct Core {
    role: Role,
    pub(crate) config: Config,
    pub(crate) peer: Peer,
    pub(crate) out: Out,
    encoder: Encoder,
    decoder: Decoder,
    block: Option<Block>,
    pub(crate) streams: Slab<Stream>,
    ids: HashMap<u32, usize, RandomState>,
    /// The highest one that the peer opened.
    last_id: u32,
    /// The next one that we open.
    next_id: u32,
    /// Streams that are not closed.
    pub(crate) active: usize,
    send_window: i64,
    recv_window: i64,
    unacked: u32,
    /// Streams with bytes, by slot and id, that wait for the connection's window or the socket.
    waiting: VecDeque<(usize, u32)>,
    /// Requests that wait for the peer to allow another stream.
    openers: VecDeque<Waker>,
    opened: VecDeque<Opened>,
    /// How many of them were reset already.
    unseen_resets: usize,
    reset: VecDeque<u32>,
    credit: Credit,
    ending: Ending,
    /// The peer takes no more streams.
    gone_away: Option<Reason>,
    /// Nobody is left to open streams.
    abandoned: bool,
    pub(crate) pings: Pings,
    /// The connection is over.
    pub(crate) error: Option<Error>,
    /// Of the task that reads and writes.
    pub(crate) driver: Option<Waker>,
    /// It was woken, and did not run yet.
    pub(crate) awake: bool,
    /// How often something of it was written.
    flushes: u32,
}

impl Core {
    /// Composes the first frames.
    pub(crate) fn new(role: Role, config: Config) -> Self {
        let mut core = Core {
            role,
            peer: Peer::new(config.first_max_streams),
            out: Out::default(),
            encoder: Encoder::new(),
            decoder: Decoder::new(config.table() as usize),
            block: None,
            streams: Slab::new(),
            ids: HashMap::default(),
            last_id: 0,
            next_id: 1,
            active: 0,
            send_window: i64::from(FIRST_WINDOW),
            recv_window: i64::from(config.connection_window()),
            unacked: 0,
            waiting: VecDeque::new(),
            openers: VecDeque::new(),
            opened: VecDeque::new(),
            unseen_resets: 0,
            reset: VecDeque::new(),
            credit: Credit::new(Instant::now()),
            ending: Ending::No,
            gone_away: None,
            abandoned: false,
            pings: Pings::default(),
            error: None,
            driver: None,
            awake: false,
            flushes: 0,
            config,
        };
        if core.config.table() < FIRST_TABLE {
            core.encoder.set_max_size(core.config.table() as usize);
        }
        let out = core.out.tail();
        if role == Role::Client {
            out.extend_from_slice(frame::PREFACE);
        }
        frame::settings(&core.config.announced(role == Role::Server), out);
        let more = core.config.connection_window() - FIRST_WINDOW;
        if more > 0 {
            frame::window_update(0, more, out);
        }
        core
    }

    /// The task that reads and writes has something to do.
    pub(crate) fn wake_driver(&mut self) {
        if !std::mem::replace(&mut self.awake, true)
            && let Some(driver) = &self.driver
        {
            driver.wake_by_ref();
        }
    }

    /// The oldest request that nobody has taken.
    pub(crate) fn pop_opened(&mut self) -> Option<Opened> {
        let opened = self.opened.pop_front()?;
        let stream = &mut self.streams[opened.slot];
        stream.unseen = false;
        self.unseen_resets -= usize::from(stream.closed);
        Some(opened)
    }

    pub(crate) fn has_opened(&self) -> bool {
        !self.opened.is_empty()
    }

    /// Adds a stream, with nobody holding it.
    fn insert(&mut self, id: u32) -> usize {
        // Until it has our settings the peer goes by the protocol's.
        let window = self.config.stream_window().max(FIRST_WINDOW);
        let slot = self.streams.insert(Stream::new(id, self.peer.stream_window, window));
        self.ids.insert(id, slot);
        self.active += 1;
        slot
    }

    fn slot_of(&self, id: u32) -> Option<usize> {
        self.ids.get(&id).copied()
    }

    /// Closes a stream that has ended both ways, and forgets one that nobody holds any more.
    fn settle(&mut self, slot: usize) {
        let Some(stream) = self.streams.get_mut(slot) else { return };
        if stream.send_ended && stream.recv_ended {
            self.close(slot);
        }
    }

    /// It is over for the protocol.
    fn close(&mut self, slot: usize) {
        let stream = &mut self.streams[slot];
        if !std::mem::replace(&mut stream.closed, true) {
            self.unseen_resets += usize::from(stream.unseen);
            let id = stream.id;
            self.ids.remove(&id);
            self.active -= 1;
            if let Some(opener) = self.openers.pop_front() {
                opener.wake();
            }
            if self.active == 0 && self.is_ending() {
                self.wake_driver();
            }
        }
        self.remove_unheld(slot);
    }

    /// A closed stream that nobody holds is forgotten.
    fn remove_unheld(&mut self, slot: usize) {
        let stream = &self.streams[slot];
        if stream.closed && stream.handles == 0 {
            let (held, granted) = (stream.held, stream.turn == Turn::Granted);
            self.streams.remove(slot);
            self.release_connection(held);
            if granted {
                self.grant();
            }
        }
    }

    /// A handle is dropped. The last one resets what has not ended.
    pub(crate) fn drop_handle(&mut self, slot: usize, receiver: bool) {
        let stream = &mut self.streams[slot];
        stream.handles -= 1;
        if receiver {
            stream.deaf = true;
            stream.inbox.clear();
            stream.recv_waker = None;
            let held = std::mem::take(&mut stream.held);
            self.release_connection(held);
        }
        let stream = &self.streams[slot];
        if stream.handles > 0 {
            return;
        }
        if !stream.closed {
            // RFC 9113, section 8.1: who has answered whole may ask not to be sent the rest.
            let done = self.role == Role::Server && stream.send_ended;
            self.reset_stream(slot, if done { Reason::NO_ERROR } else { Reason::CANCEL });
        } else {
            self.remove_unheld(slot);
        }
    }

    /// We end a stream.
    pub(crate) fn reset_stream(&mut self, slot: usize, reason: Reason) {
        let stream = &mut self.streams[slot];
        if stream.closed {
            return;
        }
        let id = stream.id;
        stream.wire.sent += frame::RST_STREAM;
        stream.recv_ended = true;
        stream.send_ended = true;
        if self.error.is_none() {
            self.tell_reset(id, reason);
        }
        self.close(slot);
    }

    /// Tells the peer, and remembers that its frames may still come.
    fn tell_reset(&mut self, id: u32, reason: Reason) {
        if self.reset.len() >= REMEMBERED {
            self.reset.pop_front();
        }
        self.reset.push_back(id);
        frame::rst_stream(id, reason, self.out.tail());
        self.wake_driver();
    }
}
