//! Header fields as an arena of lines plus an index. Nothing is parsed twice or copied apart: an
//! edit marks a line dead or appends one, and writing out copies runs of living lines.

use std::borrow::Cow;
use std::ops::Range;

use bytes::BytesMut;

use crate::tokens::{Known, elements, has_controls, is_token, known_by, tag};
use crate::{block, spare};

/// The fields of a head. Names keep their case and compare without it.
#[derive(Debug, Default)]
pub struct Headers {
    /// The head as it was read; behind it what edits added.
    pub(crate) arena: Vec<u8>,
    lines: Vec<Line>,
    /// A bit for each [`Known`] that some line is or was.
    seen: u16,
    /// The [`bit`] of each name that some line has or had. Most names that are asked for are not there.
    present: u32,
}

/// One field line, as offsets into the arena.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    start: u32,
    name_end: u32,
    value_start: u32,
    value_end: u32,
    /// Behind its CRLF.
    end: u32,
    /// Of its name: tells nearly all others apart.
    tag: u32,
    known: Known,
    /// Not removed.
    alive: bool,
    /// No hop is to keep it for compression (RFC 7541, section 7.1.3).
    sensitive: bool,
}

/// One of 32 bits for the names with this [`tag`].
#[inline]
const fn bit(tag: u32) -> u32 {
    // Fibonacci hashing: the highest bits of the product are the best mixed.
    1 << (tag.wrapping_mul(0x9E37_79B1) >> 27)
}

impl Line {
    #[inline]
    fn is(&self, tag: u32, arena: &[u8], name: &[u8]) -> bool {
        self.tag == tag && block::same(&arena[self.start as usize..self.name_end as usize], name)
    }
}

impl Headers {
    /// Starts with these bytes and no fields.
    pub(crate) fn with_bytes(bytes: &[u8]) -> Self {
        let (mut arena, lines) = spare::take();
        arena.extend_from_slice(bytes);
        Headers { arena, lines, seen: 0, present: 0 }
    }

    /// Starts with these bytes and room for so many fields.
    pub(crate) fn with_lines(bytes: &[u8], count: usize) -> Self {
        let mut headers = Headers::with_bytes(bytes);
        headers.lines.reserve(count);
        headers
    }

    /// Indexes a line of the arena, where it begins with `name` and ends behind its CRLF.
    #[inline]
    pub(crate) fn index(&mut self, name: &[u8], line: Range<usize>, value: Range<usize>) -> Known {
        // Heads are far below 4 GiB: limits are in KiB and checked before.
        let tag = tag(name);
        let known = known_by(tag, name);
        self.seen |= 1 << known as u16;
        self.present |= bit(tag);
        self.lines.push(Line {
            start: line.start as u32,
            name_end: (line.start + name.len()) as u32,
            value_start: value.start as u32,
            value_end: value.end as u32,
            end: line.end as u32,
            tag,
            known,
            alive: true,
            sensitive: false,
        });
        known
    }

    /// Of the line that was indexed last.
    pub(crate) fn mark_sensitive(&mut self) {
        if let Some(last) = self.lines.last_mut() {
            last.sensitive = true;
        }
    }

