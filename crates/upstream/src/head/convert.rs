//! From one protocol's form to the other's (RFC 9113, section 8): names in lower case, Host and
//! `:authority`, cookies, nothing that concerns one connection.

use std::fmt::Write as _;

use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};

use super::request::{H2Request, RequestForm};
use super::{RequestHead, append};
use super::{names, websocket};
use crate::Trailers;

/// Values that differ in every message, and so are worth no place in the peer's table of headers: `h2`
/// compares each with all that the table holds for its name. Of times the shortest gets a place, for the
/// name's sake.
/// Besides, `h2` compares a value with all others of its name that are in the table.
pub(super) fn mark_unique(map: &mut HeaderMap) {
    const UNIQUE: [&str; 4] = ["x-request-id", "traceparent", "x-b3-traceid", "x-b3-spanid"];
    for (name, value) in map.iter_mut() {
        let unique = match name.as_str() {
            "x-envoy-upstream-service-time" => value != "0",
            name => UNIQUE.contains(&name),
        };
        if unique {
            value.set_sensitive(true);
        }
    }
}

/// Pieces of a cookie become one again (RFC 9113, section 8.2.3), as Envoy makes it: servers that are
/// not used to pieces see the first one.
fn join_cookies(map: &mut HeaderMap) {
    if map.get_all(header::COOKIE).iter().nth(1).is_none() {
        return;
    }
    let all: Vec<&[u8]> = map.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(mut joined) = HeaderValue::from_bytes(&all.join(&b"; "[..])) {
        joined.set_sensitive(true);
        map.insert(header::COOKIE, joined);
    }
}

/// Of TE `trailers` stays.
fn strip_te(map: &mut HeaderMap) {
    let te = map.remove(header::TE);
    if te.is_some_and(|te| http1::has_token(te.as_bytes(), "trailers")) {
        map.insert(header::TE, HeaderValue::from_static("trailers"));
    }
}

impl RequestHead {
    /// As HTTP/1 sends it.
    ///
    /// # Errors
    /// Why it cannot be said in HTTP/1.
    pub(crate) fn to_h1(&self) -> Result<std::borrow::Cow<'_, http1::RequestHead>, &'static str> {
        match &self.form {
            RequestForm::H1(head) => Ok(std::borrow::Cow::Borrowed(head)),
            RequestForm::H2(head) => request_to_h1(head).map(std::borrow::Cow::Owned),
        }
    }

    /// As HTTP/2 sends it.
    ///
    /// # Errors
    /// Why it cannot be said in HTTP/2.
    pub(crate) fn to_h2(&self) -> Result<Request<()>, &'static str> {
        let mut request = Request::new(());
        *request.uri_mut() = self.uri()?;
        *request.version_mut() = http::Version::HTTP_2;
        match &self.form {
            RequestForm::H2(head) => {
                *request.method_mut() = head.method.clone();
                // Nothing in it is of a connection: `h2` takes no such head, and we add none.
                *request.headers_mut() = head.fields.map.clone();
                join_cookies(request.headers_mut());
            }
            RequestForm::H1(head) => {
                *request.method_mut() = Method::from_bytes(head.method()).map_err(|_| "method")?;
                *request.headers_mut() = fields_to_h2(head, true);
            }
        }
        mark_unique(request.headers_mut());
        if let Some(protocol) = self.upgrade() {
            let protocol = std::str::from_utf8(protocol).map_err(|_| "upgrade")?;
            request.extensions_mut().insert(h2::ext::Protocol::from(protocol));
            *request.method_mut() = Method::CONNECT;
            websocket::to_h2(request.headers_mut());
        }
        Ok(request)
    }

    fn uri(&self) -> Result<Uri, &'static str> {
        let (of_h2, new_authority, new_path) = match &self.form {
            RequestForm::H2(head) => (Some(&head.uri), head.new_authority.is_some(), head.new_path.is_some()),
            RequestForm::H1(_) => (None, true, true),
        };
        let mut parts = http::uri::Parts::default();
        parts.authority = Some(match of_h2.and_then(Uri::authority) {
            Some(authority) if !new_authority => authority.clone(),
            _ => Authority::try_from(self.authority()).map_err(|_| "authority")?,
        });
        // CONNECT has neither scheme nor path, unless it is the extended one.
        if !self.is_connect() {
            parts.scheme = Some(if self.scheme == "https" { Scheme::HTTPS } else { Scheme::HTTP });
            parts.path_and_query = Some(match of_h2.and_then(Uri::path_and_query) {
                Some(path) if !new_path => path.clone(),
                _ => path(self.path()).ok_or("path")?,
            });
        }
        Uri::from_parts(parts).map_err(|_| "target")
    }
}

