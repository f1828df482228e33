//! Matchers.

use ir::matcher::HeaderMatch;
use ir::route::RegexRewrite;
use ir::{Fraction, HeaderMatcher, StringMatch, StringMatcher};
use proptest::prelude::*;

use super::text;

pub fn pattern() -> impl Strategy<Value = StringMatch> {
    prop_oneof![
        text::any_text().prop_map(StringMatch::Exact),
        text::any_text().prop_map(StringMatch::Prefix),
        text::any_text().prop_map(StringMatch::Suffix),
        text::any_text().prop_map(StringMatch::Contains),
        text::regex().prop_map(StringMatch::Regex),
    ]
}

pub fn string() -> BoxedStrategy<StringMatcher> {
    (pattern(), any::<bool>())
        .prop_map(|(pattern, ignore_case)| StringMatcher {
            ignore_case: ignore_case && !matches!(pattern, StringMatch::Regex(_)),
            pattern,
        })
        .boxed()
}

pub fn header() -> BoxedStrategy<HeaderMatcher> {
    let matches = prop_oneof![
        any::<bool>().prop_map(HeaderMatch::Present),
        string().prop_map(HeaderMatch::Value),
        (any::<i64>(), any::<i64>()).prop_map(|(start, end)| HeaderMatch::Range { start, end }),
    ];
    let name = prop_oneof![text::header(), Just(":method".into()), Just(":authority".into())];
    (name, matches, any::<bool>(), any::<bool>())
        .prop_map(|(name, matches, invert, treat_missing_as_empty)| HeaderMatcher {
            name,
            matches,
            invert,
            treat_missing_as_empty,
        })
        .boxed()
}

pub fn rewrite() -> impl Strategy<Value = RegexRewrite> {
    (text::regex(), text::maybe_empty())
        .prop_map(|(pattern, substitution)| RegexRewrite { pattern, substitution })
}

pub fn fraction() -> impl Strategy<Value = Fraction> {
    (0..=Fraction::ALL.parts_per_million).prop_map(|parts_per_million| Fraction { parts_per_million })
}
