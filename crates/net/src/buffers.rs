//! The buffers of a thread for moving bytes.

use std::cell::RefCell;

/// Bytes that are read at once. What a TCP socket has after a burst, and no more than a TLS
/// stream gives in a few records.
const BUFFER: usize = 32 * 1024;

/// Buffers that a thread keeps for the next use.
const KEPT: usize = 16;

thread_local! {
    static BUFFERS: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer of the thread's, whose bytes are of no meaning.
pub(crate) fn take() -> Box<[u8]> {
    BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_else(|| vec![0; BUFFER].into())
}

/// Takes it back.
pub(crate) fn give(buffer: Box<[u8]>) {
    // During the thread's end there may be no pool any more.
    let _ = BUFFERS.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        if pool.len() < KEPT {
            pool.push(buffer);
        }
    });
}
