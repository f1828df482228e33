//! Matchers of texts, headers and shares.

use ir::matcher::HeaderMatch;
use ir::route::RegexRewrite;
use ir::{Fraction, HeaderMatcher, MetadataMatcher, StringMatch, StringMatcher, ValueMatcher};
use stdx::Str;

use super::at::At;
use super::strict::harmless;
use super::wire;
use crate::pb::envoy_type::{self, fractional_percent::DenominatorType};
use crate::pb::matcher::{self, regex_matcher::EngineType, string_matcher::MatchPattern};
use crate::pb::{core, route};

pub(super) fn text(at: At<'_>, it: matcher::StringMatcher) -> StringMatcher {
    let matcher::StringMatcher { ignore_case, match_pattern } = it;
    let pattern = match match_pattern {
        Some(MatchPattern::Exact(text)) => StringMatch::Exact(text.into()),
        Some(MatchPattern::Prefix(text)) => StringMatch::Prefix(wire::required(at.field("prefix"), text)),
        Some(MatchPattern::Suffix(text)) => StringMatch::Suffix(wire::required(at.field("suffix"), text)),
        Some(MatchPattern::Contains(text)) => {
            StringMatch::Contains(wire::required(at.field("contains"), text))
        }
        Some(MatchPattern::SafeRegex(it)) => {
            if ignore_case {
                at.field("ignore_case").refuse("has no effect on safe_regex");
            }
            StringMatch::Regex(regex(at.field("safe_regex"), it))
        }
        Some(MatchPattern::Custom(_)) => {
            at.unsupported("custom");
            StringMatch::Exact(Str::default())
        }
        None => {
            at.refuse("says nothing about what to match");
            StringMatch::Exact(Str::default())
        }
    };
    StringMatcher { pattern, ignore_case }
}

pub(super) fn regex(at: At<'_>, it: matcher::RegexMatcher) -> Str {
    let matcher::RegexMatcher { regex, engine_type } = it;
    match engine_type {
        // The only engine there is; its limit on program size is Envoy's own business.
        Some(EngineType::GoogleRe2(matcher::regex_matcher::GoogleRe2 { max_program_size })) => {
            harmless!(Bound; max_program_size);
        }
        None => {}
    }
    wire::required(at.field("regex"), regex)
}

pub(super) fn header(at: At<'_>, it: route::HeaderMatcher) -> HeaderMatcher {
    use route::header_matcher::HeaderMatchSpecifier as Specifier;
    let route::HeaderMatcher { name, invert_match, treat_missing_header_as_empty, header_match_specifier } =
        it;
    let value = |pattern| HeaderMatch::Value(StringMatcher::new(pattern));
    let matches = match header_match_specifier {
        None => HeaderMatch::Present(true),
        Some(Specifier::PresentMatch(present)) => HeaderMatch::Present(present),
        Some(Specifier::StringMatch(it)) => HeaderMatch::Value(text(at.field("string_match"), it)),
        Some(Specifier::RangeMatch(envoy_type::Int64Range { start, end })) => {
            HeaderMatch::Range { start, end }
        }
        Some(Specifier::ExactMatch(it)) => value(StringMatch::Exact(it.into())),
        Some(Specifier::SafeRegexMatch(it)) => {
            value(StringMatch::Regex(regex(at.field("safe_regex_match"), it)))
        }
        Some(Specifier::PrefixMatch(it)) => {
            value(StringMatch::Prefix(wire::required(at.field("prefix_match"), it)))
        }
        Some(Specifier::SuffixMatch(it)) => {
            value(StringMatch::Suffix(wire::required(at.field("suffix_match"), it)))
        }
        Some(Specifier::ContainsMatch(it)) => {
            value(StringMatch::Contains(wire::required(at.field("contains_match"), it)))
        }
    };
    HeaderMatcher {
        name: wire::required(at.field("name"), name.to_ascii_lowercase()),
        matches,
        invert: invert_match,
        treat_missing_as_empty: treat_missing_header_as_empty,
    }
}

pub(super) fn headers(at: &At<'_>, name: &str, all: Vec<route::HeaderMatcher>) -> Vec<HeaderMatcher> {
    all.into_iter().enumerate().map(|(index, it)| header(at.index(name, index), it)).collect()
}

