//! Blocks that a thread has freed, the last one on top.
//!
//! A request's boxes live for some hundred microseconds and come in the same few sizes. mimalloc hands out
//! every block of a page before it hands out one for the second time, so that each request writes into
//! memory that no cache holds any more. From a shelf comes what was freed last, which is still there.

use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr::null_mut;

#[allow(unsafe_code)]
unsafe extern "C" {
    fn mi_free(block: *mut c_void);
}

/// The largest block that is kept.
const LARGEST: usize = 4096;
/// What a shelf may hold: so many blocks, of so many bytes together.
const BLOCKS: usize = 64;
const BYTES: usize = 128 * 1024;
/// Up to 128 bytes a class every 16 bytes, from there on four for each doubling, as mimalloc has them.
const CLASSES: usize = 28;

/// A size that blocks are made in. [`Class::of`] everything that it is good for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Class(usize);

impl Class {
    /// `None`: no such block is kept.
    #[inline]
    pub(crate) const fn of(size: usize) -> Option<Class> {
        if size <= 8 || size > LARGEST {
            return None;
        }
        let above = (size - 1) / 16;
        if above < 8 {
            return Some(Class(above));
        }
        let doubling = above.ilog2() as usize;
        Some(Class(8 + (doubling - 3) * 4 + ((above >> (doubling - 2)) & 3)))
    }

    /// Bytes of such a block: a multiple of 16, and at least what any member asked for.
    #[inline]
    pub(crate) const fn size(self) -> usize {
        match self.0.checked_sub(8) {
            None => (self.0 + 1) * 16,
            Some(at) => (5 + at % 4) << (5 + at / 4),
        }
    }
}

/// The beginning of a block that nobody uses.
struct Block {
    below: *mut Block,
}

#[derive(Clone, Copy)]
struct Shelf {
    top: *mut Block,
    held: usize,
    most: usize,
}

const EMPTY: Shelf = Shelf { top: null_mut(), held: 0, most: 0 };

thread_local! {
    // Without a destructor, so that it is there for as long as its thread.
    static SHELVES: UnsafeCell<[Shelf; CLASSES]> = const { UnsafeCell::new([EMPTY; CLASSES]) };
}

#[inline]
#[allow(unsafe_code)]
fn with<T>(f: impl FnOnce(&mut [Shelf; CLASSES]) -> T) -> T {
    // SAFETY: of this thread only, and no caller in this module gets here again from within `f`.
    SHELVES.with(|shelves| f(unsafe { &mut *shelves.get() }))
}

/// The block of this class that was freed last, of [`Class::size`] bytes and aligned to 16.
#[inline]
#[allow(unsafe_code)]
pub(crate) fn take(class: Class) -> Option<*mut u8> {
    with(|shelves| {
        let shelf = &mut shelves[class.0];
        if shelf.top.is_null() {
            return None;
        }
        let block = shelf.top;
        // SAFETY: whatever lies on a shelf was put there by `put`, which wrote its beginning, and nobody
        // else has it until it is taken.
        shelf.top = unsafe { (*block).below };
        shelf.held -= 1;
        Some(block.cast())
    })
}

/// Keeps a block. `false`: there is no room.
///
/// # Safety
/// The block is mimalloc's, was asked for with at least [`Class::size`] bytes, and nobody uses it any more.
#[inline]
#[allow(unsafe_code)]
pub(crate) unsafe fn put(class: Class, block: *mut u8) -> bool {
    with(|shelves| {
        let shelf = &mut shelves[class.0];
        if shelf.held >= shelf.most {
            return false;
        }
        let block = block.cast::<Block>();
        // SAFETY: it is the caller's to give away, and of 16 bytes or more, aligned to 16.
        unsafe { block.write(Block { below: shelf.top }) };
        shelf.top = block;
        shelf.held += 1;
        true
    })
}

/// Gives mimalloc back what this thread's shelves hold.
#[allow(unsafe_code)]
pub(crate) fn clear() {
    for class in (0..CLASSES).map(Class) {
        while let Some(block) = take(class) {
            // SAFETY: `put` was promised a block of mimalloc's.
            unsafe { mi_free(block.cast()) };
        }
    }
}

/// Shelves have room as long as this lives.
#[derive(Debug)]
#[must_use = "dropping it gives the blocks back"]
pub struct Keeping(PhantomData<*mut ()>);

/// Lets this thread keep blocks that it frees, at most 1.5 MiB, to use them again: for threads that make
/// and free the same all the time. [`crate::memory::collect`] gives them back. Has an effect where
/// [`crate::Allocator`] is the allocator.
pub fn keep_blocks() -> Keeping {
    with(|shelves| {
        for (at, shelf) in shelves.iter_mut().enumerate() {
            shelf.most = BLOCKS.min(BYTES / Class(at).size());
        }
    });
    Keeping(PhantomData)
}

impl Drop for Keeping {
    fn drop(&mut self) {
        with(|shelves| shelves.iter_mut().for_each(|shelf| shelf.most = 0));
        clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_large_enough_for_its_members_and_not_much_larger() {
        assert!(Class::of(8).is_none() && Class::of(LARGEST + 1).is_none());
        let mut last = 0;
        for size in 9..=LARGEST {
            let class = Class::of(size).unwrap();
            assert!(class.0 == last || class.0 == last + 1, "{size}");
            last = class.0;
            assert!(class.size() >= size && class.size().is_multiple_of(16), "{size}");
            assert!(class.size() < size + 16 || class.size() * 4 < size * 5, "{size}: {}", class.size());
            assert!(Class::of(class.size()) == Some(class));
        }
        assert_eq!(last + 1, CLASSES);
    }

    /// The sum that [`keep_blocks`] names.
    #[test]
    fn there_is_an_end() {
        let all: usize = (0..CLASSES).map(|at| BYTES.min(BLOCKS * Class(at).size())).sum();
        assert!(all <= 1536 * 1024, "{all}");
    }
}
