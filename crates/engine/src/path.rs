//! Path normalisation, before anything is decided by a path.

use std::borrow::Cow;

use ir::http::EscapedSlashes;

/// What is done to a path: `normalize_path`, `merge_slashes` and `path_with_escaped_slashes_action`
/// of Envoy's connection manager.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Normalization {
    pub normalize: bool,
    pub merge_slashes: bool,
    pub escaped_slashes: EscapedSlashes,
}

/// What becomes of a request with its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// It goes on with this path.
    Forward(Cow<'a, [u8]>),
    /// 307 to this path.
    Redirect(Vec<u8>),
    /// 400.
    Reject,
}

/// Judges a path with its query, which stays as it is. In Envoy's order: escaped slashes, then
/// dot segments and escapes (RFC 3986, section 6.2.2), then runs of slashes. See
/// <https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto>.
pub fn normalize(path: &[u8], how: Normalization) -> Verdict<'_> {
    let end = path.iter().position(|b| *b == b'?').unwrap_or(path.len());
    let (only, query) = path.split_at(end);
    // A fragment is never sent; who sends it hopes that one of us cuts it off and the other does not.
    if path.contains(&b'#') {
        return Verdict::Reject;
    }
    // `*` of OPTIONS has nothing to normalise.
    if only.first() != Some(&b'/') || is_clean(only, how.merge_slashes) {
        return Verdict::Forward(Cow::Borrowed(path));
    }
    let mut out = Cow::Borrowed(only);
    let mut redirect = false;
    if how.escaped_slashes != EscapedSlashes::KeepUnchanged
        && let Some(unescaped) = unescape_slashes(only)
    {
        match how.escaped_slashes {
            EscapedSlashes::RejectRequest => return Verdict::Reject,
            action => redirect = action == EscapedSlashes::UnescapeAndRedirect,
        }
        out = Cow::Owned(unescaped);
    }
    if how.normalize {
        let Some(unescaped) = unescape(&out) else { return Verdict::Reject };
        out = Cow::Owned(remove_dots(&unescaped));
    }
    // Last: what was between two slashes may be gone only now.
    if how.merge_slashes && out.windows(2).any(|two| two == b"//") {
        out.to_mut().dedup_by(|next, before| *next == b'/' && *before == b'/');
    }
    match out {
        Cow::Borrowed(_) => Verdict::Forward(Cow::Borrowed(path)),
        Cow::Owned(mut out) => {
            out.extend_from_slice(query);
            if redirect { Verdict::Redirect(out) } else { Verdict::Forward(Cow::Owned(out)) }
        }
    }
}

/// Nothing in it that any step would change: what nearly every path is.
fn is_clean(path: &[u8], merge_slashes: bool) -> bool {
    let mut before = 0;
    path.iter().all(|byte| {
        let fine = match byte {
            b'.' => before != b'/',
            b'/' => !(merge_slashes && before == b'/'),
            b'%' | b'\\' => false,
            byte => !is_escaped(*byte),
        };
        before = *byte;
        fine
    })
}

/// Bytes that are written as escapes in a normalised path, as Envoy does it.
fn is_escaped(byte: u8) -> bool {
    !byte.is_ascii_graphic() || matches!(byte, b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}')
}

/// `%2F` and `%5C` decoded; `None` if there were none.
fn unescape_slashes(path: &[u8]) -> Option<Vec<u8>> {
    let mut out: Option<Vec<u8>> = None;
    let mut at = 0;
    while at < path.len() {
        let slash = match escape_at(path, at) {
            Some(slash @ (b'/' | b'\\')) => slash,
            _ => {
                if let Some(out) = &mut out {
                    out.push(path[at]);
                }
                at += 1;
                continue;
            }
        };
        out.get_or_insert_with(|| path[..at].to_vec()).push(slash);
        at += 3;
    }
    out
}

/// The byte that an escape at this place stands for.
fn escape_at(path: &[u8], at: usize) -> Option<u8> {
    let [b'%', high, low] = path.get(at..at + 3)? else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

/// Decodes escapes of unreserved bytes. Others stay, digits as they are, since a server may tell
/// them apart; so does what only looks like an escape. Backslashes become slashes. `None`: an
/// escaped NUL, at which some servers stop reading.
fn unescape(path: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(path.len());
    let mut at = 0;
    while let Some(byte) = path.get(at) {
        match (byte, escape_at(path, at)) {
            (_, Some(0)) => return None,
            (_, Some(value)) => {
                match value.is_ascii_alphanumeric() || matches!(value, b'-' | b'.' | b'_' | b'~') {
                    true => out.push(value),
                    false => out.extend_from_slice(&path[at..at + 3]),
                }
                at += 2;
            }
            (b'\\', None) => out.push(b'/'),
            (byte, None) if is_escaped(*byte) => {
                const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                out.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
            }
            (byte, None) => out.push(*byte),
        }
        at += 1;
    }
    Some(out)
}

/// RFC 3986, section 5.2.4: there is nothing above the root. Dots with parameters (`..;x`) are dots:
/// some servers take the parameters off, and climb. Envoy looks for them before it decodes escapes,
/// we do it after, so that a path that was normalised once stays as it is.
fn remove_dots(path: &[u8]) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(path.len());
    let mut segments = path[1..].split(|b| *b == b'/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment.split(|b| *b == b';').next().unwrap_or_default() {
            dots @ (b"." | b"..") => {
                if dots == b".." {
                    out.truncate(out.iter().rposition(|b| *b == b'/').unwrap_or(0));
                }
                if last {
                    out.push(b'/');
                }
            }
            _ => {
                out.push(b'/');
                out.extend_from_slice(segment);
            }
        }
    }
    if out.is_empty() {
        out.push(b'/');
    }
    out
}

#[cfg(test)]
mod tests;
