//! Envoy's format strings: text with `%OPERATOR(arguments):length%`, parsed once.

use std::fmt;

use ir::access_log::{LogContent, LogFormat};

use super::Entry;
use super::json::Node;
use super::operator::Operator;

/// A compiled format of a log.
#[derive(Debug)]
pub struct Format {
    content: Content,
    omit_empty: bool,
    response_headers: Box<[String]>,
}

#[derive(Debug)]
enum Content {
    Text(Template),
    Json(Node),
}

/// Text with operators.
#[derive(Debug)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Text(Box<[u8]>),
    Operator { operator: Operator, max_len: Option<usize> },
}

/// What is wrong with a format, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    pub message: String,
    /// Of the operator's percent sign, in bytes from the beginning.
    pub position: usize,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at position {}", self.message, self.position)
    }
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
        let template = Template::parse(ENVOY_DEFAULT).unwrap_or_else(|_| Template { pieces: Vec::new() });
        Self::of(Content::Text(template), false)
    }

    /// Compiles a format.
    ///
    /// # Errors
    /// Names the operator that is not known, or says what is wrong with its arguments.
    pub fn compile(format: &LogFormat) -> Result<Self, TemplateError> {
        let content = match &format.content {
            LogContent::Text(text) => Content::Text(Template::parse(text)?),
            LogContent::Json(fields) => Content::Json(Node::object(fields)?),
        };
        Ok(Self::of(content, format.omit_empty_values))
    }

    fn of(content: Content, omit_empty: bool) -> Self {
        let mut names = Vec::new();
        let mut note = |template: &Template| {
            names.extend(template.operators().flat_map(Operator::response_headers).map(str::to_owned));
        };
        match &content {
            Content::Text(template) => note(template),
            Content::Json(node) => node.each_template(&mut note),
        }
        names.sort();
        names.dedup();
        Format { content, omit_empty, response_headers: names.into() }
    }

    /// Names of the response headers that it writes.
    pub fn response_headers(&self) -> &[String] {
        &self.response_headers
    }

    /// Appends the line of an entry.
    pub fn write(&self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        match &self.content {
            Content::Text(template) => template.write(entry, self.omit_empty, out),
            Content::Json(node) => {
                if !node.write(entry, self.omit_empty, out) {
                    out.extend_from_slice(b"{}");
                }
                out.push(b'\n');
            }
        }
    }
}

