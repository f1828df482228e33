//! Envoy's format language: for access logs, for the values of headers, for the bodies of our own
//! answers. Formats are compiled with the configuration.

mod json;
mod operator;
mod template;
pub mod time;
pub mod values;
mod whole;

use std::borrow::Cow;
use std::ops::BitOrAssign;

use crate::access_log::Record;
use crate::connection::ConnInfo;

pub use template::{Template, TemplateError};
pub use values::Values;
pub use whole::Format;

/// Header values as they are now.
pub trait Headers {
    /// The value of a request header or pseudo-header, by lower-case name.
    fn request(&self, name: &str) -> Option<Cow<'_, [u8]>>;
    fn response(&self, name: &str) -> Option<Cow<'_, [u8]>>;
    fn trailer(&self, name: &str) -> Option<Cow<'_, [u8]>>;
    /// What filters have said of the request.
    fn metadata(&self) -> Option<&ir::Metadata> {
        None
    }
    /// The body that an answer of our own has before it is formatted.
    fn local_reply_body(&self) -> &[u8] {
        b""
    }
    /// Names and values of the request's head, in bytes.
    fn request_bytes(&self) -> u64 {
        0
    }
    /// As that, of the response's trailers.
    fn trailer_bytes(&self) -> u64 {
        0
    }
    /// The request as filters judge it.
    fn head(&self) -> Option<&upstream::RequestHead> {
        None
    }
}

/// A connection without requests has no headers.
pub struct NoHeaders;

impl Headers for NoHeaders {
    fn request(&self, _: &str) -> Option<Cow<'_, [u8]>> {
        None
    }
    fn response(&self, _: &str) -> Option<Cow<'_, [u8]>> {
        None
    }
    fn trailer(&self, _: &str) -> Option<Cow<'_, [u8]>> {
        None
    }
}

/// What is kept only where formats tell of it: more of certificates than names and fingerprint, which are
/// known anyway; and how exchanges with upstreams went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    pub clients: bool,
    pub servers: bool,
    pub exchange: bool,
}

impl Asks {
    pub fn of_clients(clients: bool) -> Self {
        Asks { clients, ..Asks::default() }
    }

    pub fn of_exchange() -> Self {
        Asks { exchange: true, ..Asks::default() }
    }

    /// Has certificates kept of the connections to come.
    pub fn tell(self, secrets: &identity::SecretStore) {
        if self.clients {
            secrets.keep_clients();
        }
        if self.servers {
            secrets.keep_servers();
        }
    }
}

impl BitOrAssign for Asks {
    fn bitor_assign(&mut self, other: Self) {
        self.clients |= other.clients;
        self.servers |= other.servers;
        self.exchange |= other.exchange;
    }
}

/// Everything that can be said of a request or a connection.
pub struct Entry<'a> {
    pub record: &'a Record,
    pub conn: &'a ConnInfo,
    pub headers: &'a dyn Headers,
}

#[cfg(test)]
mod tests;
