//! Heads that another version of HTTP brings field by field, and gives on so: one form of heads serves
//! all, and an edit is the same edit whatever is spoken on either side.

use std::ops::Range;

use crate::tokens::{Known, has_controls, is_lower_token, is_token};
use crate::{BodyKind, Headers, Refusal, RequestHead, ResponseHead, Version, has_token, target};

/// Why a field cannot be in an HTTP/2 message (RFC 9113, section 8.2): the message is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It is no token, or has upper-case letters.
    Name,
    /// It has a control character, or white space around it.
    Value,
    /// It concerns a connection, which HTTP/2 has frames for; or TE with something else than `trailers`.
    OfConnection,
}

/// Bytes of a head that are no field.
#[derive(Clone, Debug)]
pub struct Span(Range<usize>);

/// A head under construction: what is not a field, and the fields.
#[derive(Debug, Default)]
pub struct Assembly {
    headers: Headers,
}

impl Assembly {
    /// With the memory of a head that is over, where there is one.
    pub fn new() -> Self {
        Assembly { headers: Headers::with_bytes(b"") }
    }

    /// Keeps bytes that are no field: a method, a path.
    pub fn store(&mut self, bytes: &[u8]) -> Span {
        Span(self.headers.store(bytes))
    }

    /// Adds a field as it came. `checked`: the name is known to be a token in lower case.
    /// `sensitive`: no hop is to keep it for compression.
    ///
    /// # Errors
    /// See [`Unfit`].
    pub fn field(&mut self, name: &[u8], value: &[u8], checked: bool, sensitive: bool) -> Result<(), Unfit> {
        if !checked && !is_lower_token(name) {
            return Err(Unfit::Name);
        }
        if !is_fit(value) {
            return Err(Unfit::Value);
        }
        match self.headers.push_line(name, value) {
            Known::Connection
            | Known::KeepAlive
            | Known::ProxyConnection
            | Known::TransferEncoding
            | Known::Upgrade => return Err(Unfit::OfConnection),
            Known::Te if !value.eq_ignore_ascii_case(b"trailers") => return Err(Unfit::OfConnection),
            _ => {}
        }
        if sensitive {
            self.headers.mark_sensitive();
        }
        Ok(())
    }

    /// The fields as far as they are there.
    pub fn headers(&mut self) -> &mut Headers {
        &mut self.headers
    }

    /// A request. CONNECT has no `path`, but an authority.
    ///
    /// # Errors
    /// The method is no token, the path has no form of RFC 9112, section 3.2, that fits, or Host is no
    /// authority or there twice.
    pub fn request(self, method: Span, path: Option<Span>, body: BodyKind) -> Result<RequestHead, Refusal> {
        let mut head = RequestHead {
            headers: self.headers,
            method: method.0,
            path: 0..0,
            scheme: None,
            version: Version::Http11,
            body,
            keep_alive: true,
            expects_continue: false,
        };
        if !is_token(head.method()) {
            return Err(Refusal::Method);
        }
        let host = head.headers.get_known(Known::Host);
        if head.headers.all_known(Known::Host).nth(1).is_some() {
            return Err(Refusal::HostDuplicate);
        }
        if host.is_some_and(|host| !target::is_authority(host)) {
            return Err(Refusal::HostInvalid);
        }
        head.path = match path {
            Some(path) if is_path(&head.headers.arena[path.0.clone()]) => path.0,
            None if host.is_some() => 0..0,
            None => return Err(Refusal::HostMissing),
            Some(_) => return Err(Refusal::Target),
        };
        Ok(head)
    }

    /// A response with the usual reason.
    pub fn response(self, status: u16, body: BodyKind) -> ResponseHead {
        let mut head = ResponseHead {
            headers: self.headers,
            status,
            reason: 0..0,
            version: Version::Http11,
            body,
            keep_alive: true,
        };
        head.set_status(status);
        head
    }
}