    /// Name, value, and whether no hop is to keep it, of the living lines in order.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (Known, &[u8], &[u8], bool)> {
        self.alive().map(|line| (line.known, self.name(line), self.value(line), line.sensitive))
    }

    /// The first value.
    #[inline]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.matching(name).next()
    }

    #[inline]
    pub fn contains(&self, name: &str) -> bool {
        self.matching(name).next().is_some()
    }

    /// All values, in order.
    pub fn get_all<'s, 'n>(&'s self, name: &'n str) -> impl Iterator<Item = &'s [u8]> + use<'s, 'n> {
        self.matching(name)
    }

    /// All values, joined by `,`.
    pub fn joined(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let mut values = self.matching(name);
        let first = values.next()?;
        let Some(second) = values.next() else { return Some(Cow::Borrowed(first)) };
        let mut all = first.to_vec();
        for value in std::iter::once(second).chain(values) {
            all.push(b',');
            all.extend_from_slice(value);
        }
        Some(Cow::Owned(all))
    }

    /// Name and value, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.alive().map(|line| (self.name(line), self.value(line)))
    }

    pub fn len(&self) -> usize {
        self.alive().count()
    }

    pub fn is_empty(&self) -> bool {
        self.alive().next().is_none()
    }

    /// Replaces all values by this one. See [`Headers::append`].
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.remove(name);
        self.append(name, value);
    }

    /// Adds a value. Control characters in it become spaces, so that no edit can add a line; a
    /// name that is no token adds nothing.
    pub fn append(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.append_bytes(name.as_bytes(), value.as_ref());
    }

    /// Like [`Headers::append`], for names that are no `str`.
    pub fn append_bytes(&mut self, name: &[u8], value: &[u8]) {
        if !is_token(name) {
            return;
        }
        if has_controls(value) {
            let harmless = |byte: &u8| if byte.is_ascii_control() && *byte != b'\t' { b' ' } else { *byte };
            let value: Vec<u8> = value.iter().map(harmless).collect();
            self.push_line(name, &value);
        } else {
            self.push_line(name, value);
        }
    }

    /// Adds a line whose name and value are known to be fit.
    pub(crate) fn push_line(&mut self, name: &[u8], value: &[u8]) -> Known {
        let start = self.arena.len();
        self.arena.reserve(name.len() + value.len() + 4);
        self.arena.extend_from_slice(name);
        self.arena.extend_from_slice(b": ");
        let value_start = self.arena.len();
        self.arena.extend_from_slice(value);
        let value_end = self.arena.len();
        self.arena.extend_from_slice(b"\r\n");
        self.index(name, start..value_end + 2, value_start..value_end)
    }

    /// Removes all values; whether there were any.
    #[inline]
    pub fn remove(&mut self, name: &str) -> bool {
        let tag = tag(name.as_bytes());
        self.present & bit(tag) != 0 && remove_lines(&self.arena, &mut self.lines, tag, name.as_bytes())
    }

    /// Removes what Connection names, but fields without which the message would mean something else.
    pub(crate) fn remove_named_by_connection(&mut self) {
        let Headers { arena, lines, present, .. } = self;
        for at in 0..lines.len() {
            if !lines[at].alive || lines[at].known != Known::Connection {
                continue;
            }
            for name in elements(&arena[lines[at].value_start as usize..lines[at].value_end as usize]) {
                // What else is known goes anyway, or has to stay: Connection itself until all its lines
                // were read.
                let tag = tag(name);
                if *present & bit(tag) != 0 && matches!(known_by(tag, name), Known::Other | Known::Expect) {
                    remove_lines(arena, lines, tag, name);
                }
            }
        }
    }

    /// Removes every field whose name starts with `prefix`, in whatever case, and is `unwanted`.
    pub fn remove_where(&mut self, prefix: &str, unwanted: impl Fn(&[u8]) -> bool) {
        let Headers { arena, lines, .. } = self;
        let first = prefix.as_bytes().first().map(u8::to_ascii_lowercase);
        for line in lines.iter_mut().filter(|line| line.alive) {
            let name = &arena[line.start as usize..line.name_end as usize];
            // Nearly all names differ in their first letter.
            if first.is_some_and(|first| name.first().map(u8::to_ascii_lowercase) != Some(first)) {
                continue;
            }
            let start = name.get(..prefix.len());
            if start.is_some_and(|start| block::same(start, prefix.as_bytes())) && unwanted(name) {
                line.alive = false;
            }
        }
    }

    pub(crate) fn remove_known(&mut self, known: Known) {
        self.remove_all_known(&[known]);
    }

    pub(crate) fn remove_all_known(&mut self, all: &[Known]) {
        let mask = all.iter().fold(0u16, |mask, known| mask | 1 << *known as u16);
        if self.seen & mask != 0 {
            let lines = self.lines.iter_mut().filter(|line| mask & (1 << line.known as u16) != 0);
            lines.for_each(|line| line.alive = false);
        }
    }

    /// Whether such a line was there at any time.
    #[inline]
    pub(crate) fn may_have(&self, known: Known) -> bool {
        self.seen & (1 << known as u16) != 0
    }

    /// The first value of a field that has a meaning here.
    #[inline]
    pub(crate) fn get_known(&self, known: Known) -> Option<&[u8]> {
        self.all_known(known).next()
    }

    /// All its values.
    #[inline]
    pub(crate) fn all_known(&self, known: Known) -> impl Iterator<Item = &[u8]> {
        let lines = if self.may_have(known) { &self.lines[..] } else { &[] };
        let same = move |line: &&Line| line.alive && line.known == known;
        lines.iter().filter(same).map(|line| self.value(line))
    }

    /// Appends bytes that are no field, such as a new path.
    pub(crate) fn store(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.arena.len();
        self.arena.extend_from_slice(bytes);
        start..self.arena.len()
    }

    /// Copies the living lines out, except those that `skip` names, in as few runs as can be.
    pub(crate) fn write(&self, out: &mut BytesMut, skip: impl Fn(Known) -> bool) {
        let mut run = 0..0;
        for line in self.alive().filter(|line| !skip(line.known)) {
            if line.start as usize != run.end {
                out.extend_from_slice(&self.arena[run]);
                run = line.start as usize..line.start as usize;
            }
            run.end = line.end as usize;
        }
        out.extend_from_slice(&self.arena[run]);
    }

    fn alive(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.alive)
    }

    #[inline]
    fn matching<'s, 'n>(&'s self, name: &'n str) -> impl Iterator<Item = &'s [u8]> + use<'s, 'n> {
        let tag = tag(name.as_bytes());
        let lines = if self.present & bit(tag) == 0 { &[] } else { &self.lines[..] };
        let same = move |line: &&Line| line.alive && line.is(tag, &self.arena, name.as_bytes());
        lines.iter().filter(same).map(|line| self.value(line))
    }

    #[inline]
    fn name(&self, line: &Line) -> &[u8] {
        &self.arena[line.start as usize..line.name_end as usize]
    }

    #[inline]
    fn value(&self, line: &Line) -> &[u8] {
        &self.arena[line.value_start as usize..line.value_end as usize]
    }
}

