//! Giving back pages of the binary that only starting needed.
//!
//! One binary holds every role of the mesh, and the kernel maps 64 KiB around each page that is
//! touched (`fault_around_bytes`). Parsing a bootstrap, decoding protobuf and setting up TLS leave
//! most of the text resident in a process that serves requests with a fraction of it.

use std::ops::Range;

pub use crate::shelves::{Keeping, keep_blocks};

/// Drops the clean, read-only file pages that this process has mapped, and gives their number of
/// bytes. Nothing is lost: the page cache still has them, and what is needed again is mapped again
/// at its first use, for about a microsecond each. Call it when configuration has settled.
///
/// # Errors
/// `/proc/self/smaps` cannot be read (as in a container without `/proc`).
pub fn release_clean_pages() -> std::io::Result<usize> {
    let smaps = std::fs::read_to_string("/proc/self/smaps")?;
    let mut released = 0;
    for mapping in clean(&smaps) {
        if release(&mapping.range) {
            released += mapping.resident;
        }
    }
    Ok(released)
}

/// Gives back what this thread's heap holds free: mimalloc does it by itself only along with other
/// work, and a thread that has become idle has none. Takes some milliseconds after a large burst.
/// Every thread has to call it for itself, and gives back the blocks that it keeps, too. Without effect
/// if mimalloc is not the allocator.
#[allow(unsafe_code)]
pub fn collect() {
    unsafe extern "C" {
        fn mi_collect(force: bool);
    }
    crate::shelves::clear();
    // SAFETY: declared as in `mimalloc.h`. It may be called by any thread at any time, and touches
    // free memory only.
    unsafe { mi_collect(true) }
}

#[allow(unsafe_code)]
fn release(range: &Range<usize>) -> bool {
    // SAFETY: `clean` chose a private mapping of a file that is not writable and holds no page of
    // its own (`Anonymous: 0 kB`): every page equals the file's. MADV_DONTNEED on such a mapping
    // drops page-table entries only, and the next access maps the file's page again. A mapping
    // that is gone since it was listed gives ENOMEM; none of ours that is not writable turns into
    // one with pages of its own, since relocation ended before `main`.
    unsafe { libc::madvise(range.start as *mut libc::c_void, range.len(), libc::MADV_DONTNEED) == 0 }
}

#[derive(Debug, PartialEq, Eq)]
struct Mapping {
    range: Range<usize>,
    /// Bytes of it in memory.
    resident: usize,
}

/// The private read-only file mappings of which no page was copied. RELRO is read-only too, but
/// was relocated: it has pages of its own, and is not among them.
fn clean(smaps: &str) -> Vec<Mapping> {
    let mut found = Vec::new();
    let mut current: Option<Mapping> = None;
    for line in smaps.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(first), Some(second)) = (words.next(), words.next()) else { continue };
        match first.strip_suffix(':') {
            None => {
                found.extend(current.take());
                current = file_mapping(first, second, words.nth(2));
            }
            Some("Rss") => {
                if let (Some(mapping), Ok(kib)) = (&mut current, second.parse::<usize>()) {
                    mapping.resident = kib << 10;
                }
            }
            Some("Anonymous" | "Swap" | "Locked") if second != "0" => current = None,
            Some(_) => {}
        }
    }
    found.extend(current);
    found.retain(|mapping| mapping.resident > 0);
    found
}

/// The head of a mapping, as in proc_pid_maps(5), if it is private, of a file and not writable.
fn file_mapping(range: &str, permissions: &str, inode: Option<&str>) -> Option<Mapping> {
    let (start, end) = range.split_once('-')?;
    let address = |text| usize::from_str_radix(text, 16).ok();
    let range = address(start)?..address(end)?;
    let fits = matches!(permissions, "r-xp" | "r--p") && inode.is_some_and(|inode| inode != "0");
    fits.then_some(Mapping { range, resident: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_untouched_file_pages_are_chosen() {
        let smaps = "\
1000-3000 r--p 00000000 fe:00 7 /bin/lateen\nRss: 8 kB\nAnonymous: 0 kB\nSwap: 0 kB\n\
3000-9000 r-xp 00002000 fe:00 7 /bin/lateen\nRss: 20 kB\nAnonymous: 0 kB\nVmFlags: rd ex\n\
9000-a000 r--p 00008000 fe:00 7 /bin/lateen\nRss: 4 kB\nAnonymous: 4 kB\n\
a000-b000 rw-p 00009000 fe:00 7 /bin/lateen\nRss: 4 kB\nAnonymous: 0 kB\n\
b000-c000 r--p 00000000 00:00 0 [vvar]\nRss: 4 kB\nAnonymous: 0 kB\n\
c000-d000 r--s 00000000 fe:00 9 /tmp/shared\nRss: 4 kB\nAnonymous: 0 kB\n\
d000-e000 r--p 00000000 fe:00 9 /lib/libc.so\nRss: 0 kB\nAnonymous: 0 kB\n";
        assert_eq!(
            clean(smaps),
            [
                Mapping { range: 0x1000..0x3000, resident: 8 << 10 },
                Mapping { range: 0x3000..0x9000, resident: 20 << 10 }
            ]
        );
    }

    #[test]
    fn the_process_goes_on_with_less() {
        let text = || -> usize {
            let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
            clean(&smaps).iter().map(|mapping| mapping.resident).sum()
        };
        let before = text();
        let released = release_clean_pages().unwrap();
        assert!(released > 0 && text() < before, "{released} of {before}, {} left", text());
    }
}