/// A path as `http` takes it: it refuses some bytes that clients send unescaped.
fn path(bytes: &[u8]) -> Option<PathAndQuery> {
    PathAndQuery::try_from(bytes).ok().or_else(|| {
        let mut text = String::with_capacity(bytes.len() + 8);
        for byte in bytes {
            match byte {
                b'<' | b'>' | b'`' | b'"' | b'\\' | b'^' | b'{' | b'}' | b'|' | b'#' => {
                    let _ = write!(text, "%{byte:02X}");
                }
                byte if byte.is_ascii_graphic() => text.push(*byte as char),
                byte => {
                    let _ = write!(text, "%{byte:02X}");
                }
            }
        }
        PathAndQuery::try_from(text).ok()
    })
}

fn request_to_h1(head: &H2Request) -> Result<http1::RequestHead, &'static str> {
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| "target");
    let mut out = http1::RequestHead::new(head.method.as_str(), text(head.authority())?, text(head.path())?);
    let headers = &head.fields.map;
    for name in headers.keys() {
        match *name {
            header::COOKIE => {
                if let Some(all) = super::joined(headers, "cookie") {
                    out.append("cookie", all);
                }
            }
            header::HOST | header::EXPECT => {}
            header::TE => {
                if headers.get_all(name).iter().any(|te| http1::has_token(te.as_bytes(), "trailers")) {
                    out.append("te", "trailers");
                }
            }
            _ => headers.get_all(name).iter().for_each(|v| out.append_bytes(name.as_ref(), v.as_bytes())),
        }
    }
    if let Some(protocol) = head.extensions.get::<h2::ext::Protocol>() {
        websocket::to_h1(&mut out, protocol.as_str());
    }
    Ok(out)
}

/// Header lines as a map, without what concerns one connection, and without Host if `host` says
/// that `:authority` has it.
fn fields_to_h2(fields: &http1::Headers, host: bool) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(fields.len());
    for (name, value) in fields.iter() {
        let Some(name) = names::name(name) else { continue };
        if !(host && name == header::HOST) {
            map.append(name, super::value(value));
        }
    }
    strip_te(&mut map);
    map
}

pub(super) fn response_to_h2(head: &http1::ResponseHead) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(head.status()).unwrap_or(StatusCode::BAD_GATEWAY);
    *response.version_mut() = http::Version::HTTP_2;
    *response.headers_mut() = fields_to_h2(head, false);
    mark_unique(response.headers_mut());
    response
}

pub(super) fn response_to_h1(status: StatusCode, fields: &HeaderMap) -> http1::ResponseHead {
    let mut head = http1::ResponseHead::new(status.as_u16());
    for (name, value) in fields {
        head.append_bytes(name.as_ref(), value.as_bytes());
    }
    head
}

/// Trailers for an HTTP/2 stream; what may not be among them is left out.
pub fn h2_trailers(trailers: &Trailers) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(trailers.len());
    for (name, value) in trailers.iter() {
        append(&mut map, name, value);
    }
    map.remove(header::TE);
    map
}

/// Trailers of an HTTP/2 stream.
pub fn trailers_of_h2(map: &HeaderMap) -> Trailers {
    let mut trailers = Trailers::default();
    for (name, value) in map {
        trailers.push(names::name_bytes(name), names::value_bytes(value));
    }
    trailers
}

