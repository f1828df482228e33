//! The head of a request.

use std::ops::{Deref, DerefMut, Range};

use bytes::BytesMut;
use httparse::Status;

use crate::parse;
use crate::scan;
use crate::target::{self, Target};
use crate::tokens::{Known, is_token, strip};
use crate::writer::announce;
use crate::{BodyKind, Headers, Limits, Refusal, framing};

/// Of a message. Others are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    Http10,
    Http11,
}

impl Version {
    /// `HTTP/1.0` or `HTTP/1.1`.
    pub fn as_str(self) -> &'static str {
        match self {
            Version::Http10 => "HTTP/1.0",
            Version::Http11 => "HTTP/1.1",
        }
    }
}

/// A request's head. Derefs to its [`Headers`]. An absolute-form target is read as if it had
/// come in origin-form with the target's authority as Host (RFC 9112, section 3.2.2).
#[derive(Clone, Debug)]
pub struct RequestHead {
    pub(crate) headers: Headers,
    pub(crate) method: Range<usize>,
    pub(crate) path: Range<usize>,
    pub(crate) scheme: Option<Range<usize>>,
    pub(crate) version: Version,
    pub(crate) body: BodyKind,
    pub(crate) keep_alive: bool,
    pub(crate) expects_continue: bool,
}

