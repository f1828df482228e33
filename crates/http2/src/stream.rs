//! What is known of one stream.

use std::collections::VecDeque;
use std::task::{Context, Waker};

use http1::{ResponseHead, Trailers, Wire};

use crate::error::Error;
use crate::inbox::Inbox;

/// One stream, from its first frame until its handles are gone.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) id: u32,
    /// A request that nobody has looked at.
    pub(crate) unseen: bool,
    /// Handles that there are.
    pub(crate) handles: u8,
    /// What we may send (RFC 9113, section 6.9); may be below zero.
    pub(crate) send_window: i64,
    /// What the peer may send.
    pub(crate) recv_window: i64,
    /// What was taken and not told.
    pub(crate) unacked: u32,
    /// What came and was not taken, of the connection's window.
    pub(crate) held: u32,
    /// Of the body that the head announced, so much is to come.
    pub(crate) expected: Option<u64>,
    /// The response is one to HEAD.
    pub(crate) is_head: bool,
    /// The response's head was there, or the request's.
    pub(crate) headed: bool,
    /// The peer sends no more.
    pub(crate) recv_ended: bool,
    /// We send no more.
    pub(crate) send_ended: bool,
    /// Nobody takes what comes.
    pub(crate) deaf: bool,
    /// Over for the protocol; the handles may still be there.
    pub(crate) closed: bool,
    pub(crate) error: Option<Error>,
    pub(crate) head: Option<Box<ResponseHead>>,
    /// Interim responses that came before it, and how many there were; most have none.
    pub(crate) interim: VecDeque<ResponseHead>,
    pub(crate) interims: u8,
    pub(crate) inbox: Inbox,
    pub(crate) trailers: Option<Box<Trailers>>,
    pub(crate) recv_waker: Option<Waker>,
    pub(crate) send_waker: Option<Waker>,
    /// What of it went over the wire, frames' heads included.
    pub(crate) wire: Wire,
    /// Where it stands in the queue for the connection.
    pub(crate) turn: Turn,
    /// Bytes that it handed over since the last flush.
    pub(crate) burst: usize,
    /// Which flush that was.
    pub(crate) flush: u32,
}

/// A stream that has bytes to send, and a connection that takes them from one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    None,
    Queued,
    Granted,
}

impl Stream {
    pub(crate) fn new(id: u32, send_window: u32, recv_window: u32) -> Self {
        Stream {
            id,
            unseen: false,
            handles: 0,
            send_window: i64::from(send_window),
            recv_window: i64::from(recv_window),
            unacked: 0,
            held: 0,
            expected: None,
            is_head: false,
            headed: false,
            recv_ended: false,
            send_ended: false,
            deaf: false,
            closed: false,
            error: None,
            head: None,
            interim: VecDeque::new(),
            interims: 0,
            inbox: Inbox::default(),
            trailers: None,
            recv_waker: None,
            send_waker: None,
            wire: Wire::default(),
            turn: Turn::None,
            burst: 0,
            flush: 0,
        }
    }

    pub(crate) fn received_head(&mut self, bytes: usize) {
        self.wire.received += bytes as u64;
        self.wire.received_heads += bytes as u64;
    }

    pub(crate) fn sent_head(&mut self, bytes: usize) {
        self.wire.sent += bytes as u64;
        self.wire.sent_heads += bytes as u64;
    }

    pub(crate) fn wake_recv(&mut self) {
        if let Some(waker) = self.recv_waker.take() {
            waker.wake();
        }
    }

    pub(crate) fn wake_send(&mut self) {
        if let Some(waker) = self.send_waker.take() {
            waker.wake();
        }
    }

    pub(crate) fn wake(&mut self) {
        self.wake_recv();
        self.wake_send();
    }

    /// Nothing more comes or goes.
    pub(crate) fn fail(&mut self, error: &Error) {
        if self.error.is_none() {
            self.error = Some(error.clone());
        }
        self.wake();
    }

    /// The end of what was announced is here, or more than that came: `false`, malformed.
    pub(crate) fn count(&mut self, bytes: usize, ends: bool) -> bool {
        let Some(expected) = &mut self.expected else { return true };
        match expected.checked_sub(bytes as u64) {
            Some(left) => *expected = left,
            None => return false,
        }
        !ends || *expected == 0
    }
}

/// Remembers whom to wake.
pub(crate) fn remember(slot: &mut Option<Waker>, cx: &Context<'_>) {
    if !slot.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
        *slot = Some(cx.waker().clone());
    }
}