/// Without a percentage Envoy takes 0.
pub(super) fn fraction(at: At<'_>, it: Option<envoy_type::FractionalPercent>) -> Fraction {
    let envoy_type::FractionalPercent { numerator, denominator } = it.unwrap_or_default();
    let per_million = match wire::enumeration(at.field("denominator"), denominator) {
        DenominatorType::Hundred => 10_000,
        DenominatorType::TenThousand => 100,
        DenominatorType::Million => 1,
    };
    let parts = u64::from(numerator) * per_million;
    match u32::try_from(parts) {
        Ok(parts_per_million) if parts_per_million <= Fraction::ALL.parts_per_million => {
            Fraction { parts_per_million }
        }
        _ => {
            at.field("numerator").refuse(format!("{numerator} is more than the whole"));
            Fraction::NONE
        }
    }
}

pub(super) fn runtime_fraction(at: At<'_>, it: core::RuntimeFractionalPercent) -> Fraction {
    let core::RuntimeFractionalPercent { default_value, runtime_key } = it;
    harmless!(Runtime; runtime_key);
    if default_value.is_none() {
        at.field("default_value").refuse("is required");
    }
    fraction(at.field("default_value"), default_value)
}

pub(super) fn texts(at: &At<'_>, name: &str, all: Vec<matcher::StringMatcher>) -> Vec<StringMatcher> {
    all.into_iter().enumerate().map(|(index, it)| text(at.index(name, index), it)).collect()
}

pub(super) fn rewrite(at: At<'_>, it: matcher::RegexMatchAndSubstitute) -> RegexRewrite {
    let matcher::RegexMatchAndSubstitute { pattern, substitution } = it;
    let pattern = pattern.unwrap_or_default();
    if substitution.contains(['\n', '\0', '\r']) {
        at.field("substitution").refuse("has control characters");
    }
    RegexRewrite { pattern: regex(at.field("pattern"), pattern), substitution: substitution.into() }
}

pub(super) fn metadata(at: At<'_>, it: matcher::MetadataMatcher) -> MetadataMatcher {
    let matcher::MetadataMatcher { filter, path, value, invert } = it;
    if path.is_empty() {
        at.field("path").refuse("must not be empty");
    }
    let key_at = |(index, it): (usize, matcher::metadata_matcher::PathSegment)| {
        let key = it.segment.map(|matcher::metadata_matcher::path_segment::Segment::Key(key)| key);
        wire::required(at.index("path", index).field("key"), key.unwrap_or_default())
    };
    MetadataMatcher {
        filter: wire::required(at.field("filter"), filter),
        path: path.into_iter().enumerate().map(key_at).collect(),
        value: value_matcher(at.field("value"), value.unwrap_or_default()),
        invert,
    }
}

fn value_matcher(at: At<'_>, it: matcher::ValueMatcher) -> ValueMatcher {
    use matcher::list_matcher::MatchPattern as ListPattern;
    use matcher::value_matcher::MatchPattern;
    let name = match it.match_pattern {
        Some(MatchPattern::NullMatch(_)) => return ValueMatcher::Null,
        Some(MatchPattern::BoolMatch(it)) => return ValueMatcher::Bool(it),
        Some(MatchPattern::StringMatch(it)) => return ValueMatcher::Text(text(at.field("string_match"), it)),
        Some(MatchPattern::PresentMatch(true)) => return ValueMatcher::Present,
        Some(MatchPattern::ListMatch(it)) => {
            let at = at.field("list_match");
            let inner = it.match_pattern.map(|ListPattern::OneOf(it)| *it);
            return ValueMatcher::List(Box::new(value_matcher(
                at.field("one_of"),
                inner.unwrap_or_default(),
            )));
        }
        Some(MatchPattern::OrMatch(it)) => {
            let at = at.field("or_match");
            if it.value_matchers.len() < 2 {
                at.field("value_matchers").refuse("needs two or more");
            }
            let one = |(index, it)| value_matcher(at.index("value_matchers", index), it);
            return ValueMatcher::Or(it.value_matchers.into_iter().enumerate().map(one).collect());
        }
        Some(MatchPattern::PresentMatch(false)) => "present_match: false",
        Some(MatchPattern::DoubleMatch(_)) => "double_match",
        None => "a value without a pattern",
    };
    at.refuse(format!("{name} is not supported"));
    ValueMatcher::Null
}
