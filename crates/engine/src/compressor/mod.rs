//! Whether a request or a response is compressed: Envoy's rules.

mod choice;

use ir::Compressor;

pub use self::choice::{Candidate, Choice, Coding, choose};

use crate::{Problem, matcher::Text};

/// Types that Envoy compresses unless it is told which.
const TYPES: [&str; 20] = [
    "text/html",
    "text/plain",
    "text/css",
    "application/javascript",
    "application/x-javascript",
    "text/javascript",
    "text/x-javascript",
    "text/ecmascript",
    "text/js",
    "text/jscript",
    "text/x-js",
    "application/ecmascript",
    "application/x-json",
    "application/xml",
    "application/json",
    "image/svg+xml",
    "text/xml",
    "application/xhtml+xml",
    "application/grpc-web",
    "application/grpc-web+proto",
];

/// Envoy's least length, in bytes.
const MIN_LENGTH: u64 = 30;

/// Compiled [`Compressor`].
#[derive(Debug)]
pub struct Rules {
    pub config: Compressor,
    request: Option<Direction>,
    response: Direction,
}

/// Compiled [`ir::compressor::Direction`].
#[derive(Debug)]
struct Direction {
    enabled: bool,
    least: u64,
    types: Vec<Text>,
}

/// What a request says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// It has no body, or is not only a request.
    pub bodiless: bool,
    pub content_length: Option<u64>,
    pub content_type: Option<&'a [u8]>,
    pub content_encoding: Option<&'a [u8]>,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Compressed,
    TooShort,
    AsItIs,
}

/// What a response says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Response<'a> {
    pub status: u16,
    pub content_length: Option<u64>,
    pub content_type: Option<&'a [u8]>,
    pub content_encoding: Option<&'a [u8]>,
    pub cache_control: Option<&'a [u8]>,
    pub etag: Option<&'a [u8]>,
}

/// Why a response is not compressed, where clients are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    ContentLengthTooSmall,
    ContentTypeNotAllowed,
    EtagNotAllowed,
    StatusCodeNotAllowed,
    /// It says so itself.
    Untold,
}

impl Reason {
    /// As `x-envoy-compression-status` has it.
    pub fn text(self) -> Option<&'static str> {
        match self {
            Reason::ContentLengthTooSmall => Some("ContentLengthTooSmall"),
            Reason::ContentTypeNotAllowed => Some("ContentTypeNotAllowed"),
            Reason::EtagNotAllowed => Some("EtagNotAllowed"),
            Reason::StatusCodeNotAllowed => Some("StatusCodeNotAllowed"),
            Reason::Untold => None,
        }
    }
}

/// Nobody has encoded it before, or has forbidden to.
fn is_open(it: &Response<'_>) -> bool {
    let fixed = it.cache_control.is_some_and(|value| {
        value.to_ascii_lowercase().split(|b| *b == b',').any(|it| it.trim_ascii() == b"no-transform")
    });
    it.content_encoding.is_none() && !fixed
}

impl Rules {
    /// # Errors
    /// An expression that is not RE2's.
    pub fn compile(config: &Compressor) -> Result<Self, Problem> {
        let request = config.request.as_ref().map(Direction::compile).transpose();
        Ok(Rules {
            request: request.map_err(|p| p.inside("request_direction_config.common_config"))?,
            response: Direction::compile(&config.response)
                .map_err(|p| p.inside("response_direction_config.common_config"))?,
            config: config.clone(),
        })
    }

    pub fn request(&self, it: &Request<'_>) -> Verdict {
        match &self.request {
            Some(rules) if rules.enabled && !it.bodiless => {
                let wanted = rules.is_of_type(it.content_type) && it.content_encoding.is_none();
                match rules.is_long_enough(it.content_length) {
                    false => Verdict::TooShort,
                    true if wanted => Verdict::Compressed,
                    true => Verdict::AsItIs,
                }
            }
            _ => Verdict::AsItIs,
        }
    }

    /// Whether a response is worth it and may be changed; whether the client wants it is another question.
    pub fn compressible(&self, it: &Response<'_>) -> bool {
        self.is_long_enough(it) && self.may_be_changed(it) && !self.is_kept_for_etag(it)
    }

    pub fn is_long_enough(&self, it: &Response<'_>) -> bool {
        self.response.is_long_enough(it.content_length)
    }

    /// It says which bytes it has, and these must stay then.
    pub fn is_kept_for_etag(&self, it: &Response<'_>) -> bool {
        self.config.disable_on_etag_header && !self.config.weaken_etag && it.etag.is_some()
    }

    /// Whether nothing but length and tag speaks against it.
    pub fn may_be_changed(&self, it: &Response<'_>) -> bool {
        self.is_of_type(it.content_type)
            && is_open(it)
            && !self.config.uncompressible_status_codes.contains(&it.status)
    }

    /// What clients are told of a response that stays as it is; the first reason there is.
    pub fn reason(&self, it: &Response<'_>) -> Option<Reason> {
        if !is_open(it) {
            Some(Reason::Untold)
        } else if !self.is_long_enough(it) {
            Some(Reason::ContentLengthTooSmall)
        } else if !self.is_of_type(it.content_type) {
            Some(Reason::ContentTypeNotAllowed)
        } else if self.is_kept_for_etag(it) {
            Some(Reason::EtagNotAllowed)
        } else {
            let not_allowed = self.config.uncompressible_status_codes.contains(&it.status);
            not_allowed.then_some(Reason::StatusCodeNotAllowed)
        }
    }

    /// Whether responses of this type are compressed.
    pub fn is_of_type(&self, content_type: Option<&[u8]>) -> bool {
        self.response.is_of_type(content_type)
    }
}

