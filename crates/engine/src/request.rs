//! What the engine sees of a request.

use std::borrow::Cow;

/// A request's head. HTTP/1 heads and `http::HeaderMap` both implement it, so that no
/// conversion stands between a parser and a decision.
pub trait Request {
    fn method(&self) -> &[u8];
    /// `http` or `https`, as the client sees it.
    fn scheme(&self) -> &[u8];
    /// Host and port as the client wrote them.
    fn authority(&self) -> &[u8];
    /// The path with its query; empty for CONNECT, which has none.
    fn path(&self) -> &[u8];
    /// The value of a header (`name` in lower case); several values joined by `,`.
    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>>;
    /// Whether one of the values of a header (`name` in lower case) is wanted; `None`: there is none.
    fn any_value(&self, name: &str, wanted: &mut dyn FnMut(&[u8]) -> bool) -> Option<bool> {
        self.header(name).map(|value| wanted(&value))
    }
}

/// Whether one of the values of a header or pseudo-header is wanted; `None`: there is none.
pub(crate) fn any_value<R: Request + ?Sized>(
    request: &R,
    name: &str,
    wanted: &mut dyn FnMut(&[u8]) -> bool,
) -> Option<bool> {
    match name {
        ":method" | ":scheme" | ":authority" | "host" | ":path" => {
            value(request, name).map(|value| wanted(&value))
        }
        name => request.any_value(name, wanted),
    }
}

/// A header or pseudo-header by name.
pub(crate) fn value<'a, R: Request + ?Sized>(request: &'a R, name: &str) -> Option<Cow<'a, [u8]>> {
    match name {
        ":method" => Some(Cow::Borrowed(request.method())),
        ":scheme" => Some(Cow::Borrowed(request.scheme())),
        ":authority" | "host" => Some(Cow::Borrowed(request.authority())),
        // CONNECT has none.
        ":path" => Some(Cow::Borrowed(request.path())).filter(|path| !path.is_empty()),
        name => request.header(name),
    }
}

/// The path without query and fragment.
pub fn path_only(path: &[u8]) -> &[u8] {
    let end = path.iter().position(|b| matches!(b, b'?' | b'#')).unwrap_or(path.len());
    &path[..end]
}

/// The query, without `?` and fragment.
pub fn query(path: &[u8]) -> &[u8] {
    let Some(start) = path.iter().position(|b| *b == b'?') else { return &[] };
    let query = &path[start + 1..];
    let end = query.iter().position(|b| *b == b'#').unwrap_or(query.len());
    &query[..end]
}

/// The raw value of a query parameter; the first if there are several.
pub fn query_parameter<'a>(path: &'a [u8], name: &str) -> Option<&'a [u8]> {
    query(path).split(|b| *b == b'&').find_map(|pair| {
        let split = pair.iter().position(|b| *b == b'=');
        let (key, value) = split.map_or((pair, &b""[..]), |at| (&pair[..at], &pair[at + 1..]));
        (key == name.as_bytes()).then_some(value)
    })
}

/// `%20` and the like as the bytes that they stand for; what is no such thing stays.
pub fn percent_decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'%') {
        return Cow::Borrowed(text);
    }
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16)).map(|it| it as u8);
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        match (first, digit(tail.first()), digit(tail.get(1))) {
            (b'%', Some(high), Some(low)) => {
                out.push(high * 16 + low);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    Cow::Owned(out)
}

/// A path whose query lacks some parameters and has others, these at the end.
pub fn with_query<S: AsRef<str>>(path: &[u8], set: &[(S, S)], remove: &[S]) -> Vec<u8> {
    let gone = |pair: &[u8]| {
        let key = pair.split(|b| *b == b'=').next().unwrap_or_default();
        let named = set.iter().map(|(key, _)| key).chain(remove);
        named.into_iter().any(|name| name.as_ref().as_bytes() == key)
    };
    let mut out = path_only(path).to_vec();
    let old = query(path).split(|b| *b == b'&').filter(|pair| !pair.is_empty() && !gone(pair));
    let new = set.iter().map(|(key, value)| [key.as_ref(), "=", value.as_ref()].concat().into_bytes());
    for (i, pair) in old.map(<[u8]>::to_vec).chain(new).enumerate() {
        out.push(if i == 0 { b'?' } else { b'&' });
        out.extend_from_slice(&pair);
    }
    out
}

/// The value of a cookie; the first of that name, without quotes.
pub fn cookie<'a>(header: &'a [u8], name: &str) -> Option<&'a [u8]> {
    header.split(|b| *b == b';').find_map(|pair| {
        let pair = pair.trim_ascii();
        let value = pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some(value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value))
    })
}

/// The host of an authority, without its port; brackets of IPv6 addresses stay.
pub fn host_of(authority: &[u8]) -> &[u8] {
    let end = match authority.iter().rposition(|b| *b == b':') {
        // A colon inside brackets belongs to the address.
        Some(colon) if !authority[colon..].contains(&b']') => colon,
        _ => authority.len(),
    };
    &authority[..end]
}

/// A request as plain values: for tests, `explain` and `simulate`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlainRequest {
    pub method: String,
    pub scheme: String,
    pub authority: String,
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
}

impl PlainRequest {
    /// A GET of `path` at `authority` over plaintext.
    pub fn get(authority: &str, path: &str) -> Self {
        PlainRequest {
            method: "GET".into(),
            scheme: "http".into(),
            authority: authority.into(),
            path: path.into(),
            headers: Vec::new(),
        }
    }

    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.into()));
        self
    }
}

impl Request for PlainRequest {
    fn any_value(&self, name: &str, wanted: &mut dyn FnMut(&[u8]) -> bool) -> Option<bool> {
        let values = self.headers.iter().filter(|(n, _)| n == name).map(|(_, v)| wanted(v.as_bytes()));
        values.reduce(|any, this| any || this)
    }

    fn method(&self) -> &[u8] {
        self.method.as_bytes()
    }
    fn scheme(&self) -> &[u8] {
        self.scheme.as_bytes()
    }
    fn authority(&self) -> &[u8] {
        self.authority.as_bytes()
    }
    fn path(&self) -> &[u8] {
        self.path.as_bytes()
    }
    fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let mut values = self.headers.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str());
        let first = values.next()?;
        let joined = values.fold(Cow::Borrowed(first), |all, next| Cow::Owned(format!("{all},{next}")));
        Some(match joined {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_paths_and_hosts_apart() {
        assert_eq!(path_only(b"/a?b#c"), b"/a");
        assert_eq!(query(b"/a?b=1#c"), b"b=1");
        assert_eq!(query_parameter(b"/?a=1&b=2&b=3&c", "b"), Some(&b"2"[..]));
        assert_eq!(query_parameter(b"/?a=1&c", "c"), Some(&b""[..]));
        assert_eq!(query_parameter(b"/", "c"), None);
        assert_eq!(with_query(b"/p?a=1&b=2&c", &[("b", "9"), ("d", "4")], &["c"]), b"/p?a=1&b=9&d=4");
        assert_eq!(with_query(b"/p?a=1", &[], &["a"]), b"/p");
        assert_eq!(&*percent_decoded(b"a%20b%2g%4"), b"a b%2g%4");
        for (authority, host) in [("a:80", "a"), ("a", "a"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]")] {
            assert_eq!(host_of(authority.as_bytes()), host.as_bytes());
        }
    }
}
