//! The memory of heads that are over, which a thread keeps for those to come.

use std::cell::RefCell;

use crate::fields::Line;

/// How many are kept, and how large they may be for that: at most 1 MiB a thread.
const KEPT: usize = 64;
const KEPT_BYTES: usize = 8 * 1024;
const KEPT_LINES: usize = 8 * 1024 / size_of::<Line>();

thread_local! {
    static SPARE: RefCell<Vec<(Vec<u8>, Vec<Line>)>> = const { RefCell::new(Vec::new()) };
}

/// Bytes and index, both empty.
pub(crate) fn take() -> (Vec<u8>, Vec<Line>) {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Keeps them, if they are worth it.
pub(crate) fn give(mut arena: Vec<u8>, mut lines: Vec<Line>) {
    if arena.capacity() == 0 || arena.capacity() > KEPT_BYTES || lines.capacity() > KEPT_LINES {
        return;
    }
    arena.clear();
    lines.clear();
    // While the thread ends there is no store.
    let _ = SPARE.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if spare.len() < KEPT {
            spare.push((arena, lines));
        }
    });
}
