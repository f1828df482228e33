//! The head of a response.

use std::borrow::Cow;

/// A response's head as it came, or of our own making.
#[derive(Clone, Debug)]
pub struct ResponseHead(http1::ResponseHead);

impl ResponseHead {
    /// A head of our own.
    pub fn new(status: u16) -> Self {
        ResponseHead(http1::ResponseHead::new(status))
    }

    /// Whatever it came over.
    pub fn from_h1(head: http1::ResponseHead) -> Self {
        ResponseHead(head)
    }

    /// For a client.
    pub fn as_h1(&self) -> &http1::ResponseHead {
        &self.0
    }

    pub fn status(&self) -> u16 {
        self.0.status()
    }

    /// Below 100 and above 999 it becomes 500.
    pub fn set_status(&mut self, status: u16) {
        self.0.set_status(status);
    }

    /// The first value.
    #[inline]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name)
    }

    /// All values, joined by `,`.
    pub fn joined(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.0.joined(name)
    }

    /// How many field lines there are.
    pub fn field_count(&self) -> usize {
        self.0.len()
    }

    pub fn for_each(&self, mut f: impl FnMut(&[u8], &[u8])) {
        self.0.iter().for_each(|(name, value)| f(name, value));
    }

    /// Names are lower case. Values that no header may have are made harmless.
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.0.set(name, value);
    }

    pub fn append(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.0.append(name, value);
    }

    #[inline]
    pub fn remove(&mut self, name: &str) -> bool {
        self.0.remove(name)
    }

    /// Removes what concerns the endpoint's connection only. `keep_upgrade`: a 101 is passed on.
    pub fn strip_hop_by_hop(&mut self, keep_upgrade: bool) {
        self.0.strip_hop_by_hop(keep_upgrade);
    }

    pub fn content_length(&self) -> Option<u64> {
        http1::content_length(self.get("content-length")?).ok()
    }
}