/// Marks the lines of that name and its tag dead; whether there were any.
fn remove_lines(arena: &[u8], lines: &mut [Line], tag: u32, name: &[u8]) -> bool {
    let mut found = false;
    for line in lines.iter_mut().filter(|line| line.alive) {
        if line.is(tag, arena, name) {
            line.alive = false;
            found = true;
        }
    }
    found
}

impl Clone for Headers {
    fn clone(&self) -> Self {
        let mut copy = Headers::with_bytes(&self.arena);
        copy.lines.extend_from_slice(&self.lines);
        (copy.seen, copy.present) = (self.seen, self.present);
        copy
    }
}

impl Drop for Headers {
    fn drop(&mut self) {
        spare::give(std::mem::take(&mut self.arena), std::mem::take(&mut self.lines));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(headers: &Headers) -> String {
        let mut out = BytesMut::new();
        headers.write(&mut out, |_| false);
        String::from_utf8(out.to_vec()).unwrap()
    }

    #[test]
    fn edits_take_effect_when_written() {
        let mut headers = Headers::default();
        headers.append("A", "1");
        headers.append("b", "2");
        headers.append("a", "3");
        headers.append("c", "4");
        assert_eq!(written(&headers), "A: 1\r\nb: 2\r\na: 3\r\nc: 4\r\n");
        assert_eq!(headers.get("a"), Some(&b"1"[..]));
        assert_eq!(headers.joined("A").unwrap(), &b"1,3"[..]);
        headers.set("B", "5");
        assert!(headers.remove("a") && !headers.remove("a"));
        assert_eq!(written(&headers), "c: 4\r\nB: 5\r\n");
        assert_eq!(headers.len(), 2);
        let copy = headers.clone();
        drop(headers);
        assert_eq!(written(&copy), "c: 4\r\nB: 5\r\n");
    }

    #[test]
    fn no_edit_adds_a_line() {
        let mut headers = Headers::default();
        headers.append("a", "1\r\nevil: 2\0");
        headers.append("b: x\r\nc", "1");
        assert_eq!(written(&headers), "a: 1  evil: 2 \r\n");
    }
}
