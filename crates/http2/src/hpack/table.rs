//! The dynamic table, section 2.3.2, of either direction.

use std::collections::VecDeque;

use super::{INITIAL_SIZE, OVERHEAD};

/// Entries' bytes lie one behind the other in an arena. An evicted entry's bytes stay until the
/// arena is full: then those that live move to its beginning. They are at most half of it, so each
/// byte moves about once, and nothing is allocated for an entry.
#[derive(Debug)]
pub(crate) struct Table {
    /// The newest first, as the indices count.
    entries: VecDeque<Entry>,
    arena: Vec<u8>,
    /// What an entry's `start` is for the arena's first byte. It wraps around.
    origin: u32,
    /// As section 4.1 counts.
    size: usize,
    max: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u32,
    name_len: u32,
    /// Of name and value.
    len: u32,
    mark: u8,
}

/// An entry's bytes, and what the owner noted when it was inserted.
pub(crate) struct Stored<'t> {
    pub name: &'t [u8],
    pub value: &'t [u8],
    pub mark: u8,
}

impl Table {
    pub(crate) fn new() -> Self {
        Table { entries: VecDeque::new(), arena: Vec::new(), origin: 0, size: 0, max: INITIAL_SIZE }
    }

    /// The entry that was inserted as the `nth` last.
    #[inline]
    pub(crate) fn get(&self, nth: usize) -> Option<Stored<'_>> {
        let entry = self.entries.get(nth)?;
        let (start, name_len) = (self.offset(entry), entry.name_len as usize);
        let (name, value) = self.arena.get(start..start + entry.len as usize)?.split_at_checked(name_len)?;
        Some(Stored { name, value, mark: entry.mark })
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn max(&self) -> usize {
        self.max
    }

    /// Inserts an entry and evicts what there is no more room for: everything, and the new one as
    /// well, if that is larger than the table (section 4.4).
    pub(crate) fn insert(&mut self, name: &[u8], value: &[u8], mark: u8) {
        if self.make_room(name.len() + value.len()) {
            let start = self.end();
            self.arena.extend_from_slice(name);
            self.push(start, name.len(), value, mark);
        }
    }

    /// Inserts an entry with the name of the `nth`, which this may evict.
    pub(crate) fn insert_named_as(&mut self, nth: usize, value: &[u8]) {
        let Some(Entry { name_len, mark, .. }) = self.entries.get(nth).copied() else { return };
        let name_len = name_len as usize;
        // Evicts nothing yet, so that the name is still there.
        if !self.make_room(name_len + value.len()) {
            return;
        }
        let Some(from) = self.entries.get(nth).map(|entry| self.offset(entry)) else { return };
        let start = self.end();
        self.arena.extend_from_within(from..from + name_len);
        self.push(start, name_len, value, mark);
    }

    /// Sets the size and evicts what is too much.
    pub(crate) fn resize(&mut self, max: usize) {
        self.max = max;
        self.evict();
    }

    #[inline]
    fn offset(&self, entry: &Entry) -> usize {
        entry.start.wrapping_sub(self.origin) as usize
    }

    /// The next entry's `start`.
    fn end(&self) -> u32 {
        self.origin.wrapping_add(self.arena.len() as u32)
    }

    /// Room for so many bytes in the arena, with all entries still there; `false` if there can be
    /// none, and then there are no entries any more.
    fn make_room(&mut self, len: usize) -> bool {
        if len + OVERHEAD > self.max {
            self.entries.clear();
            self.size = 0;
            return false;
        }
        // Entries and a new one are `max` each at most: they fit once the dead bytes are gone.
        let most = 2 * self.max;
        if self.arena.len() + len > most {
            let dead = self.entries.back().map_or(self.arena.len(), |oldest| self.offset(oldest));
            self.arena.drain(..dead);
            self.origin = self.origin.wrapping_add(dead as u32);
        }
        let needed = self.arena.len() + len;
        if needed > self.arena.capacity() {
            // Doubles, as a vector does, but not beyond that.
            let capacity = needed.max(2 * self.arena.capacity()).max(512).min(most);
            self.arena.reserve_exact(capacity - self.arena.len());
        }
        true
    }

    /// Adds the value behind the name that is there already.
    #[inline]
    fn push(&mut self, start: u32, name_len: usize, value: &[u8], mark: u8) {
        self.arena.extend_from_slice(value);
        let len = name_len + value.len();
        self.entries.push_front(Entry { start, name_len: name_len as u32, len: len as u32, mark });
        self.size += len + OVERHEAD;
        self.evict();
    }

    #[inline]
    fn evict(&mut self) {
        while self.size > self.max
            && let Some(oldest) = self.entries.pop_back()
        {
            self.size -= oldest.len as usize + OVERHEAD;
        }
    }

    /// Sizes as section 4.1 counts them, and the memory that is held.
    #[cfg(test)]
    pub(crate) fn sizes(&self) -> (usize, usize) {
        let live = self.entries.iter().map(|entry| entry.len as usize + OVERHEAD).sum::<usize>();
        assert_eq!(live, self.size);
        (self.size, self.arena.capacity())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(table: &Table) -> Vec<(Vec<u8>, Vec<u8>)> {
        let pair = |nth| table.get(nth).map(|s| (s.name.to_vec(), s.value.to_vec())).unwrap();
        (0..table.len()).map(pair).collect()
    }

    #[test]
    fn an_entry_may_take_its_name_from_one_that_it_evicts() {
        let mut table = Table::new();
        table.resize(100);
        table.insert(b"a-name", &[b'1'; 40], 7);
        for _ in 0..10 {
            table.insert_named_as(0, &[b'2'; 60]);
            assert_eq!(all(&table), [(b"a-name".to_vec(), vec![b'2'; 60])]);
        }
        assert!(table.get(0).is_some_and(|stored| stored.mark == 7) && table.get(1).is_none());
        table.insert_named_as(0, &[b'3'; 80]);
        assert_eq!((table.len(), table.sizes().0), (0, 0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// The same as a list of pairs that is counted anew each time.
        #[test]
        fn is_like_a_plain_list(
            steps in prop::collection::vec((0..5usize, 0..60usize, 0..90usize), 0..200),
            origin: u32,
        ) {
            let mut table = Table::new();
            // It wraps around sooner or later.
            table.origin = origin | 0xffff_f000;
            let (mut list, mut max) = (Vec::<(Vec<u8>, Vec<u8>)>::new(), 4096);
            for (step, (what, name, value)) in steps.into_iter().enumerate() {
                let text = vec![step as u8; value];
                match what {
                    0 if value < 30 => {
                        max = value * 20;
                        table.resize(max);
                    }
                    1 if !list.is_empty() => {
                        let nth = name % list.len();
                        table.insert_named_as(nth, &text);
                        list.insert(0, (list[nth].0.clone(), text));
                    }
                    _ => {
                        table.insert(&vec![step as u8; name], &text, 0);
                        list.insert(0, (vec![step as u8; name], text));
                    }
                }
                while list.iter().map(|(n, v)| n.len() + v.len() + 32).sum::<usize>() > max {
                    list.pop();
                }
                prop_assert_eq!(all(&table), list.clone());
                let (size, memory) = table.sizes();
                prop_assert!(size <= max && memory <= 2 * 4096);
            }
        }
    }
}
