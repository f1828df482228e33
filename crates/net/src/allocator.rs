//! The allocator of the binary.

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::c_void;

use mimalloc::MiMalloc;

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
#[derive(Debug, Default)]
pub struct Allocator;

/// Whether any block of this size is aligned as it has to be. (Of less than 16 bytes a block is aligned
/// to 8, and nothing that small has to be more.)
const fn is_plain(layout: &Layout) -> bool {
    layout.align() <= GUARANTEED && layout.align() <= layout.size()
}

// SAFETY: blocks of both ways come from the same heaps: `mi_free` and `mi_realloc` take either. `mi_malloc`
// and its like give blocks of the size asked for, or null, aligned to `max_align_t` where they are as large
// as that, else to the next smaller power of two: which `is_plain` makes sure is enough. Nothing here panics.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match is_plain(&layout) {
            // SAFETY: callable with any size.
            true => unsafe { mi_malloc(layout.size()).cast() },
            // SAFETY: the caller's promises are the same.
            false => unsafe { MiMalloc.alloc(layout) },
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match is_plain(&layout) {
            // SAFETY: callable with any size.
            true => unsafe { mi_zalloc(layout.size()).cast() },
            // SAFETY: the caller's promises are the same.
            false => unsafe { MiMalloc.alloc_zeroed(layout) },
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the same.
        unsafe { MiMalloc.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
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

    /// Whatever is asked for is aligned, also after it has grown or shrunk, and keeps its bytes.
    #[test]
    #[allow(unsafe_code)]
    fn blocks_are_aligned() {
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
