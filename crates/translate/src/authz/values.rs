//! The values of AuthorizationPolicies as matchers: exact, `PREFIX*`, `*SUFFIX` and `*`.

use ir::matcher::HeaderMatch;
use ir::{HeaderMatcher, StringMatch, StringMatcher};

/// A value that is compared with case.
pub fn text(value: &str) -> StringMatcher {
    match shape(value) {
        Shape::Any => StringMatcher::regex(".+"),
        Shape::Suffix(suffix) => StringMatcher::suffix(suffix),
        Shape::Prefix(prefix) => StringMatcher::prefix(prefix),
        Shape::Exact(exact) => StringMatcher::exact(exact),
    }
}

/// A principal: `DOMAIN/ns/NAMESPACE/sa/ACCOUNT` in one of the four shapes.
pub fn principal(value: &str) -> StringMatcher {
    match shape(value) {
        Shape::Any => StringMatcher::regex(".+"),
        Shape::Suffix(suffix) => StringMatcher::regex(format!("spiffe://.*{}", quote(suffix))),
        Shape::Prefix(prefix) => StringMatcher::prefix(format!("spiffe://{prefix}")),
        Shape::Exact(exact) => StringMatcher::exact(format!("spiffe://{exact}")),
    }
}

/// A namespace of the peer; `*` stands for anything wherever it is.
pub fn namespace(value: &str) -> StringMatcher {
    let quoted: Vec<String> = value.split('*').map(quote).collect();
    StringMatcher::regex(format!(".*/ns/{}/.*", quoted.join(".*")))
}

/// `ACCOUNT` of the policy's own namespace, or `NAMESPACE/ACCOUNT`.
pub fn service_account(value: &str, own_namespace: &str) -> StringMatcher {
    let (namespace, account) = value.split_once('/').unwrap_or((own_namespace, value));
    StringMatcher::regex(format!("spiffe://.+/ns/{}/(.+/|)sa/{}(/.+)?", quote(namespace), quote(account)))
}

/// A method.
pub fn method(value: &str) -> HeaderMatcher {
    header(":method", value, false)
}

/// A host: case does not count.
pub fn host(value: &str) -> HeaderMatcher {
    header(":authority", value, true)
}

fn header(name: &str, value: &str, ignore_case: bool) -> HeaderMatcher {
    let pattern = |pattern| HeaderMatch::Value(StringMatcher { pattern, ignore_case });
    let matches = match shape(value) {
        Shape::Any => HeaderMatch::Present(true),
        Shape::Suffix(suffix) => pattern(StringMatch::Suffix(suffix.into())),
        Shape::Prefix(prefix) => pattern(StringMatch::Prefix(prefix.into())),
        Shape::Exact(exact) => pattern(StringMatch::Exact(exact.into())),
    };
    HeaderMatcher { name: name.into(), matches, invert: false, treat_missing_as_empty: false }
}

enum Shape<'a> {
    Any,
    Suffix(&'a str),
    Prefix(&'a str),
    Exact(&'a str),
}

fn shape(value: &str) -> Shape<'_> {
    if value == "*" {
        Shape::Any
    } else if let Some(suffix) = value.strip_prefix('*') {
        Shape::Suffix(suffix)
    } else if let Some(prefix) = value.strip_suffix('*') {
        Shape::Prefix(prefix)
    } else {
        Shape::Exact(value)
    }
}

/// The text as a regular expression that matches nothing else (Go's `regexp.QuoteMeta`).
fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\.+*?()|[]{}^$".contains(c) {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_four_shapes() {
        assert_eq!(text("*"), StringMatcher::regex(".+"));
        assert_eq!(text("/api*"), StringMatcher::prefix("/api"));
        assert_eq!(text("*.html"), StringMatcher::suffix(".html"));
        assert_eq!(text("/a"), StringMatcher::exact("/a"));
        assert_eq!(principal("td/ns/a/sa/b"), StringMatcher::exact("spiffe://td/ns/a/sa/b"));
        assert_eq!(principal("td/ns/a/*"), StringMatcher::prefix("spiffe://td/ns/a/"));
        assert_eq!(principal("*/sa/b.c"), StringMatcher::regex("spiffe://.*/sa/b\\.c"));
        assert_eq!(namespace("a.b*"), StringMatcher::regex(".*/ns/a\\.b.*/.*"));
        assert_eq!(service_account("x", "ns1"), StringMatcher::regex("spiffe://.+/ns/ns1/(.+/|)sa/x(/.+)?"));
    }
}
