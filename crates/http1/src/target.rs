//! The request target (RFC 9112, section 3.2) and authorities (RFC 3986, section 3.2).

use std::borrow::Cow;

use crate::tokens::alphanumeric_and;

/// The form of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    /// `/path?query`
    Origin,
    /// `http://authority/path`; the path begins at `path_at` and may be empty.
    Absolute { scheme: &'a str, authority: &'a [u8], path_at: usize },
    /// CONNECT's `host:port`.
    Authority(&'a [u8]),
    /// `*`
    Asterisk,
}

/// `None`: it has no such form, or bytes that must not be in one. Besides RFC 3986's characters
/// those are allowed that clients send unescaped (`"<>[]^`{|}\`), but no control character, space,
/// byte beyond ASCII, or fragment.
pub(crate) fn parse(bytes: &[u8], connect: bool) -> Option<Target<'_>> {
    if !bytes.iter().all(|b| b.is_ascii_graphic() && *b != b'#') {
        return None;
    }
    if connect {
        return (is_authority(bytes) && has_port(bytes)).then_some(Target::Authority(bytes));
    }
    match bytes {
        b"*" => Some(Target::Asterisk),
        [b'/', ..] => Some(Target::Origin),
        _ => absolute(bytes),
    }
}

fn absolute(bytes: &[u8]) -> Option<Target<'_>> {
    let is = |scheme: &str| {
        bytes.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme.as_bytes()))
            && bytes.get(scheme.len()..scheme.len() + 3) == Some(b"://")
    };
    let scheme = ["http", "https"].into_iter().find(|scheme| is(scheme))?;
    let start = scheme.len() + 3;
    let rest = &bytes[start..];
    let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
    let authority = &rest[..end];
    is_authority(authority).then_some(Target::Absolute { scheme, authority, path_at: start + end })
}

/// `host [":" port]`, not empty, without user information.
pub(crate) fn is_authority(bytes: &[u8]) -> bool {
    let (host, port) = match bytes {
        [b'[', ..] => match bytes.iter().position(|b| *b == b']') {
            Some(end) => (&bytes[..=end], &bytes[end + 1..]),
            None => return false,
        },
        _ => bytes.split_at(bytes.iter().position(|b| *b == b':').unwrap_or(bytes.len())),
    };
    is_host(host) && (port.is_empty() || is_port(port))
}

/// `:` and at most five digits; browsers send none after a lone colon, and RFC 3986 allows that.
fn is_port(bytes: &[u8]) -> bool {
    bytes[0] == b':' && bytes.len() <= 6 && bytes[1..].iter().all(u8::is_ascii_digit)
}

fn has_port(authority: &[u8]) -> bool {
    authority.iter().rev().take_while(|b| b.is_ascii_digit()).count() > 0
        && authority.iter().rposition(|b| *b == b':').is_some_and(|colon| !authority[colon..].contains(&b']'))
}

fn is_host(host: &[u8]) -> bool {
    match host {
        [b'[', inner @ .., b']'] => {
            inner.len() >= 2 && inner.iter().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
        }
        [] => false,
        _ => host.iter().all(|b| HOST[usize::from(*b)]),
    }
}

/// `_` stands in many service names; the rest is RFC 3986's reg-name.
static HOST: [bool; 256] = alphanumeric_and(b"-._~!$&'()*+,;=%");

/// A path that can stand in a request line.
pub(crate) fn harmless(path: &[u8]) -> Cow<'_, [u8]> {
    if !path.is_empty() && path.iter().all(u8::is_ascii_graphic) {
        return Cow::Borrowed(path);
    }
    let mut out = Vec::with_capacity(path.len() + 8);
    for byte in path {
        match byte.is_ascii_graphic() {
            true => out.push(*byte),
            false => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    if out.is_empty() {
        out.push(b'/');
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_forms_apart() {
        let absolute = |authority: &'static str, path_at| Target::Absolute {
            scheme: "http",
            authority: authority.as_bytes(),
            path_at,
        };
        for (text, connect, expected) in [
            ("/", false, Some(Target::Origin)),
            ("/a?b=[c]|d", false, Some(Target::Origin)),
            ("//evil/", false, Some(Target::Origin)),
            ("*", false, Some(Target::Asterisk)),
            ("http://a:80/b?c", false, Some(absolute("a:80", 11))),
            ("HTTP://a", false, Some(absolute("a", 8))),
            ("http://a?q", false, Some(absolute("a", 8))),
            ("http://[::1]:8080/", false, Some(absolute("[::1]:8080", 17))),
            ("http:///x", false, None),
            ("http://u@a/", false, None),
            ("ftp://a/", false, None),
            ("a:80", false, None),
            ("a/b", false, None),
            ("/a#b", false, None),
            ("/a b", false, None),
            ("/\u{e4}", false, None),
            ("", false, None),
            ("a:80", true, Some(Target::Authority(b"a:80"))),
            ("[::1]:443", true, Some(Target::Authority(b"[::1]:443"))),
            ("a", true, None),
            ("a:", true, None),
            ("[::1]", true, None),
            ("/", true, None),
        ] {
            assert_eq!(parse(text.as_bytes(), connect), expected, "{text}");
        }
    }

    #[test]
    fn judges_authorities() {
        for good in [
            "a",
            "a.b-c_d",
            "a:",
            "a:1",
            "127.0.0.1:65535",
            "[::1]",
            "[::ffff:1.2.3.4]:80",
            "outbound_.80_._.x",
        ] {
            assert!(is_authority(good.as_bytes()), "{good}");
        }
        for bad in [
            "", ":80", "a b", "a@b", "a:b", "a:123456", "[::1", "[]", "[::1]x", "a/b", "a,\tb", "::1",
            "a:80:80",
        ] {
            assert!(!is_authority(bad.as_bytes()), "{bad}");
        }
    }
}
