//! Matchers.

use ir::matcher::HeaderMatch;
use ir::route::RegexRewrite;
use ir::{Fraction, HeaderMatcher, MetadataMatcher, StringMatch, StringMatcher, ValueMatcher};
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

pub fn metadata() -> BoxedStrategy<MetadataMatcher> {
    let leaf = prop_oneof![
        Just(ValueMatcher::Null),
        Just(ValueMatcher::Present),
        any::<bool>().prop_map(ValueMatcher::Bool),
        string().prop_map(ValueMatcher::Text),
    ];
    let value = leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|it| ValueMatcher::List(Box::new(it))),
            prop::collection::vec(inner, 2..4).prop_map(ValueMatcher::Or),
        ]
    });
    (text::name(), prop::collection::vec(text::name(), 1..3), value, any::<bool>())
        .prop_map(|(filter, path, value, invert)| MetadataMatcher { filter, path, value, invert })
        .boxed()
}

pub fn rewrite() -> impl Strategy<Value = RegexRewrite> {
    (text::regex(), text::maybe_empty())
        .prop_map(|(pattern, substitution)| RegexRewrite { pattern, substitution })
}

pub fn fraction() -> impl Strategy<Value = Fraction> {
    (0..=Fraction::ALL.parts_per_million).prop_map(|parts_per_million| Fraction { parts_per_million })
}
