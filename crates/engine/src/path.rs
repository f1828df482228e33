//! Path normalisation, before anything is decided by a path.

use std::borrow::Cow;

/// The path cannot be normalised: it climbs above the root, or its escapes are broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPath;

/// Normalises the path part of `path` (a query stays as it is): RFC 3986 section 6.2.2, as Envoy's
/// `normalize_path`. Backslashes become slashes; escapes of unreserved characters are decoded,
/// others kept with upper-case digits (`%2F` stays escaped); `.` and `..` segments go.
/// `merge_slashes` then joins runs of slashes.
///
/// # Errors
/// [`BadPath`]: answer 400.
pub fn normalize(path: &[u8], merge_slashes: bool) -> Result<Cow<'_, [u8]>, BadPath> {
    let end = path.iter().position(|b| matches!(b, b'?' | b'#')).unwrap_or(path.len());
    let (only, rest) = path.split_at(end);
    if !needs_work(only, merge_slashes) {
        return Ok(Cow::Borrowed(path));
    }
    if only.first() != Some(&b'/') {
        // `*` of OPTIONS, or an authority: nothing to normalise.
        return Ok(Cow::Borrowed(path));
    }
    let mut out = remove_dots(&unescape(only)?)?;
    if merge_slashes {
        out.dedup_by(|next, before| *next == b'/' && *before == b'/');
    }
    out.extend_from_slice(rest);
    Ok(Cow::Owned(out))
}

fn needs_work(path: &[u8], merge_slashes: bool) -> bool {
    path.iter().any(|b| matches!(b, b'%' | b'\\'))
        || path.windows(2).any(|w| w == b"/." || (merge_slashes && w == b"//"))
}

fn unescape(path: &[u8]) -> Result<Vec<u8>, BadPath> {
    let mut out = Vec::with_capacity(path.len());
    let mut at = 0;
    while let Some(byte) = path.get(at) {
        match byte {
            b'\\' => out.push(b'/'),
            b'%' => {
                let hex = path.get(at + 1..at + 3).ok_or(BadPath)?;
                let text = std::str::from_utf8(hex).map_err(|_| BadPath)?;
                if !hex.iter().all(u8::is_ascii_hexdigit) {
                    return Err(BadPath);
                }
                let value = u8::from_str_radix(text, 16).map_err(|_| BadPath)?;
                if value.is_ascii_alphanumeric() || matches!(value, b'-' | b'.' | b'_' | b'~') {
                    out.push(value);
                } else {
                    out.push(b'%');
                    out.extend(hex.iter().map(u8::to_ascii_uppercase));
                }
                at += 2;
            }
            other => out.push(*other),
        }
        at += 1;
    }
    Ok(out)
}

/// RFC 3986 section 5.2.4, but climbing above the root is refused.
fn remove_dots(path: &[u8]) -> Result<Vec<u8>, BadPath> {
    let mut out: Vec<u8> = Vec::with_capacity(path.len());
    let mut segments = path[1..].split(|b| *b == b'/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            b"." => {
                if last {
                    out.push(b'/');
                }
            }
            b".." => {
                let parent = out.iter().rposition(|b| *b == b'/').ok_or(BadPath)?;
                out.truncate(parent);
                if last {
                    out.push(b'/');
                }
            }
            segment => {
                out.push(b'/');
                out.extend_from_slice(segment);
            }
        }
    }
    if out.is_empty() {
        out.push(b'/');
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, merge: bool, expected: Option<&str>) {
        let found = normalize(path.as_bytes(), merge).ok();
        assert_eq!(found.as_deref().map(|p| std::str::from_utf8(p).unwrap()), expected, "{path}");
    }

    #[test]
    fn normalises_as_envoy_does() {
        check("/a/b", false, Some("/a/b"));
        check("/a/./b/../c?x=/../y", false, Some("/a/c?x=/../y"));
        check("/a/%2e%2e/b", false, Some("/b"));
        check("/a%2fb%7e", false, Some("/a%2Fb~"));
        check("/a\\b", false, Some("/a/b"));
        check("/a//b", false, Some("/a//b"));
        check("/a//b", true, Some("/a/b"));
        check("/..", false, None);
        check("/a/../..", false, None);
        check("/%zz", false, None);
        check("/%2", false, None);
        check("/a/..", false, Some("/"));
        check("/a/.", false, Some("/a/"));
        check("*", false, Some("*"));
    }
}
