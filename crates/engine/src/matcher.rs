//! Compiled matchers of strings and headers.

use ir::matcher::HeaderMatch;
use stdx::Str;

use crate::request::any_value;
use crate::{Problem, Request, regex::Regex};

/// A compiled [`ir::StringMatcher`].
#[derive(Clone, Debug)]
pub struct Text {
    kind: TextKind,
    ignore_case: bool,
}

#[derive(Clone, Debug)]
enum TextKind {
    Exact(Str),
    Prefix(Str),
    Suffix(Str),
    Contains(Str),
    Regex(Regex),
}

impl Text {
    /// # Errors
    /// The regular expression is not RE2's.
    pub fn compile(matcher: &ir::StringMatcher) -> Result<Self, Problem> {
        let fold = |text: &Str| {
            if matcher.ignore_case { Str::from(text.to_ascii_lowercase()) } else { text.clone() }
        };
        let kind = match &matcher.pattern {
            ir::StringMatch::Exact(text) => TextKind::Exact(fold(text)),
            ir::StringMatch::Prefix(text) => TextKind::Prefix(fold(text)),
            ir::StringMatch::Suffix(text) => TextKind::Suffix(fold(text)),
            ir::StringMatch::Contains(text) => TextKind::Contains(fold(text)),
            ir::StringMatch::Regex(text) => {
                TextKind::Regex(Regex::new(text).map_err(|message| Problem::new("regex", message))?)
            }
        };
        Ok(Text { kind, ignore_case: matcher.ignore_case })
    }

    /// Whether `text` is what is asked for.
    pub fn matches(&self, text: &[u8]) -> bool {
        if self.ignore_case && text.iter().any(u8::is_ascii_uppercase) {
            return self.matches_folded(&text.to_ascii_lowercase());
        }
        self.matches_folded(text)
    }

    fn matches_folded(&self, text: &[u8]) -> bool {
        match &self.kind {
            TextKind::Exact(expected) => text == expected.as_bytes(),
            TextKind::Prefix(prefix) => text.starts_with(prefix.as_bytes()),
            TextKind::Suffix(suffix) => text.ends_with(suffix.as_bytes()),
            TextKind::Contains(part) => contains(text, part.as_bytes()),
            TextKind::Regex(regex) => regex.is_match(text),
        }
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    part.is_empty() || text.windows(part.len()).any(|window| window == part)
}

/// A compiled [`ir::HeaderMatcher`].
#[derive(Clone, Debug)]
pub struct Header {
    name: Str,
    kind: HeaderKind,
    invert: bool,
    missing_is_empty: bool,
}

#[derive(Clone, Debug)]
enum HeaderKind {
    Present(bool),
    Value(Text),
    Range(i64, i64),
}

impl Header {
    /// # Errors
    /// The regular expression is not RE2's.
    pub fn compile(matcher: &ir::HeaderMatcher) -> Result<Self, Problem> {
        let kind = match &matcher.matches {
            HeaderMatch::Present(present) => HeaderKind::Present(*present),
            HeaderMatch::Value(text) => HeaderKind::Value(Text::compile(text)?),
            HeaderMatch::Range { start, end } => HeaderKind::Range(*start, *end),
        };
        Ok(Header {
            name: matcher.name.clone(),
            kind,
            invert: matcher.invert,
            missing_is_empty: matcher.treat_missing_as_empty,
        })
    }

    /// Whether the request's header is what is asked for: one of its values, where there are several.
    /// Joined they would be none of them, and a rule that denies one could be passed by adding another.
    /// As in Envoy, a missing header matches neither a value nor its inversion, unless it counts as empty.
    pub fn matches<R: Request + ?Sized>(&self, request: &R) -> bool {
        self.matches_any(|name, wanted| any_value(request, name, wanted))
    }

