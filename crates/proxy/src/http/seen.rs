//! A request as formats see it.

use std::borrow::Cow;

use upstream::{RequestHead, ResponseHead};

use super::context::Context;
use crate::format::Headers;

/// A request as formats see it.
pub struct Seen<'a> {
    pub ctx: &'a Context,
    /// A response on its way; else what was remembered of it for the log.
    pub response: Option<&'a ResponseHead>,
    /// Of an answer of our own.
    pub body: &'a [u8],
}

impl<'a> Seen<'a> {
    pub fn new(ctx: &'a Context) -> Self {
        Seen { ctx, response: None, body: b"" }
    }
}

impl Headers for Seen<'_> {
    fn request(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let head = &self.ctx.head;
        match name {
            _ if self.ctx.unread => None,
            ":method" => Some(head.method().into()),
            // CONNECT has none.
            ":path" => Some(head.path().into()).filter(|path: &Cow<'_, [u8]>| !path.is_empty()),
            ":authority" | "host" => Some(head.authority().into()),
            ":scheme" => Some(head.scheme().as_bytes().into()),
            // Of several the first, as in Envoy.
            name => head.get(name).map(Cow::Borrowed),
        }
    }

    fn response(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        match self.response {
            Some(head) if name == ":status" => Some(head.status().to_string().into_bytes().into()),
            Some(head) => head.get(name).map(Cow::Borrowed),
            None if name == ":status" => Some(self.ctx.record.status.to_string().into_bytes().into()),
            None => {
                let mut remembered = self.ctx.response.iter();
                remembered.find(|(n, _)| **n == *name).map(|(_, value)| Cow::Borrowed(&value[..]))
            }
        }
    }

    fn trailer(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let trailers = self.ctx.progress.trailers.borrow();
        trailers.as_ref()?.get(name).map(|value| value.to_vec().into())
    }

    fn metadata(&self) -> Option<&ir::Metadata> {
        self.ctx.filters.as_ref().map(|state| &state.metadata)
    }

    fn request_bytes(&self) -> u64 {
        if self.ctx.unread { 0 } else { request_bytes(&self.ctx.head) }
    }

    fn trailer_bytes(&self) -> u64 {
        let mut sum = 0;
        if let Some(trailers) = self.ctx.progress.trailers.borrow().as_ref() {
            sum = trailers.iter().map(|(name, value)| (name.len() + value.len()) as u64).sum();
        }
        sum
    }

    fn local_reply_body(&self) -> &[u8] {
        self.body
    }

    fn head(&self) -> Option<&RequestHead> {
        (!self.ctx.unread).then_some(&self.ctx.head)
    }
}

/// Names and values of a request's head in bytes, as Envoy keeps them.
fn request_bytes(head: &RequestHead) -> u64 {
    let pseudo = [
        (":method", head.method()),
        (":path", head.path()),
        (":authority", head.authority()),
        (":scheme", head.scheme().as_bytes()),
    ];
    let mut sum: usize = pseudo.iter().map(|(name, value)| name.len() + value.len()).sum();
    head.for_each(|name, value| sum += name.len() + value.len());
    sum as u64
}

/// As that, of a response's.
pub(super) fn response_bytes(head: &ResponseHead) -> u64 {
    let mut sum = ":status".len() + 3;
    head.for_each(|name, value| sum += name.len() + value.len());
    sum as u64
}