impl Direction {
    fn compile(config: &ir::compressor::Direction) -> Result<Self, Problem> {
        let one = |(i, it)| Text::compile(it).map_err(|p| p.inside(format!("content_type_matcher[{i}]")));
        let types = config.content_types.iter().enumerate().map(one).collect::<Result<_, _>>()?;
        let least = config.min_content_length.filter(|least| *least > 0).map_or(MIN_LENGTH, u64::from);
        Ok(Direction { enabled: config.enabled, least, types })
    }

    fn is_long_enough(&self, length: Option<u64>) -> bool {
        length.is_none_or(|length| length >= self.least)
    }

    fn is_of_type(&self, content_type: Option<&[u8]>) -> bool {
        let Some(value) = content_type else { return true };
        let end = value.iter().position(|b| *b == b';').unwrap_or(value.len());
        let name = value[..end].trim_ascii().to_ascii_lowercase();
        match self.types.is_empty() {
            true => TYPES.iter().any(|known| known.as_bytes() == name),
            false => self.types.iter().any(|it| it.matches(&name)),
        }
    }
}

/// `Vary` with `Accept-Encoding` in it; `None`: it is there.
pub fn vary(old: Option<&[u8]>) -> Option<Vec<u8>> {
    let Some(old) = old.filter(|old| !old.is_empty()) else { return Some(b"Accept-Encoding".to_vec()) };
    let named = old.split(|b| *b == b',').any(|it| it.trim_ascii().eq_ignore_ascii_case(b"accept-encoding"));
    (!named).then(|| [old, b", Accept-Encoding"].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Compressor {
        let codec = ir::compressor::Codec::Gzip { level: None };
        Compressor {
            library: ir::compressor::CompressorLibrary { name: "gzip".into(), codec },
            choose_first: false,
            request: None,
            response: ir::compressor::Direction::default(),
            plain_stats: false,
            disable_on_etag_header: false,
            weaken_etag: false,
            remove_accept_encoding_header: false,
            uncompressible_status_codes: vec![404],
            status_header: false,
        }
    }

    #[test]
    fn requests_qualify() {
        let long = Request { content_length: Some(30), ..Request::default() };
        assert_eq!(Rules::compile(&config()).unwrap().request(&long), Verdict::AsItIs);
        let direction = ir::compressor::Direction::default();
        let off = ir::compressor::Direction { enabled: false, ..direction.clone() };
        let rules = |request| Rules::compile(&Compressor { request: Some(request), ..config() }).unwrap();
        assert_eq!(rules(off).request(&long), Verdict::AsItIs);
        let rules = rules(direction);
        let check = |it, expected| assert_eq!(rules.request(&it), expected, "{it:?}");
        check(long, Verdict::Compressed);
        check(Request { content_length: None, ..long }, Verdict::Compressed);
        check(Request { content_length: Some(29), ..long }, Verdict::TooShort);
        check(Request { bodiless: true, ..long }, Verdict::AsItIs);
        check(Request { content_type: Some(b"image/png"), ..long }, Verdict::AsItIs);
        check(Request { content_encoding: Some(b"gzip"), ..long }, Verdict::AsItIs);
    }

    #[test]
    fn responses_qualify() {
        let config = Compressor { disable_on_etag_header: true, ..config() };
        let rules = Rules::compile(&config).unwrap();
        let good = Response { status: 200, content_length: Some(30), ..Response::default() };
        let check =
            |it: Response<'_>, expected: bool| assert_eq!(rules.compressible(&it), expected, "{it:?}");
        check(good, true);
        check(Response { content_length: Some(29), ..good }, false);
        check(Response { content_length: None, ..good }, true);
        check(Response { content_type: Some(b"Text/HTML; charset=x"), ..good }, true);
        check(Response { content_type: Some(b"image/png"), ..good }, false);
        check(Response { content_encoding: Some(b"br"), ..good }, false);
        check(Response { cache_control: Some(b"public, No-Transform"), ..good }, false);
        check(Response { etag: Some(b"x"), ..good }, false);
        check(Response { status: 404, ..good }, false);
        let content_types = vec![ir::StringMatcher::prefix("image/")];
        let direction = ir::compressor::Direction { content_types, ..Default::default() };
        let prefix = Compressor { response: direction, ..config };
        let rules = Rules::compile(&prefix).unwrap();
        assert!(rules.compressible(&Response { content_type: Some(b"image/png"), ..good }));
        assert!(!rules.compressible(&Response { content_type: Some(b"text/html"), ..good }));
    }

    #[test]
    fn clients_are_told_the_first_reason() {
        let rules = Rules::compile(&Compressor { disable_on_etag_header: true, ..config() }).unwrap();
        let fine = Response { status: 200, ..Response::default() };
        let worst = Response {
            status: 404,
            content_length: Some(1),
            content_type: Some(b"image/png"),
            etag: Some(b"x"),
            ..fine
        };
        let check = |it: Response<'_>, expected| assert_eq!(rules.reason(&it), expected, "{it:?}");
        check(fine, None);
        check(Response { content_encoding: Some(b"br"), ..worst }, Some(Reason::Untold));
        check(worst, Some(Reason::ContentLengthTooSmall));
        check(Response { content_length: None, ..worst }, Some(Reason::ContentTypeNotAllowed));
        check(Response { etag: Some(b"x"), ..fine }, Some(Reason::EtagNotAllowed));
        check(Response { status: 404, ..fine }, Some(Reason::StatusCodeNotAllowed));
    }

    #[test]
    fn caches_are_told() {
        assert_eq!(vary(None).as_deref(), Some(&b"Accept-Encoding"[..]));
        assert_eq!(vary(Some(b"Cookie")).as_deref(), Some(&b"Cookie, Accept-Encoding"[..]));
        assert_eq!(vary(Some(b"Cookie, accept-encoding")), None);
    }
}
