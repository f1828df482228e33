//! Envoy's format strings: text with `%OPERATOR(arguments):length%`, parsed once.

use super::Entry;
use super::operator::Operator;

/// A compiled format.
#[derive(Debug)]
pub struct Format {
    pieces: Vec<Piece>,
    response_headers: Box<[String]>,
}

#[derive(Debug)]
enum Piece {
    Text(Box<[u8]>),
    Operator { operator: Operator, max_len: Option<usize> },
}

/// What Envoy writes if no format is given.
/// See <https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/observability/access_log/usage#default-format-string>.
const ENVOY_DEFAULT: &str = concat!(
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" ",
    "%RESPONSE_CODE% %RESPONSE_FLAGS% %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ",
    "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" ",
    "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\"\n"
);

impl Format {
    pub fn envoy_default() -> Self {
        Self::parse(ENVOY_DEFAULT)
            .unwrap_or_else(|_| Format { pieces: Vec::new(), response_headers: Box::default() })
    }

    /// Reads a format string.
    ///
    /// # Errors
    /// Names the operator that is not known, or says what is wrong with its arguments.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            literal.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(tail) = rest.strip_prefix('%') {
                literal.push('%');
                rest = tail;
                continue;
            }
            let (name, arguments, max_len, tail) = command(rest)?;
            let operator = Operator::parse(name, arguments)?;
            if !literal.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut literal).into_bytes().into()));
            }
            pieces.push(Piece::Operator { operator, max_len });
            rest = tail;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal.into_bytes().into()));
        }
        let operators = pieces.iter().filter_map(|piece| match piece {
            Piece::Operator { operator, .. } => Some(operator),
            Piece::Text(_) => None,
        });
        let response_headers = operators.flat_map(Operator::response_headers).map(str::to_owned).collect();
        Ok(Format { pieces, response_headers })
    }

    /// Names of the response headers that it writes.
    pub fn response_headers(&self) -> &[String] {
        &self.response_headers
    }

    /// Appends the line of an entry.
    pub fn write(&self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Operator { operator, max_len } => {
                    let start = out.len();
                    operator.write(entry, out);
                    if out.len() == start {
                        out.push(b'-');
                    }
                    if let Some(max) = max_len {
                        out.truncate(start + max.min(&(out.len() - start)));
                    }
                }
            }
        }
    }
}

/// Takes `NAME(arguments):length%` apart: name, arguments, length, what follows.
fn command(text: &str) -> Result<(&str, Option<&str>, Option<usize>, &str), String> {
    let name_end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .ok_or_else(|| format!("%{text}: the operator is not closed by %"))?;
    let (name, mut rest) = text.split_at(name_end);
    let mut arguments = None;
    if let Some(inner) = rest.strip_prefix('(') {
        let end = inner.find(')').ok_or_else(|| format!("%{name}: the bracket is not closed"))?;
        arguments = Some(&inner[..end]);
        rest = &inner[end + 1..];
    }
    let mut max_len = None;
    if let Some(inner) = rest.strip_prefix(':') {
        let end = inner.find('%').unwrap_or(inner.len());
        let length =
            inner[..end].parse().map_err(|_| format!("%{name}%: {:?} is not a length", &inner[..end]))?;
        max_len = Some(length);
        rest = &inner[end..];
    }
    let rest = rest.strip_prefix('%').ok_or_else(|| format!("%{name}: the operator is not closed by %"))?;
    Ok((name, arguments, max_len, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access_log::{Flag, Headers, Record};
    use crate::connection::ConnInfo;
    use std::borrow::Cow;

    struct Fake;
    impl Headers for Fake {
        fn request(&self, name: &str) -> Option<Cow<'_, [u8]>> {
            let value: &[u8] = match name {
                ":method" => b"GET",
                ":path" => b"/x?y",
                "user-agent" => b"curl\n\"",
                _ => return None,
            };
            Some(Cow::Borrowed(value))
        }
        fn response(&self, name: &str) -> Option<Cow<'_, [u8]>> {
            (name == "server").then_some(Cow::Borrowed(b"envoy"))
        }
        fn trailer(&self, _: &str) -> Option<Cow<'_, [u8]>> {
            None
        }
    }

    #[track_caller]
    fn check(format: &str, expected: &str) {
        let mut record = Record::new();
        record.status = 503;
        record.flag(Flag::UF);
        record.flag(Flag::URX);
        record.details = "via_upstream".into();
        record.bytes_sent = 7;
        record.cluster = Some("outbound|80||a".into());
        let mut conn = ConnInfo::for_test("10.0.0.1:1000", "10.0.0.2:80");
        conn.sni = Some("a.example".into());
        let mut out = Vec::new();
        let entry = Entry { record: &record, conn: &conn, headers: &Fake };
        Format::parse(format).unwrap().write(&entry, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{format}");
    }

    #[test]
    fn writes_operators() {
        check("%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %REQ(X?Y)%", "GET /x?y -");
        check("%REQ(:PATH):2%|%RESP(Server):3%|%TRAILER(a)%", "/x|env|-");
        check("%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%", "503 UF,URX via_upstream");
        check("%BYTES_RECEIVED%/%BYTES_SENT% 100%%\n", "0/7 100%\n");
        check("%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_LOCAL_PORT%", "10.0.0.1:1000 80");
        check("%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%", "10.0.0.1");
        check("%REQUESTED_SERVER_NAME% %UPSTREAM_CLUSTER% %UPSTREAM_HOST%", "a.example outbound|80||a -");
        check("%REQ(USER-AGENT)%", "curl\\x0a\"");
    }

    #[test]
    fn refuses_what_it_does_not_know_by_name() {
        let check = |format: &str, part: &str| {
            let error = Format::parse(format).unwrap_err();
            assert!(error.contains(part), "{format}: {error}");
        };
        check("%NO_SUCH%", "NO_SUCH");
        check("%DYNAMIC_METADATA(a:b)%", "DYNAMIC_METADATA");
        check("%REQ%", "REQ");
        check("%START_TIME", "closed");
        check("%REQ(a", "bracket");
        check("%REQ(a):x%", "length");
        check("%PROTOCOL(a)%", "PROTOCOL");
    }
}
