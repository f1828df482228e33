//! The head of a response.

use std::ops::{Deref, DerefMut, Range};

use bytes::BytesMut;
use httparse::Status;

use crate::parse;
use crate::scan;
use crate::status::reason;
use crate::tokens::{Known, strip};
use crate::writer::announce;
use crate::{BodyKind, Headers, Limits, Refusal, Version, framing};

/// A response's head. Derefs to its [`Headers`].
#[derive(Clone, Debug)]
pub struct ResponseHead {
    pub(crate) headers: Headers,
    pub(crate) status: u16,
    pub(crate) reason: Range<usize>,
    pub(crate) version: Version,
    pub(crate) body: BodyKind,
    pub(crate) keep_alive: bool,
}

impl ResponseHead {
    /// Reads a head from the beginning of `bytes`, and how long it is; `None`: it is not
    /// complete. `method` is the request's, because it decides whether there is a body.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn parse(bytes: &[u8], method: &[u8], limits: &Limits) -> Result<Option<(Self, usize)>, Refusal> {
        if matches!(bytes.first(), Some(b'\r' | b'\n')) {
            return Err(Refusal::StartLine);
        }
        match scan::response(bytes, limits) {
            Some((found, len)) => Self::of(found, method).map(|head| Some((head, len))),
            None => Self::parse_slowly(bytes, method, limits),
        }
    }

    /// Whatever [`scan`] does not take.
    #[cold]
    pub(crate) fn parse_slowly(
        bytes: &[u8],
        method: &[u8],
        limits: &Limits,
    ) -> Result<Option<(Self, usize)>, Refusal> {
        let parsed = parse::with_room(limits, |room| {
            let mut response = httparse::Response::new(&mut []);
            let config = httparse::ParserConfig::default();
            match config.parse_response_with_uninit_headers(&mut response, bytes, room) {
                Ok(Status::Partial) => Ok(None),
                Ok(Status::Complete(len)) if len > limits.max_head_bytes() => Err(Refusal::HeadTooLarge),
                Ok(Status::Complete(len)) => Self::from_parsed(&bytes[..len], &response, method).map(Some),
                Err(error) => Err(parse::refusal(error, bytes)),
            }
        })?;
        if parsed.is_none() && bytes.len() > limits.max_head_bytes() {
            return Err(Refusal::HeadTooLarge);
        }
        Ok(parsed)
    }

    fn from_parsed(
        bytes: &[u8],
        response: &httparse::Response<'_, '_>,
        method: &[u8],
    ) -> Result<(Self, usize), Refusal> {
        let version = if response.version == Some(0) { Version::Http10 } else { Version::Http11 };
        let status = response.code.filter(|code| *code >= 100).ok_or(Refusal::StartLine)?;
        let reason = response.reason.unwrap_or_default();
        // Without a reason httparse gives a text of its own.
        let start = (reason.as_ptr() as usize).wrapping_sub(bytes.as_ptr() as usize);
        let reason = if reason.is_empty() { 0..0 } else { start..start + reason.len() };
        let headers = parse::index(bytes, response.headers)?;
        let found = scan::Response { headers, status, reason, version };
        Ok((Self::of(found, method)?, bytes.len()))
    }

    fn of(found: scan::Response, method: &[u8]) -> Result<Self, Refusal> {
        let scan::Response { headers, status, reason, version } = found;
        let body = body_kind(&headers, version, status, method)?;
        let keep_alive = framing::keep_alive(&headers, version) && body != BodyKind::UntilClose;
        Ok(ResponseHead { headers, status, reason, version, body, keep_alive })
    }

    /// An HTTP/1.1 head with the usual reason.
    pub fn new(status: u16) -> Self {
        let mut head = ResponseHead {
            headers: Headers::with_bytes(b""),
            status: 0,
            reason: 0..0,
            version: Version::Http11,
            body: BodyKind::None,
            keep_alive: true,
        };
        head.set_status(status);
        head
    }

    pub fn status(&self) -> u16 {
        self.status
    }

    pub fn reason(&self) -> &[u8] {
        &self.headers.arena[self.reason.clone()]
    }

    pub fn version(&self) -> Version {
        self.version
    }

    /// With the usual reason. Below 100 and above 999 it becomes 500.
    pub fn set_status(&mut self, status: u16) {
        self.status = if (100..=999).contains(&status) { status } else { 500 };
        self.reason = self.headers.store(reason(self.status).as_bytes());
    }

    /// How the body of the response as it was read is delimited.
    pub fn body_kind(&self) -> BodyKind {
        self.body
    }

    /// The sender lets the connection be used again.
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// As [`crate::RequestHead::strip_hop_by_hop`].
    pub fn strip_hop_by_hop(&mut self, keep_upgrade: bool) {
        let upgrade = match keep_upgrade {
            true => self.headers.get_known(Known::Upgrade).map(<[u8]>::to_vec),
            false => None,
        };
        strip(&mut self.headers);
        if let Some(upgrade) = upgrade {
            self.headers.append("connection", "upgrade");
            self.headers.append("upgrade", upgrade);
        }
    }

    /// Writes it as HTTP/1.1, with the fields that announce a body of this kind. With
    /// [`BodyKind::None`] a Content-Length stays, for the answer to a HEAD or a 304.
    pub fn write(&self, body: BodyKind, out: &mut BytesMut) {
        out.extend_from_slice(b"HTTP/1.1 ");
        let digit = |number: u16| b'0' + (number % 10) as u8;
        out.extend_from_slice(&[digit(self.status / 100), digit(self.status / 10), digit(self.status), b' ']);
        out.extend_from_slice(self.reason());
        out.extend_from_slice(b"\r\n");
        let keeps_length = body == BodyKind::None && !bodiless(self.status);
        self.headers.write(out, |known| match known {
            Known::ContentLength => !keeps_length,
            known => known == Known::TransferEncoding,
        });
        announce(body, out);
        out.extend_from_slice(b"\r\n");
    }
}

/// Responses that neither have a body nor say how long one would be.
pub(crate) fn bodiless(status: u16) -> bool {
    status < 200 || status == 204
}

/// RFC 9112, section 6.3.
fn body_kind(headers: &Headers, version: Version, status: u16, method: &[u8]) -> Result<BodyKind, Refusal> {
    let tunnel = method == b"CONNECT" && (200..300).contains(&status);
    if bodiless(status) || tunnel {
        return Ok(BodyKind::None);
    }
    let announced = framing::announced(headers, version)?;
    if method == b"HEAD" || status == 304 {
        return Ok(BodyKind::None);
    }
    Ok(announced.unwrap_or(BodyKind::UntilClose))
}

impl Deref for ResponseHead {
    type Target = Headers;
    fn deref(&self) -> &Headers {
        &self.headers
    }
}

impl DerefMut for ResponseHead {
    fn deref_mut(&mut self) -> &mut Headers {
        &mut self.headers
    }
}