#[cfg(test)]
mod tests {
    use super::*;
    use http1::{BodyKind, Limits};

    fn h1(text: &str) -> RequestHead {
        let (head, _) = http1::RequestHead::parse(text.as_bytes(), &Limits::default()).unwrap().unwrap();
        RequestHead::from_h1(head, true)
    }

    fn h2(uri: &str, headers: &[(&str, &str)]) -> RequestHead {
        let mut request = Request::builder().method("POST").uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        RequestHead::from_h2(request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn goes_from_one_to_two() {
        let mut head = h1(
            "GET /a?b HTTP/1.1\r\nHost: h:1\r\nX-A: 1\r\nx-a: 2\r\nTE: trailers, gzip\r\nConnection: x-b\r\nX-B: 1\r\n\r\n",
        );
        head.strip_hop_by_hop(false);
        let request = head.to_h2().unwrap();
        assert_eq!(request.uri(), "https://h:1/a?b");
        let fields: Vec<_> =
            request.headers().iter().map(|(n, v)| format!("{n}={}", v.to_str().unwrap())).collect();
        assert_eq!(fields, ["x-a=1", "x-a=2", "te=trailers"]);
        let odd = h1("GET /a<b>|\"{}^ HTTP/1.1\r\nHost: h\r\n\r\n").to_h2().unwrap();
        assert!(odd.uri().path().starts_with("/a%3Cb%3E"), "{}", odd.uri());
        assert_eq!(h1("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n").to_h2().unwrap().uri().path(), "*");
    }

    #[test]
    fn goes_from_two_to_one() {
        let mut head = h2(
            "http://h:1/a?b",
            &[("cookie", "a=1"), ("cookie", "b=2"), ("x-a", "1"), ("te", "trailers"), ("host", "other")],
        );
        head.set("x-c", "3\r\nevil: 1");
        head.append("x-a", "2");
        head.set_path("/new");
        assert_eq!(head.get("host"), Some(&b"h:1"[..]));
        assert_eq!(head.joined("cookie").unwrap(), &b"a=1; b=2"[..]);
        let mut out = bytes::BytesMut::new();
        head.to_h1().unwrap().write(BodyKind::Chunked, &mut out);
        let text = String::from_utf8(out.to_vec()).unwrap();
        assert!(text.starts_with("POST /new HTTP/1.1\r\nhost: h:1\r\n"), "{text}");
        for line in [
            "cookie: a=1; b=2",
            "x-a: 1",
            "x-a: 2",
            "te: trailers",
            "x-c: 3  evil: 1",
            "transfer-encoding: chunked",
        ] {
            assert!(text.contains(&format!("\r\n{line}\r\n")), "{line} in {text}");
        }
        // What was written is one message.
        http1::RequestHead::parse(&out, &Limits::default()).unwrap().unwrap();
    }

    #[test]
    fn knows_grpc() {
        for (value, grpc) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            assert_eq!(h2("http://h/", &[("content-type", value)]).is_grpc(), grpc, "{value}");
        }
    }

    #[test]
    fn converts_responses() {
        let text = "HTTP/1.1 200 OK\r\nConnection: close\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 3\r\n\r\n";
        let (head, _) =
            http1::ResponseHead::parse(text.as_bytes(), b"GET", &Limits::default()).unwrap().unwrap();
        let response = crate::ResponseHead::from_h1(head).into_h2();
        assert_eq!(response.headers().get_all("set-cookie").iter().count(), 2);
        assert!(response.headers().get("connection").is_none());
        let head = crate::ResponseHead::from_h2(response.into_parts().0);
        assert_eq!(head.content_length(), Some(3));
        let mut out = bytes::BytesMut::new();
        head.into_h1().write(BodyKind::Length(3), &mut out);
        assert_eq!(out, "HTTP/1.1 200 OK\r\nset-cookie: a\r\nset-cookie: b\r\ncontent-length: 3\r\n\r\n");
    }
}
