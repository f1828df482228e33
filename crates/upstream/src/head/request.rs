//! The head of a request.

use std::borrow::Cow;

use super::websocket;

/// A request's head as it came.
#[derive(Clone, Debug)]
pub struct RequestHead {
    head: http1::RequestHead,
    scheme: &'static str,
    /// It came over HTTP/2.
    http2: bool,
}

impl RequestHead {
    /// `https` says that the client used TLS.
    pub fn from_h1(head: http1::RequestHead, https: bool) -> Self {
        RequestHead { head, scheme: scheme(https), http2: false }
    }

    /// `https` is what the client's `:scheme` says.
    pub fn from_h2(head: http1::RequestHead, https: bool) -> Self {
        RequestHead { head, scheme: scheme(https), http2: true }
    }

    /// A head of our own, for callouts.
    pub fn new(method: &str, scheme: &'static str, authority: &str, path: &str) -> Self {
        RequestHead { head: http1::RequestHead::new(method, authority, path), scheme, http2: false }
    }

    pub fn method(&self) -> &[u8] {
        self.head.method()
    }

    /// `http` or `https`.
    pub fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// Host, or `:authority`.
    pub fn authority(&self) -> &[u8] {
        self.head.authority()
    }

    /// With the query.
    pub fn path(&self) -> &[u8] {
        self.head.path()
    }

    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2`: `%PROTOCOL%`.
    pub fn protocol(&self) -> &'static str {
        if self.http2 { "HTTP/2" } else { self.head.version().as_str() }
    }

    /// The first value.
    #[inline]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.head.get(name)
    }

    /// All values, joined by `,`.
    #[inline]
    pub fn joined(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.head.joined(name)
    }

    /// How many field lines there are, without pseudo-headers.
    pub fn field_count(&self) -> usize {
        self.head.len() - usize::from(self.http2 && self.head.contains("host"))
    }

    /// Without pseudo-headers and Host.
    pub fn for_each(&self, mut f: impl FnMut(&[u8], &[u8])) {
        let fields = self.head.iter().filter(|(name, _)| !name.eq_ignore_ascii_case(b"host"));
        fields.for_each(|(name, value)| f(name, value));
    }

    /// Names are lower case. Values that no header may have are made harmless.
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        self.head.set(name, value);
    }

    pub fn append(&mut self, name: &str, value: impl AsRef<[u8]>) {
        match name {
            // A second Host would make two messages of one.
            "host" => self.head.set(name, value),
            name => self.head.append(name, value),
        }
    }

    /// Host stays: every request has one.
    #[inline]
    pub fn remove(&mut self, name: &str) -> bool {
        name != "host" && self.head.remove(name)
    }

    /// Removes every header whose name starts with `prefix` (in lower case) and is `unwanted`, which is
    /// asked about names in whatever case. Not for Host.
    pub fn remove_where(&mut self, prefix: &str, unwanted: impl Fn(&[u8]) -> bool) {
        self.head.remove_where(prefix, unwanted);
    }

    /// What is no token is ignored.
    pub fn set_method(&mut self, method: &str) {
        self.head.set_method(method);
    }

    pub fn set_authority(&mut self, authority: impl AsRef<[u8]>) {
        self.head.set_authority(authority);
    }

    pub fn set_path(&mut self, path: impl AsRef<[u8]>) {
        self.head.set_path(path);
    }

    pub fn set_scheme(&mut self, https: bool) {
        self.scheme = scheme(https);
    }

    /// The protocol of an upgrade (HTTP/1's Upgrade or HTTP/2's `:protocol`).
    pub fn upgrade(&self) -> Option<&[u8]> {
        // RFC 9113, section 3.1: nobody has to take an upgrade to h2c, and it goes one hop only.
        self.head.upgrade().filter(|wanted| !wanted.eq_ignore_ascii_case(b"h2c"))
    }

    pub fn is_connect(&self) -> bool {
        self.head.is_connect()
    }

    /// Content-Type is `application/grpc` or `application/grpc+…`.
    pub fn is_grpc(&self) -> bool {
        let rest = self.get("content-type").and_then(|value| value.strip_prefix(b"application/grpc"));
        rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+')))
    }

    /// Removes what concerns the client's connection only; call it before anything is added.
    /// `keep_upgrade`: an upgrade is passed on.
    pub fn strip_hop_by_hop(&mut self, keep_upgrade: bool) {
        self.head.strip_hop_by_hop(keep_upgrade);
    }

    /// What the client announced.
    pub fn content_length(&self) -> Option<u64> {
        http1::content_length(self.get("content-length")?).ok()
    }

    /// As HTTP/1 sends it.
    pub(crate) fn to_h1(&self) -> Cow<'_, http1::RequestHead> {
        let mut head = Cow::Borrowed(&self.head);
        if self.http2 && self.upgrade().is_some_and(|wanted| wanted.eq_ignore_ascii_case(b"websocket")) {
            websocket::add_handshake(head.to_mut());
        }
        head
    }

    /// As HTTP/2 sends it.
    pub(crate) fn as_h2(&self) -> &http1::RequestHead {
        &self.head
    }
}

fn scheme(https: bool) -> &'static str {
    if https { "https" } else { "http" }
}

impl engine::Request for RequestHead {
    fn method(&self) -> &[u8] {
        self.method()
    }

    fn scheme(&self) -> &[u8] {
        self.scheme.as_bytes()
    }

    fn authority(&self) -> &[u8] {
        self.authority()
    }

    fn path(&self) -> &[u8] {
        self.path()
    }

    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.joined(name)
    }

    fn any_value(&self, name: &str, wanted: &mut dyn FnMut(&[u8]) -> bool) -> Option<bool> {
        let mut any = None;
        for value in self.head.get_all(name) {
            any = Some(any == Some(true) || wanted(value));
        }
        any
    }
}