impl Template {
    /// Reads a format string.
    ///
    /// # Errors
    /// Names the operator that is not known, or says what is wrong with its arguments.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            let position = text.len() - rest.len() + at;
            literal.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(tail) = rest.strip_prefix('%') {
                literal.push('%');
                rest = tail;
                continue;
            }
            let wrong = |message| TemplateError { message, position };
            let (name, arguments, max_len, tail) = command(rest).map_err(wrong)?;
            let operator = Operator::parse(name, arguments).map_err(wrong)?;
            if max_len.is_some() && !operator.takes_length() {
                return Err(wrong(format!("%{name}% does not take any parameters or length")));
            }
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
        Ok(Template { pieces })
    }

    fn operators(&self) -> impl Iterator<Item = &Operator> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Operator { operator, .. } => Some(operator),
            Piece::Text(_) => None,
        })
    }

    pub(super) fn is_one_operator(&self) -> bool {
        matches!(&self.pieces[..], [Piece::Operator { .. }])
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(&self.pieces[..], [Piece::Operator { operator, .. }] if operator.is_number())
    }

    /// Appends the text. What is missing is `-`, or nothing with `omit_empty`.
    pub fn write(&self, entry: &Entry<'_>, omit_empty: bool, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Operator { operator, max_len } => {
                    let start = out.len();
                    operator.write(entry, out);
                    if out.len() == start && !omit_empty {
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
                ":authority" => b"h",
                ":path" => b"/x?y=1",
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
        Format::compile(&format.into()).unwrap().write(&entry, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected, "{format}");
    }

    #[test]
    fn writes_operators() {
        check("%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %REQ(X?Y)%", "GET /x?y=1 -");
        check("%REQ(:PATH):2%|%RESP(Server):3%|%TRAILER(a)%", "/x|env|-");
        check("%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%", "503 UF,URX via_upstream");
        check("%BYTES_RECEIVED%/%BYTES_SENT% 100%%\n", "0/7 100%\n");
        check("%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_LOCAL_PORT%", "10.0.0.1:1000 80");
        check("%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%", "10.0.0.1");
        check("%REQUESTED_SERVER_NAME% %UPSTREAM_CLUSTER% %UPSTREAM_HOST%", "a.example outbound|80||a -");
        check("%PATH% %PATH(NQ)% %QUERY_PARAMS% %QUERY_PARAM(y)%", "/x?y=1 /x y=1 1");
        check("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(8)%", "10.0.0.0/8");
        check("%REQUESTED_SERVER_NAME(HOST_FIRST)% %ENVIRONMENT(NO_SUCH_VARIABLE)%", "h -");
        check("%ACCESS_LOG_TYPE% %TRACE_ID% %DYNAMIC_METADATA(a:b)%", "NotSet - -");
        check("%REQ(USER-AGENT)%", "curl\\x0a\"");
    }

    #[test]
    fn json_keeps_types_and_may_leave_out_what_is_missing() {
        use ir::access_log::{LogContent, LogFormat};
        use ir::bootstrap::Json;
        let text = |text: &str| Json::Text(text.into());
        let nested =
            [("y".into(), Json::List(vec![text("%RESPONSE_CODE%"), Json::Bool(true), text("%REQ(no)%")]))];
        let fields = [
            ("a".into(), text("%RESPONSE_CODE%")),
            ("b".into(), text("%REQ(no)% x")),
            ("c".into(), text("%REQ(no)%")),
            ("d".into(), Json::Map([("e".into(), text("%REQ(no)%"))].into())),
            ("e\"\n".into(), text("%REQ(:PATH)%\u{1}")),
            ("z".into(), Json::Map(nested.into())),
        ];
        let check = |omit_empty_values, expected: &str| {
            let content = LogContent::Json(fields.clone().into());
            let format = Format::compile(&LogFormat { content, omit_empty_values }).unwrap();
            let mut record = Record::new();
            record.status = 200;
            let conn = ConnInfo::for_test("10.0.0.1:1000", "10.0.0.2:80");
            let mut out = Vec::new();
            format.write(&Entry { record: &record, conn: &conn, headers: &Fake }, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{expected}\n"));
        };
        // Both as Envoy 1.40 writes them.
        let whole = concat!(
            r#"{"a":200,"b":"- x","c":null,"d":{"e":null},"e\"\n":"/x?y=1\u0001","#,
            r#""z":{"y":[200,true,null]}}"#
        );
        check(false, whole);
        check(true, r#"{"a":200,"b":" x","e\"\n":"/x?y=1\u0001","z":{"y":[200,true]}}"#);
    }

    #[test]
    fn refuses_what_it_does_not_know_by_name() {
        let check = |format: &str, part: &str| {
            let error = Template::parse(format).unwrap_err().to_string();
            assert!(error.contains(part), "{format}: {error}");
        };
        check("%NO_SUCH%", "NO_SUCH");
        check("ab %RESPONSE_CODE(1)%", "at position 3");
        check("%PROTOCOL:3%", "length");
        check("%GRPC_STATUS(X)%", "SNAKE_STRING");
        check("%COMMON_DURATION(DS_RX_BEG:NO:ms)%", "NO");
        check("%REQ%", "REQ");
        check("%START_TIME", "closed");
        check("%REQ(a", "bracket");
        check("%REQ(a):x%", "length");
        check("%PROTOCOL(a)%", "PROTOCOL");
    }
}
