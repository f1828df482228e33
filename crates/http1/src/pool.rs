//! The buffers of a thread. Taken when bytes are there, given back when they are consumed.

use std::cell::RefCell;

use bytes::{Buf, Bytes, BytesMut};

/// What a head and most bodies fit into.
pub const SMALL: usize = 16 * 1024;
/// For bodies that are known to be large.
pub const LARGE: usize = 64 * 1024;

/// Buffers of either size that a thread keeps: at most 1 MiB each.
const KEPT_SMALL: usize = 64;
const KEPT_LARGE: usize = 16;

#[derive(Default)]
struct Pool {
    small: Vec<BytesMut>,
    large: Vec<BytesMut>,
}

thread_local! {
    static POOL: RefCell<Pool> = RefCell::default();
}

/// An empty buffer with room for [`SMALL`] or [`LARGE`] bytes.
pub fn take(size: usize) -> BytesMut {
    let kept = POOL.with_borrow_mut(|pool| match size {
        LARGE => pool.large.pop(),
        _ => pool.small.pop(),
    });
    kept.unwrap_or_else(|| BytesMut::with_capacity(size))
}

/// Takes a buffer back whose bytes are of no use any more. Pieces of it may still be in use
/// elsewhere; then its memory is theirs.
pub fn give(mut buffer: BytesMut) {
    if buffer.capacity() == 0 {
        return;
    }
    buffer.clear();
    // Gets the room before the present position back, too, if nobody else has a piece. A buffer that
    // nothing was taken of has all its room.
    if !matches!(buffer.capacity(), SMALL | LARGE) && !buffer.try_reclaim(SMALL) {
        return;
    }
    let (size, kept) = if buffer.capacity() >= LARGE { (LARGE, KEPT_LARGE) } else { (SMALL, KEPT_SMALL) };
    // A buffer that grew for one large head is not kept. While the thread ends there is no pool.
    if buffer.capacity() <= LARGE {
        let _ = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            let stack = if size == LARGE { &mut pool.large } else { &mut pool.small };
            if stack.len() < kept {
                stack.push(buffer);
            }
        });
    }
}

/// Drops the first `len` bytes. A buffer that nothing is left in has all its room again, at no cost.
pub(crate) fn consume(buffer: &mut BytesMut, len: usize) {
    match len == buffer.len() {
        true => buffer.clear(),
        false => buffer.advance(len),
    }
}

/// Takes a piece of a body back that is of no more use. If it was the last of its buffer, that
/// serves again; dropping it instead frees the memory.
pub fn recycle(piece: Bytes) {
    if let Ok(buffer) = piece.try_into_mut() {
        give(buffer);
    }
}

/// Makes room for a read into an empty or partly filled buffer.
pub fn make_room(buffer: &mut BytesMut, size: usize) {
    match buffer.capacity() - buffer.len() {
        _ if buffer.capacity() == 0 => *buffer = take(size),
        room if room >= size / 4 => {}
        _ if !buffer.is_empty() => buffer.reserve(size),
        _ if buffer.try_reclaim(size) => {}
        _ => *buffer = take(size),
    }
}

/// How many buffers this thread keeps for later, small and large. For tests and statistics.
pub fn kept() -> (usize, usize) {
    POOL.with_borrow(|pool| (pool.small.len(), pool.large.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_once_its_pieces_are_gone() {
        let mut buffer = take(SMALL);
        let before = kept();
        buffer.extend_from_slice(b"hello world");
        let piece = buffer.split_to(5).freeze();
        drop(piece);
        give(buffer);
        assert_eq!(kept(), (before.0 + 1, before.1));
        let mut buffer = take(SMALL);
        assert!(buffer.is_empty() && buffer.capacity() >= SMALL);
        buffer.extend_from_slice(b"hello");
        let piece = buffer.split_to(5).freeze();
        give(buffer);
        assert_eq!(kept(), before);
        assert_eq!(&piece[..], b"hello");
        recycle(piece);
        assert_eq!(kept(), (before.0 + 1, before.1), "the last piece is the whole buffer");
    }
}
