//! HTTPMatchRequest of a VirtualService.

use std::collections::BTreeMap;

use model::Str;

use crate::reader::{Fields, Item};
use crate::units::StringMatch;

/// Conditions on a request, all of which must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpMatch {
    pub name: Option<Str>,
    /// On the path without its query.
    pub uri: Option<StringMatch>,
    /// Whether `uri`'s exact and prefix forms ignore case.
    pub ignore_uri_case: bool,
    pub method: Option<StringMatch>,
    pub authority: Option<StringMatch>,
    /// By header name, lower-cased. Also `:`-pseudo-headers, as Istio allows.
    pub headers: BTreeMap<Str, HeaderMatch>,
    /// As written. The condition holds for requests through one of these; empty: whichever the
    /// VirtualService names.
    pub gateways: Vec<Str>,
    /// Field paths of conditions that cannot be evaluated: if there is one, this never matches.
    pub unsupported: Vec<Str>,
    /// Field path: `spec.http[0].match[1]`.
    pub path: Str,
}

/// A condition on a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderMatch {
    /// There is one, with whatever value.
    Present,
    Value(StringMatch),
}

pub(crate) fn read_all(item: &Item<'_>) -> Vec<HttpMatch> {
    item.objects(|fields| Some(read(fields)))
}

fn read(fields: Fields<'_>) -> HttpMatch {
    let string = |name| fields.get(name).and_then(|item| read_string_match(&item));
    let headers = fields.get("headers").map(|item| read_headers(&item)).unwrap_or_default();
    let found = HttpMatch {
        path: fields.path(),
        name: fields.get("name").and_then(|item| item.str()),
        uri: fields.get("uri").and_then(|item| read_uri_match(&item)),
        ignore_uri_case: fields.get("ignoreUriCase").and_then(|item| item.bool()).unwrap_or(false),
        method: string("method"),
        authority: string("authority"),
        headers,
        gateways: fields.get("gateways").map(|item| item.strings()).unwrap_or_default(),
        unsupported: Vec::new(),
    };
    fields.no_effect(&["statPrefix"]);
    let mut unsupported = fields.conditions(&[
        "scheme",
        "port",
        "sourceLabels",
        "sourceNamespace",
        "queryParams",
        "withoutHeaders",
    ]);
    // Istio routes by JWT claims too, written as if they were headers.
    let claims = fields.get("headers").map(|item| item.entries()).unwrap_or_default();
    let claims = claims.iter().filter(|(name, _)| name.starts_with('@'));
    unsupported.extend(claims.map(|(_, item)| item.unsupported_condition()));
    unsupported.extend(fields.finish_conditions());
    HttpMatch { unsupported, ..found }
}

fn read_headers(item: &Item<'_>) -> BTreeMap<Str, HeaderMatch> {
    let mut headers = BTreeMap::new();
    for (name, value) in item.entries() {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic()) {
            value.invalid(format!("{name:?} is no header name"));
            continue;
        }
        let Some(condition) = read_header(&value) else { continue };
        if headers.insert(Str::from(name.to_ascii_lowercase()), condition).is_some() {
            value.invalid("the same header is given twice".into());
        }
    }
    headers
}

/// A header's condition; with nothing in it, the header must be there.
fn read_header(item: &Item<'_>) -> Option<HeaderMatch> {
    match &item.node().value {
        _ if item.node().is_null() => Some(HeaderMatch::Present),
        crate::yaml::Value::Map(entries) if entries.is_empty() => Some(HeaderMatch::Present),
        _ => read_string_match(item).map(HeaderMatch::Value),
    }
}

/// `{exact | prefix | regex}`: exactly one, and not empty for the latter two.
pub(crate) fn read_string_match(item: &Item<'_>) -> Option<StringMatch> {
    read_match(item, |prefix| prefix.non_empty())
}

/// As [`read_string_match`]; here an empty prefix is one that every path has.
fn read_uri_match(item: &Item<'_>) -> Option<StringMatch> {
    read_match(item, |prefix| prefix.str())
}

fn read_match(item: &Item<'_>, read_prefix: impl Fn(&Item<'_>) -> Option<Str>) -> Option<StringMatch> {
    let fields = item.object()?;
    let exact = fields.get("exact").and_then(|i| i.str()).map(StringMatch::Exact);
    let prefix = fields.get("prefix").and_then(|i| read_prefix(&i)).map(StringMatch::Prefix);
    let regex = fields.get("regex").and_then(|i| i.non_empty()).map(StringMatch::Regex);
    fields.finish();
    let mut given = [exact, prefix, regex].into_iter().flatten();
    match (given.next(), given.next()) {
        (Some(one), None) => Some(one),
        _ => {
            item.invalid("needs exactly one of exact, prefix and regex".into());
            None
        }
    }
}