    /// As [`Header::matches`], for whatever has headers. `any` says whether one of the values of a header
    /// is wanted; `None`: there is none.
    pub fn matches_any(&self, any: impl FnOnce(&str, &mut dyn FnMut(&[u8]) -> bool) -> Option<bool>) -> bool {
        let mut fits = |text: &[u8]| match &self.kind {
            HeaderKind::Value(matcher) => matcher.matches(text),
            HeaderKind::Range(start, end) => {
                integer(text).is_some_and(|number| (*start..*end).contains(&number))
            }
            HeaderKind::Present(_) => true,
        };
        let found = any(&self.name, &mut fits);
        if let HeaderKind::Present(wanted) = self.kind {
            return (found.is_some() == wanted) != self.invert;
        }
        let matched = match found {
            Some(matched) => matched,
            None if self.missing_is_empty => fits(b""),
            None => return false,
        };
        matched != self.invert
    }
}

fn integer(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Compiles a list, naming the place of each problem.
///
/// # Errors
/// The first entry that cannot be compiled.
pub(crate) fn headers(matchers: &[ir::HeaderMatcher], field: &str) -> Result<Box<[Header]>, Problem> {
    let compile = |(i, m)| Header::compile(m).map_err(|p: Problem| p.inside(format!("{field}[{i}]")));
    matchers.iter().enumerate().map(compile).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::PlainRequest;

    #[test]
    fn compares_strings() {
        let check = |pattern, ignore_case, text: &str, expected| {
            let text_matcher = Text::compile(&ir::StringMatcher { pattern, ignore_case }).unwrap();
            assert_eq!(text_matcher.matches(text.as_bytes()), expected, "{text_matcher:?} {text}");
        };
        check(ir::StringMatch::Exact("Ab".into()), false, "ab", false);
        check(ir::StringMatch::Exact("Ab".into()), true, "aB", true);
        check(ir::StringMatch::Prefix("/a".into()), false, "/ab", true);
        check(ir::StringMatch::Suffix("b".into()), true, "aB", true);
        check(ir::StringMatch::Contains("xy".into()), false, "axyb", true);
        check(ir::StringMatch::Contains("".into()), false, "", true);
        check(ir::StringMatch::Regex("a.c".into()), false, "abc", true);
    }

    #[test]
    fn compares_headers_as_envoy_does() {
        let check = |matches: HeaderMatch, invert, empty, value: Option<&str>, expected| {
            let matcher =
                ir::HeaderMatcher { name: "x".into(), matches, invert, treat_missing_as_empty: empty };
            let mut request = PlainRequest::get("a", "/");
            request.headers.extend(value.map(|v| ("x".to_owned(), v.to_owned())));
            assert_eq!(
                Header::compile(&matcher).unwrap().matches(&request),
                expected,
                "{matcher:?} {value:?}"
            );
        };
        let exact = || HeaderMatch::Value(ir::StringMatcher::exact("1"));
        check(exact(), false, false, Some("1"), true);
        check(exact(), true, false, Some("2"), true);
        check(exact(), true, false, None, false);
        check(exact(), true, true, None, true);
        check(HeaderMatch::Present(true), false, false, Some(""), true);
        check(HeaderMatch::Present(false), false, false, None, true);
        check(HeaderMatch::Present(true), true, false, None, true);
        check(HeaderMatch::Range { start: 1, end: 3 }, false, false, Some("2"), true);
        check(HeaderMatch::Range { start: 1, end: 3 }, false, false, Some("3"), false);
        check(HeaderMatch::Range { start: 1, end: 3 }, false, false, Some("x"), false);
        let two = PlainRequest::get("a", "/").with("x", "1").with("x", "2");
        let of = |invert| {
            let matcher = ir::HeaderMatcher {
                name: "x".into(),
                matches: exact(),
                invert,
                treat_missing_as_empty: false,
            };
            Header::compile(&matcher).unwrap().matches(&two)
        };
        assert!(of(false) && !of(true));
    }
}