impl RequestHead {
    /// Reads a head from the beginning of `bytes`, and how long it is; `None`: it is not
    /// complete. One empty line before it is allowed.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Option<(Self, usize)>, Refusal> {
        let skipped = if bytes.starts_with(b"\r\n") { 2 } else { 0 };
        let bytes = &bytes[skipped..];
        if matches!(bytes.first(), Some(b'\n')) || bytes.starts_with(b"\r\n") {
            return Err(Refusal::StartLine);
        }
        let parsed = match scan::request(bytes, limits) {
            Some((found, len)) => Some((Self::from_found(found)?, len)),
            None => Self::parse_slowly(bytes, limits)?,
        };
        Ok(parsed.map(|(head, len)| (head, len + skipped)))
    }

    /// Whatever [`scan`] does not take.
    #[cold]
    pub(crate) fn parse_slowly(bytes: &[u8], limits: &Limits) -> Result<Option<(Self, usize)>, Refusal> {
        let parsed = parse::with_room(limits, |room| {
            let mut request = httparse::Request::new(&mut []);
            match request.parse_with_uninit_headers(bytes, room) {
                Ok(Status::Partial) => Ok(None),
                Ok(Status::Complete(len)) if len > limits.max_head_bytes() => Err(Refusal::HeadTooLarge),
                Ok(Status::Complete(len)) => Self::from_parsed(&bytes[..len], &request).map(Some),
                Err(error) => Err(parse::refusal(error, bytes)),
            }
        })?;
        if parsed.is_none() && bytes.len() > limits.max_head_bytes() {
            return Err(Refusal::HeadTooLarge);
        }
        Ok(parsed)
    }

    fn from_parsed(bytes: &[u8], request: &httparse::Request<'_, '_>) -> Result<(Self, usize), Refusal> {
        let method = request.method.unwrap_or_default();
        let path = request.path.unwrap_or_default();
        let version = if request.version == Some(0) { Version::Http10 } else { Version::Http11 };
        if !is_token(method.as_bytes()) {
            return Err(Refusal::Method);
        }
        let target = target::parse(path.as_bytes(), method == "CONNECT").ok_or(Refusal::Target)?;
        let start = path.as_ptr() as usize - bytes.as_ptr() as usize;
        let headers = parse::index(bytes, request.headers)?;
        let path = start..start + path.len();
        let mut head = Self::of(scan::Request { headers, method: 0..method.len(), path, version });
        head.check_host()?;
        head.apply(&target, start);
        head.decide()?;
        Ok((head, bytes.len()))
    }

    fn from_found(found: scan::Request) -> Result<Self, Refusal> {
        let mut head = Self::of(found);
        head.check_host()?;
        head.decide()?;
        Ok(head)
    }

    fn of(found: scan::Request) -> Self {
        let scan::Request { headers, method, path, version } = found;
        let (scheme, body, keep_alive, expects_continue) = (None, BodyKind::None, false, false);
        RequestHead { headers, method, path, scheme, version, body, keep_alive, expects_continue }
    }

    /// Exactly one valid Host, or none in HTTP/1.0.
    fn check_host(&self) -> Result<(), Refusal> {
        let mut hosts = self.headers.all_known(Known::Host);
        match (hosts.next(), hosts.next()) {
            (Some(_), Some(_)) => Err(Refusal::HostDuplicate),
            (Some(host), None) if target::is_authority(host) => Ok(()),
            // An empty Host says that the target has no authority, which none of ours is without.
            (Some(_), None) => Err(Refusal::HostInvalid),
            (None, _) if self.version == Version::Http10 => Ok(()),
            // Also where the target names a host: RFC 9112, section 3.2, wants the field.
            (None, _) => Err(Refusal::HostMissing),
        }
    }

    /// Makes Host and path agree with an absolute-form target or CONNECT's authority.
    fn apply(&mut self, target: &Target<'_>, start: usize) {
        match *target {
            Target::Origin | Target::Asterisk => {}
            Target::Authority(authority) => {
                self.headers.set("host", authority);
                self.path = 0..0;
            }
            Target::Absolute { scheme, authority, path_at } => {
                self.scheme = Some(start..start + scheme.len());
                self.headers.set("host", authority);
                let path = self.headers.arena[start + path_at..self.path.end].to_vec();
                self.path = match path.first() {
                    Some(b'/') => start + path_at..self.path.end,
                    // `http://host?query` and `http://host`.
                    _ => self.headers.store(&[b"/", &path[..]].concat()),
                };
                if path.is_empty() && self.method() == b"OPTIONS" {
                    self.path = self.headers.store(b"*");
                }
            }
        }
    }

    /// Framing, persistence, expectations.
    fn decide(&mut self) -> Result<(), Refusal> {
        self.body = framing::announced(&self.headers, self.version)?.unwrap_or(BodyKind::None);
        self.keep_alive = framing::keep_alive(&self.headers, self.version);
        if self.is_connect() && self.body != BodyKind::None {
            return Err(Refusal::ConnectWithBody);
        }
        if let Some(expected) = self.headers.get_known(Known::Expect) {
            if !expected.eq_ignore_ascii_case(b"100-continue") {
                return Err(Refusal::Expectation);
            }
            self.expects_continue = self.version == Version::Http11;
        }
        Ok(())
    }

    /// An HTTP/1.1 head without a body. `target` is a path with query, or `*`; for CONNECT the
    /// authority stands for it. Bytes that must not be in a request line become `%20`.
    pub fn new(method: &str, authority: &str, target: &str) -> Self {
        let mut head = RequestHead {
            headers: Headers::with_bytes(b""),
            method: 0..0,
            path: 0..0,
            scheme: None,
            version: Version::Http11,
            body: BodyKind::None,
            keep_alive: true,
            expects_continue: false,
        };
        head.set_method(method);
        head.set_path(target);
        head.set_authority(authority);
        head
    }

    pub fn method(&self) -> &[u8] {
        &self.headers.arena[self.method.clone()]
    }

    /// Path with query; `*` for OPTIONS; empty for CONNECT, which has its authority alone.
    pub fn path(&self) -> &[u8] {
        &self.headers.arena[self.path.clone()]
    }

    /// Host, or the authority of an absolute-form target. Empty in HTTP/1.0 without Host.
    pub fn authority(&self) -> &[u8] {
        self.headers.get_known(Known::Host).unwrap_or_default()
    }

    /// Of an absolute-form target.
    pub fn scheme(&self) -> Option<&[u8]> {
        self.scheme.clone().map(|range| &self.headers.arena[range])
    }

    pub fn version(&self) -> Version {
        self.version
    }

    /// What is no token is ignored.
    pub fn set_method(&mut self, method: &str) {
        if is_token(method.as_bytes()) {
            self.method = self.headers.store(method.as_bytes());
        }
    }

    /// Bytes that must not be in a request line are percent-encoded.
    pub fn set_path(&mut self, path: impl AsRef<[u8]>) {
        self.path = self.headers.store(&target::harmless(path.as_ref()));
    }

    /// Sets Host.
    pub fn set_authority(&mut self, authority: impl AsRef<[u8]>) {
        self.headers.remove_known(Known::Host);
        self.headers.append("host", authority);
    }

    /// How the body of the request as it was read is delimited.
    pub fn body_kind(&self) -> BodyKind {
        self.body
    }

    /// The sender lets the connection be used again.
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// `Expect: 100-continue` in HTTP/1.1.
    pub fn expects_continue(&self) -> bool {
        self.expects_continue
    }

    /// The value of Upgrade, if Connection names it.
    pub fn upgrade(&self) -> Option<&[u8]> {
        let upgrade = self.headers.get_known(Known::Upgrade)?;
        let named = self.headers.all_known(Known::Connection).any(|list| crate::has_token(list, "upgrade"));
        (named && self.version == Version::Http11).then_some(upgrade)
    }

    pub fn is_connect(&self) -> bool {
        self.method() == b"CONNECT"
    }

    /// Removes what concerns one connection only: Connection and the fields that it names,
    /// Keep-Alive, Proxy-Connection, Upgrade, Transfer-Encoding, Expect, TE (but `trailers`
    /// stays). With `keep_upgrade`, Upgrade and `Connection: upgrade` stay.
    pub fn strip_hop_by_hop(&mut self, keep_upgrade: bool) {
        let upgrade = if keep_upgrade { self.upgrade().map(<[u8]>::to_vec) } else { None };
        let trailers = self.headers.all_known(Known::Te).any(|list| crate::has_token(list, "trailers"));
        strip(&mut self.headers);
        self.headers.remove_known(Known::Expect);
        if trailers {
            self.headers.append("te", "trailers");
        }
        if let Some(upgrade) = upgrade {
            self.headers.append("connection", "upgrade");
            self.headers.append("upgrade", upgrade);
        }
    }

    /// Writes it as HTTP/1.1, with the fields that announce a body of this kind.
    pub fn write(&self, body: BodyKind, out: &mut BytesMut) {
        out.extend_from_slice(self.method());
        out.extend_from_slice(b" ");
        out.extend_from_slice(if self.is_connect() { self.authority() } else { self.path() });
        out.extend_from_slice(b" HTTP/1.1\r\n");
        self.headers.write(out, |known| matches!(known, Known::ContentLength | Known::TransferEncoding));
        announce(body, out);
        out.extend_from_slice(b"\r\n");
    }
}

impl Deref for RequestHead {
    type Target = Headers;
    fn deref(&self) -> &Headers {
        &self.headers
    }
}

impl DerefMut for RequestHead {
    fn deref_mut(&mut self) -> &mut Headers {
        &mut self.headers
    }
}
