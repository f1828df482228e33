//! The allocator of the binary.

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::c_void;

use mimalloc::MiMalloc;

use crate::shelves::{self, Class};

#[allow(unsafe_code)]
unsafe extern "C" {
    fn mi_malloc(size: usize) -> *mut c_void;
    fn mi_zalloc(size: usize) -> *mut c_void;
    fn mi_realloc(block: *mut c_void, size: usize) -> *mut c_void;
}

/// What every block of mimalloc is aligned to that is as large (`MI_MAX_ALIGN_SIZE`).
const GUARANTEED: usize = 16;

/// mimalloc, asked for aligned memory only where it would not be aligned anyway. [`MiMalloc`] always asks,
/// and whatever is larger than 1 KiB then takes a path of some hundred instructions, into a larger block.
///
/// Threads that keep blocks ([`crate::memory::keep_blocks`]) use what they freed last before they ask at all.
#[derive(Debug, Default)]
pub struct Allocator;

/// Whether any block of this size is aligned as it has to be. (Of less than 16 bytes a block is aligned
/// to 8, and nothing that small has to be more.)
const fn is_plain(layout: &Layout) -> bool {
    layout.align() <= GUARANTEED && layout.align() <= layout.size()
}

/// Whether blocks of this layout are asked for in the size of a class, so that any of it will do.
#[inline]
const fn class(align: usize, size: usize) -> Option<Class> {
    if align <= GUARANTEED { Class::of(size) } else { None }
}

// SAFETY: blocks of all ways come from the same heaps: `mi_free` and `mi_realloc` take either. `mi_malloc`
// and its like give blocks of the size asked for, or null, aligned to `max_align_t` where they are as large
// as that, else to the next smaller power of two: which `is_plain` makes sure is enough. A block whose layout
// has a class was last asked for in that class's size, by `alloc`, `alloc_zeroed` or `realloc`, so that it may
// take the place of any other of its class; and that size is a multiple of 16, so the block is aligned to 16.
// Nothing here panics.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if let Some(class) = class(layout.align(), layout.size()) {
            // SAFETY: callable with any size.
            return shelves::take(class).unwrap_or_else(|| unsafe { mi_malloc(class.size()).cast() });
        }
        match is_plain(&layout) {
            // SAFETY: callable with any size.
            true => unsafe { mi_malloc(layout.size()).cast() },
            // SAFETY: the caller's promises are the same.
            false => unsafe { MiMalloc.alloc(layout) },
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // mimalloc knows of memory that is zero already.
        if let Some(class) = class(layout.align(), layout.size()) {
            // SAFETY: callable with any size.
            return unsafe { mi_zalloc(class.size()).cast() };
        }
        match is_plain(&layout) {
            // SAFETY: callable with any size.
            true => unsafe { mi_zalloc(layout.size()).cast() },
            // SAFETY: the caller's promises are the same.
            false => unsafe { MiMalloc.alloc_zeroed(layout) },
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: nobody uses the block any more, by the caller's promise, and it is of its layout's class.
        if class(layout.align(), layout.size()).is_some_and(|class| unsafe { shelves::put(class, block) }) {
            return;
        }
        // SAFETY: the caller's promises are the same.
        unsafe { MiMalloc.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if let Some(new) = class(layout.align(), size) {
            return match class(layout.align(), layout.size()) == Some(new) {
                true => block,
                // SAFETY: `block` is one of mimalloc's, by the caller's promise.
                false => unsafe { mi_realloc(block.cast(), new.size()).cast() },
            };
        }
        match layout.align() <= GUARANTEED && layout.align() <= size {
            // SAFETY: `block` is one of mimalloc's, by the caller's promise.
            true => unsafe { mi_realloc(block.cast(), size).cast() },
            // SAFETY: the caller's promises are the same.
            false => unsafe { MiMalloc.realloc(block, layout, size) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was freed last comes first, for whoever is of its class, on threads that keep blocks.
    #[test]
    #[allow(unsafe_code)]
    fn blocks_are_kept_where_that_was_asked_for() {
        let layout = |size| Layout::from_size_align(size, 8).unwrap();
        // SAFETY: sizes are not 0, and every block is freed once, with its own layout or another of its class.
        unsafe {
            let (one, other) = (Allocator.alloc(layout(1000)), Allocator.alloc(layout(1000)));
            Allocator.dealloc(one, layout(1000));
            let keeping = crate::memory::keep_blocks();
            Allocator.dealloc(other, layout(1000));
            assert_eq!(Allocator.alloc(layout(950)), other);
            let grown = Allocator.realloc(other, layout(950), 1024);
            assert_eq!(grown, other, "it has been as large before");
            let grown = Allocator.realloc(grown, layout(1024), 1500);
            Allocator.dealloc(grown, layout(1500));
            assert_eq!(Allocator.alloc(layout(1536)), grown);
            let many: Vec<*mut u8> = (0..100).map(|_| Allocator.alloc(layout(2000))).collect();
            many.iter().for_each(|block| Allocator.dealloc(*block, layout(2000)));
            assert_eq!(Allocator.alloc(layout(2000)), many[63], "as many as there is room for");
            crate::memory::collect();
            Allocator.dealloc(many[63], layout(2000));
            Allocator.dealloc(grown, layout(1536));
            drop(keeping);
            assert!(shelves::take(Class::of(1536).unwrap()).is_none());
        }
    }

    /// Whatever is asked for is aligned, also after it has grown or shrunk, and keeps its bytes.
    #[test]
    #[allow(unsafe_code)]
    fn blocks_are_aligned() {
        let _keeping = crate::memory::keep_blocks();
        let aligns = [1, 2, 4, 8, 16, 32, 64, 128, 4096];
        let sizes = [1, 2, 3, 7, 8, 9, 15, 16, 17, 24, 40, 100, 1000, 1024, 1032, 2049, 5000, 70_000];
        for (align, size) in aligns.iter().flat_map(|align| sizes.iter().map(|size| (*align, *size))) {
            let layout = Layout::from_size_align(size, align).unwrap();
            let new = size / 2 + 13;
            // SAFETY: the layout's size is not 0, the block is freed with its own last layout, and written
            // to and read within its size.
            unsafe {
                let kept: Vec<*mut u8> = (0..5).map(|_| Allocator.alloc(layout)).collect();
                let zeroed = Allocator.alloc_zeroed(layout);
                assert!((0..size).all(|at| *zeroed.add(at) == 0), "{size}");
                for block in kept.into_iter().chain([zeroed]) {
                    assert_eq!(block as usize % align, 0, "{size} aligned to {align}");
                    block.write_bytes(7, size);
                    let block = Allocator.realloc(block, layout, new);
                    assert_eq!(block as usize % align, 0, "{size} to {new} aligned to {align}");
                    assert!((0..size.min(new)).all(|at| *block.add(at) == 7));
                    Allocator.dealloc(block, Layout::from_size_align(new, align).unwrap());
                }
            }
        }
    }
}
