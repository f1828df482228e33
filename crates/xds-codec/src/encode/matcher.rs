//! Matchers of texts, headers and shares.

use ir::matcher::HeaderMatch;
use ir::route::RegexRewrite;
use ir::{Fraction, HeaderMatcher, StringMatch, StringMatcher};

use crate::pb::{core, envoy_type, matcher, route};

pub(super) fn text(it: &StringMatcher) -> matcher::StringMatcher {
    matcher::StringMatcher { ignore_case: it.ignore_case, match_pattern: Some(pattern(&it.pattern)) }
}

pub(super) fn pattern(it: &StringMatch) -> matcher::string_matcher::MatchPattern {
    use matcher::string_matcher::MatchPattern;
    match it {
        StringMatch::Exact(text) => MatchPattern::Exact(text.to_string()),
        StringMatch::Prefix(text) => MatchPattern::Prefix(text.to_string()),
        StringMatch::Suffix(text) => MatchPattern::Suffix(text.to_string()),
        StringMatch::Contains(text) => MatchPattern::Contains(text.to_string()),
        StringMatch::Regex(text) => MatchPattern::SafeRegex(regex(text)),
    }
}

pub(super) fn regex(pattern: &str) -> matcher::RegexMatcher {
    matcher::RegexMatcher { regex: pattern.to_owned(), engine_type: None }
}

pub(super) fn header(it: &HeaderMatcher) -> route::HeaderMatcher {
    use route::header_matcher::HeaderMatchSpecifier;
    let specifier = match &it.matches {
        HeaderMatch::Present(present) => HeaderMatchSpecifier::PresentMatch(*present),
        HeaderMatch::Value(matcher) => HeaderMatchSpecifier::StringMatch(text(matcher)),
        HeaderMatch::Range { start, end } => {
            HeaderMatchSpecifier::RangeMatch(envoy_type::Int64Range { start: *start, end: *end })
        }
    };
    route::HeaderMatcher {
        name: it.name.to_string(),
        invert_match: it.invert,
        treat_missing_header_as_empty: it.treat_missing_as_empty,
        header_match_specifier: Some(specifier),
    }
}

pub(super) fn fraction(it: Fraction) -> envoy_type::FractionalPercent {
    envoy_type::FractionalPercent {
        numerator: it.parts_per_million,
        denominator: envoy_type::fractional_percent::DenominatorType::Million.into(),
    }
}

pub(super) fn runtime_fraction(it: Fraction) -> core::RuntimeFractionalPercent {
    core::RuntimeFractionalPercent { default_value: Some(fraction(it)), runtime_key: String::new() }
}

pub(super) fn texts(all: &[StringMatcher]) -> Vec<matcher::StringMatcher> {
    all.iter().map(text).collect()
}

pub(super) fn rewrite(it: &RegexRewrite) -> matcher::RegexMatchAndSubstitute {
    matcher::RegexMatchAndSubstitute {
        pattern: Some(regex(&it.pattern)),
        substitution: it.substitution.to_string(),
    }
}

pub(super) fn metadata(it: &ir::MetadataMatcher) -> matcher::MetadataMatcher {
    use matcher::metadata_matcher::{PathSegment, path_segment::Segment};
    let key = |key: &ir::Str| PathSegment { segment: Some(Segment::Key(key.to_string())) };
    matcher::MetadataMatcher {
        filter: it.filter.to_string(),
        path: it.path.iter().map(key).collect(),
        value: Some(value_matcher(&it.value)),
        invert: it.invert,
    }
}

fn value_matcher(it: &ir::ValueMatcher) -> matcher::ValueMatcher {
    use matcher::value_matcher::{MatchPattern, NullMatch};
    let pattern = match it {
        ir::ValueMatcher::Null => MatchPattern::NullMatch(NullMatch {}),
        ir::ValueMatcher::Bool(it) => MatchPattern::BoolMatch(*it),
        ir::ValueMatcher::Text(it) => MatchPattern::StringMatch(text(it)),
        ir::ValueMatcher::Present => MatchPattern::PresentMatch(true),
        ir::ValueMatcher::List(it) => {
            let one = matcher::list_matcher::MatchPattern::OneOf(Box::new(value_matcher(it)));
            MatchPattern::ListMatch(Box::new(matcher::ListMatcher { match_pattern: Some(one) }))
        }
        ir::ValueMatcher::Or(all) => {
            let value_matchers = all.iter().map(value_matcher).collect();
            MatchPattern::OrMatch(matcher::OrMatcher { value_matchers })
        }
    };
    matcher::ValueMatcher { match_pattern: Some(pattern) }
}
