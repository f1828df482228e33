//! What is written as a whole: a line of a log, the body of an answer.

use ir::access_log::{LogContent, LogFormat};

use super::json::Node;
use super::operator::Operator;
use super::{Asks, Entry, Template};

/// A compiled format of a log.
#[derive(Debug)]
pub struct Format {
    content: Content,
    omit_empty: bool,
    response_headers: Box<[String]>,
    asks: Asks,
}

#[derive(Debug)]
enum Content {
    Text(Template),
    Json(Node),
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
        let template = Template::parse(ENVOY_DEFAULT).unwrap_or_default();
        Self::of(Content::Text(template), false)
    }

    /// Compiles a format.
    ///
    /// # Errors
    /// Names the operator that is not known, or says what is wrong with its arguments; or the format
    /// could not be read.
    pub fn compile(format: &LogFormat) -> Result<Self, String> {
        let parse = |text: &str| Template::parse(text).map(Content::Text).map_err(|wrong| wrong.to_string());
        let content = match &format.content {
            LogContent::Text(text) => parse(text)?,
            LogContent::File(path) => {
                let text =
                    std::fs::read_to_string(path.as_str()).map_err(|error| format!("{path}: {error}"))?;
                parse(&text)?
            }
            LogContent::Environment(name) => {
                let text = std::env::var(name.as_str()).map_err(|error| format!("{name}: {error}"))?;
                parse(&text)?
            }
            LogContent::Json(fields) => {
                Content::Json(Node::object(fields).map_err(|wrong| wrong.to_string())?)
            }
        };
        Ok(Self::of(content, format.omit_empty_values))
    }

    fn of(content: Content, omit_empty: bool) -> Self {
        let (mut names, mut asks) = (Vec::new(), Asks::default());
        let mut note = |template: &Template| {
            asks |= template.asks();
            names.extend(template.operators().flat_map(Operator::response_headers).map(str::to_owned));
        };
        match &content {
            Content::Text(template) => note(template),
            Content::Json(node) => node.each_template(&mut note),
        }
        names.sort();
        names.dedup();
        Format { content, omit_empty, response_headers: names.into(), asks }
    }

    /// Names of the response headers that it writes.
    pub fn response_headers(&self) -> &[String] {
        &self.response_headers
    }

    /// What it tells of certificates and exchanges.
    pub fn asks(&self) -> Asks {
        self.asks
    }

    pub fn is_json(&self) -> bool {
        matches!(self.content, Content::Json(_))
    }

    /// Appends the line of an entry.
    pub fn write(&self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        match &self.content {
            Content::Text(template) => {
                template.write(entry, self.omit_empty, out);
            }
            Content::Json(node) => {
                if !node.write(entry, self.omit_empty, out) {
                    out.extend_from_slice(b"{}");
                }
                out.push(b'\n');
            }
        }
    }
}