impl Headers {
    /// Calls `field` with name (in lower case), value, and whether no hop is to keep it, for everything
    /// that HTTP/2 has a place for: nothing of the connection, of TE `trailers`, and no Host, which
    /// `:authority` stands for.
    pub fn for_http2(&self, mut field: impl FnMut(&[u8], &[u8], bool)) {
        for (known, name, value, sensitive) in self.lines() {
            match known {
                Known::Host
                | Known::Connection
                | Known::KeepAlive
                | Known::ProxyConnection
                | Known::TransferEncoding
                | Known::Upgrade => {}
                Known::Te if has_token(value, "trailers") => field(b"te", b"trailers", sensitive),
                Known::Te => {}
                _ if name.iter().any(u8::is_ascii_uppercase) => {
                    field(&name.to_ascii_lowercase(), value, sensitive);
                }
                _ => field(name, value, sensitive),
            }
        }
    }
}

/// A field's value as it may come over HTTP/2.
fn is_fit(value: &[u8]) -> bool {
    let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let control = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
    if blank(value.first()) || blank(value.last()) {
        return false;
    }
    !(has_controls(value) && value.iter().any(control))
}

fn is_path(path: &[u8]) -> bool {
    matches!(target::parse(path, false), Some(target::Target::Origin | target::Target::Asterisk))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assembled(fields: &[(&str, &str)]) -> Result<RequestHead, Unfit> {
        let mut head = Assembly::new();
        let (method, path) = (head.store(b"GET"), head.store(b"/a"));
        for (name, value) in fields {
            head.field(name.as_bytes(), value.as_bytes(), false, *name == "secret")?;
        }
        Ok(head.request(method, Some(path), BodyKind::None).unwrap())
    }

    #[test]
    fn a_head_is_as_if_it_had_been_parsed() {
        let head = assembled(&[("host", "h"), ("x-a", "1"), ("te", "trailers"), ("secret", "s")]).unwrap();
        assert_eq!((head.method(), head.path(), head.authority()), (&b"GET"[..], &b"/a"[..], &b"h"[..]));
        let mut out = bytes::BytesMut::new();
        head.write(BodyKind::None, &mut out);
        assert_eq!(&out[..], b"GET /a HTTP/1.1\r\nhost: h\r\nx-a: 1\r\nte: trailers\r\nsecret: s\r\n\r\n");
        let mut fields = Vec::new();
        head.for_http2(|name, value, sensitive| fields.push((name.to_vec(), value.to_vec(), sensitive)));
        let field = |name: &str, value: &str, sensitive| (name.into(), value.into(), sensitive);
        assert_eq!(
            fields,
            [field("x-a", "1", false), field("te", "trailers", false), field("secret", "s", true)]
        );
    }

    #[test]
    fn what_http2_has_no_place_for_is_refused_and_left_out() {
        for (name, value, why) in [
            ("X-A", "1", Unfit::Name),
            ("a b", "1", Unfit::Name),
            ("", "1", Unfit::Name),
            ("a", "1\r\nb: 2", Unfit::Value),
            ("a", "\0", Unfit::Value),
            ("a", " 1", Unfit::Value),
            ("connection", "close", Unfit::OfConnection),
            ("te", "gzip", Unfit::OfConnection),
            ("transfer-encoding", "chunked", Unfit::OfConnection),
        ] {
            assert_eq!(assembled(&[(name, value)]).unwrap_err(), why, "{name}: {value}");
        }
        let text = "GET / HTTP/1.1\r\nHost: h\r\nConnection: x\r\nTE: gzip, trailers\r\nX-A: 1\r\n\r\n";
        let (head, _) = RequestHead::parse(text.as_bytes(), &crate::Limits::default()).unwrap().unwrap();
        let mut fields = Vec::new();
        head.for_http2(|name, value, _| {
            fields.push(format!("{}={}", name.escape_ascii(), value.escape_ascii()))
        });
        assert_eq!(fields, ["te=trailers", "x-a=1"]);
    }
}
