//! Rewriting what matches a regular expression.

use ir::route::RegexRewrite;

use crate::{Problem, regex::Regex};

/// A compiled [`RegexRewrite`].
#[derive(Clone, Debug)]
pub struct Rewrite {
    pattern: Regex,
    /// Texts and groups in their order.
    parts: Box<[Part]>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(Box<[u8]>),
    Group(usize),
}

impl Rewrite {
    /// Compiles a rewriting.
    ///
    /// # Errors
    /// The expression is not RE2's, or the substitution speaks of a group that it does not have.
    pub fn compile(it: &RegexRewrite) -> Result<Self, Problem> {
        let pattern = Regex::search(&it.pattern).map_err(|message| Problem::new("pattern.regex", message))?;
        let parts = parts(&it.substitution, pattern.groups());
        let parts = parts.map_err(|message| Problem::new("substitution", message))?;
        Ok(Rewrite { pattern, parts: parts.into() })
    }

    /// `text` with every match replaced, as RE2's `GlobalReplace` does it.
    pub fn apply(&self, text: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len() + 16);
        let mut at = 0;
        self.pattern.each_match(text, |found| {
            out.extend_from_slice(&text[at..found.whole().start]);
            for part in &self.parts {
                match part {
                    Part::Text(text) => out.extend_from_slice(text),
                    Part::Group(index) => {
                        if let Some(range) = found.group(*index) {
                            out.extend_from_slice(&text[range]);
                        }
                    }
                }
            }
            at = found.whole().end;
        });
        out.extend_from_slice(&text[at..]);
        out
    }
}

fn parts(substitution: &str, groups: usize) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut text = Vec::new();
    let mut bytes = substitution.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            text.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b'\\') => text.push(b'\\'),
            Some(digit @ b'0'..=b'9') => {
                let group = usize::from(digit - b'0');
                if group > groups {
                    return Err(format!("\\{group} is not there: the expression has {groups} groups"));
                }
                if !text.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut text).into()));
                }
                parts.push(Part::Group(group));
            }
            _ => return Err("a backslash is followed by a digit or a backslash".to_owned()),
        }
    }
    if !text.is_empty() {
        parts.push(Part::Text(text.into()));
    }
    Ok(parts)
}

/// The path (with its query) whose matched beginning, `matched` bytes long, is replaced.
pub fn prefix(path: &[u8], matched: usize, new: &str) -> Vec<u8> {
    [new.as_bytes(), path.get(matched..).unwrap_or_default()].concat()
}

/// The path (with its query) rewritten; an expression does not see the query.
pub fn path(path: &[u8], rewrite: &Rewrite) -> Vec<u8> {
    let only = crate::request::path_only(path);
    let mut new = rewrite.apply(only);
    new.extend_from_slice(&path[only.len()..]);
    new
}

/// How long the part of a path is that a prefix rewriting replaces; a route by expression matched all
/// of it, save for the query.
pub fn matched_len(matches: &ir::route::RouteMatch, path: &[u8]) -> usize {
    use ir::route::PathMatch;
    match &matches.path {
        PathMatch::Prefix(text) | PathMatch::SeparatedPrefix(text) | PathMatch::Exact(text) => text.len(),
        PathMatch::Regex(_) | PathMatch::Connect => crate::request::path_only(path).len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_as_re2_does() {
        let check = |pattern: &str, substitution: &str, text: &str, expected: &str| {
            let rewrite = RegexRewrite { pattern: pattern.into(), substitution: substitution.into() };
            let found = path(text.as_bytes(), &Rewrite::compile(&rewrite).unwrap());
            assert_eq!(String::from_utf8(found).unwrap(), expected, "{pattern} {substitution} {text}");
        };
        check("^/service/([^/]+)(/.*)$", r"\2/instance/\1", "/service/foo/v1/api", "/v1/api/instance/foo");
        check("one", "two", "/xxx/one/yyy/one/zzz?one", "/xxx/two/yyy/two/zzz?one");
        check("(?i)/XXX/", "/yyy/", "/aaa/XxX/bbb", "/aaa/yyy/bbb");
        check("^(.*?)one(.*)$", r"\1two\2", "/xxx/one/yyy/one/zzz", "/xxx/two/yyy/one/zzz");
        check("a", r"\\", "/a", r"/\");
        check("b", "x", "/a", "/a");
    }

    #[test]
    fn substitutions_are_checked() {
        let compile = |pattern: &str, substitution: &str| {
            Rewrite::compile(&RegexRewrite { pattern: pattern.into(), substitution: substitution.into() })
        };
        assert!(compile("(a)", r"\1").is_ok());
        assert_eq!(compile("(a)", r"\2").unwrap_err().field, "substitution");
        assert_eq!(compile("a", r"\x").unwrap_err().field, "substitution");
        assert_eq!(compile("(", "").unwrap_err().field, "pattern.regex");
    }
}
