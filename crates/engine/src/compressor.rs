//! Whether a response is compressed (RFC 9110, section 12.5.3, and Envoy's rules).

use ir::Compressor;

use crate::{Problem, matcher::Text};

/// Types that Envoy compresses unless it is told which.
const TYPES: [&str; 18] = [
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
];

/// Envoy's least length, in bytes.
const MIN_LENGTH: u64 = 30;

/// Compiled [`Compressor`].
#[derive(Debug)]
pub struct Rules {
    pub config: Compressor,
    types: Vec<Text>,
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

impl Rules {
    /// # Errors
    /// An expression that is not RE2's.
    pub fn compile(config: &Compressor) -> Result<Self, Problem> {
        let one = |(i, it)| Text::compile(it).map_err(|p| p.inside(format!("content_type_matcher[{i}]")));
        let types = config.content_types.iter().enumerate().map(one).collect::<Result<_, _>>()?;
        Ok(Rules { config: config.clone(), types })
    }

    /// Whether a response is worth it and may be changed; whether the client wants it is another question.
    pub fn compressible(&self, it: &Response<'_>) -> bool {
        self.is_long_enough(it) && self.may_be_changed(it) && !self.is_kept_for_etag(it)
    }

    pub fn is_long_enough(&self, it: &Response<'_>) -> bool {
        let least = self.config.min_content_length.map_or(MIN_LENGTH, u64::from);
        it.content_length.is_none_or(|length| length >= least)
    }

    /// It says which bytes it has, and these must stay then.
    pub fn is_kept_for_etag(&self, it: &Response<'_>) -> bool {
        self.config.disable_on_etag_header && !self.config.weaken_etag && it.etag.is_some()
    }

    /// Whether nothing but length and tag speaks against it.
    pub fn may_be_changed(&self, it: &Response<'_>) -> bool {
        let fixed = it.cache_control.is_some_and(|value| {
            value.to_ascii_lowercase().split(|b| *b == b',').any(|it| it.trim_ascii() == b"no-transform")
        });
        self.is_of_type(it)
            && it.content_encoding.is_none()
            && !fixed
            && !self.config.uncompressible_status_codes.contains(&it.status)
    }

    /// Whether it is of a type that is compressed.
    pub fn is_of_type(&self, it: &Response<'_>) -> bool {
        it.content_type.is_none_or(|value| self.is_wanted(value))
    }

    fn is_wanted(&self, content_type: &[u8]) -> bool {
        let end = content_type.iter().position(|b| *b == b';').unwrap_or(content_type.len());
        let name = content_type[..end].trim_ascii().to_ascii_lowercase();
        match self.types.is_empty() {
            true => TYPES.iter().any(|known| known.as_bytes() == name),
            false => self.types.iter().any(|it| it.matches(&name)),
        }
    }
}

/// What a client prefers of what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    Gzip,
    /// Anything, so gzip.
    Any,
    /// The plain text.
    Identity,
    /// Nothing that there is, or it cannot be read.
    Other,
}

impl Wish {
    pub fn takes_gzip(self) -> bool {
        matches!(self, Wish::Gzip | Wish::Any)
    }
}

/// What a client wants that says this.
pub fn wish(accept_encoding: &[u8]) -> Wish {
    let (mut gzip, mut any, mut identity) = (None, None, None);
    for (place, part) in accept_encoding.split(|b| *b == b',').enumerate() {
        let mut parameters = part.split(|b| *b == b';').map(<[u8]>::trim_ascii);
        let name = parameters.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parameters.find_map(|it| it.strip_prefix(b"q=").or_else(|| it.strip_prefix(b"Q=")));
        let weight = weight.map_or(Some(1.0), |it| std::str::from_utf8(it).ok()?.trim().parse::<f32>().ok());
        let slot = match name.as_slice() {
            b"gzip" => &mut gzip,
            b"*" => &mut any,
            b"identity" => &mut identity,
            _ => continue,
        };
        // What cannot be read is no wish.
        *slot = slot.or(Some((weight.unwrap_or(0.0), place)));
    }
    let identity = identity.filter(|(weight, _)| *weight > 0.0);
    let Some((weight, place)) = gzip.or(any).filter(|(weight, _)| *weight > 0.0) else {
        return identity.map_or(Wish::Other, |_| Wish::Identity);
    };
    match identity {
        Some((other, before)) if weight < other || (weight == other && place > before) => Wish::Identity,
        _ if gzip.is_some() => Wish::Gzip,
        _ => Wish::Any,
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

    #[test]
    fn clients_choose() {
        let takes =
            ["gzip", "deflate, gzip;q=0.5", "*", "GZIP ; q=1", "gzip, identity", "identity;q=0.1, gzip"];
        for it in takes {
            assert!(wish(it.as_bytes()).takes_gzip(), "{it}");
        }
        let refuses = ["", "br", "gzip;q=0", "*, gzip;q=0", "identity, gzip;q=0.5", "gzip;q=x", "identity"];
        for it in refuses {
            assert!(!wish(it.as_bytes()).takes_gzip(), "{it}");
        }
    }

    #[test]
    fn responses_qualify() {
        let config = Compressor {
            library: "gzip".into(),
            level: None,
            enabled: true,
            min_content_length: None,
            content_types: Vec::new(),
            disable_on_etag_header: true,
            weaken_etag: false,
            remove_accept_encoding_header: false,
            uncompressible_status_codes: vec![404],
        };
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
        let prefix = Compressor { content_types: vec![ir::StringMatcher::prefix("image/")], ..config };
        let rules = Rules::compile(&prefix).unwrap();
        assert!(rules.compressible(&Response { content_type: Some(b"image/png"), ..good }));
        assert!(!rules.compressible(&Response { content_type: Some(b"text/html"), ..good }));
    }

    #[test]
    fn caches_are_told() {
        assert_eq!(vary(None).as_deref(), Some(&b"Accept-Encoding"[..]));
        assert_eq!(vary(Some(b"Cookie")).as_deref(), Some(&b"Cookie, Accept-Encoding"[..]));
        assert_eq!(vary(Some(b"Cookie, accept-encoding")), None);
    }
}
