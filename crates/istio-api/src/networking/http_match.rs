//! HTTPMatchRequest of a VirtualService.

use std::collections::BTreeMap;

use model::{Labels, Str};

use crate::reader::{Absent, Fields, Item, Read};
use crate::schema::macros::message;
use crate::schema::{boolean, map, object, text, text_map, texts, uint32};
use crate::units::StringMatch;

message! {
    /// Conditions on a request, all of which must hold.
    table HTTP_MATCH {
        "name" = text(),
        /// On the path, without its query.
        "uri" = object(&STRING_MATCH),
        "scheme" = object(&STRING_MATCH),
        "method" = object(&STRING_MATCH),
        "authority" = object(&STRING_MATCH),
        "headers" = map(&object(&STRING_MATCH)),
        "port" = uint32(),
        /// Labels of the client's workload.
        "sourceLabels" = text_map(),
        "gateways" = texts(),
        "queryParams" = map(&object(&STRING_MATCH)),
        /// Whether uri's exact and prefix forms ignore case.
        "ignoreUriCase" = boolean(),
        /// Headers that must not match.
        "withoutHeaders" = map(&object(&STRING_MATCH).nullable()),
        "sourceNamespace" = text(),
        "statPrefix" = text(),
    }
    conditions true;
}

message! {
    /// A condition on a string.
    table STRING_MATCH {
        "exact" = text(),
        "prefix" = text(),
        /// RE2 syntax; the whole string must match.
        "regex" = text(),
    }
    one_of ["exact", "prefix", "regex"];
}

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
    pub scheme: Option<StringMatch>,
    /// As `headers`; these must not match.
    pub without_headers: BTreeMap<Str, HeaderMatch>,
    /// By parameter name.
    pub query_params: BTreeMap<Str, HeaderMatch>,
    pub port: Option<u32>,
    /// Labels of the client's workload.
    pub source_labels: Labels,
    /// Of the client's workload.
    pub source_namespace: Option<Str>,
    pub stat_prefix: Option<Str>,
    /// As written. The condition holds for requests through one of these; empty: whichever the
    /// VirtualService names.
    pub gateways: Vec<Str>,
    /// Field paths of conditions that cannot be evaluated (JWT claims, and what nobody knows): if
    /// there is one, this never matches.
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
    let named = |name| fields.get(name).map(|item| read_headers(&item)).unwrap_or_default();
    let headers = named("headers");
    let found = HttpMatch {
        path: fields.path(),
        name: fields.get("name").and_then(|item| item.str()),
        uri: string("uri"),
        ignore_uri_case: fields.get("ignoreUriCase").and_then(|item| item.bool()).unwrap_or(false),
        method: string("method"),
        authority: string("authority"),
        scheme: string("scheme"),
        headers,
        without_headers: named("withoutHeaders"),
        query_params: fields.get("queryParams").map(|item| read_parameters(&item)).unwrap_or_default(),
        port: Absent::from_item(fields.get("port")),
        source_labels: Absent::from_item(fields.get("sourceLabels")),
        source_namespace: Absent::from_item(fields.get("sourceNamespace")),
        stat_prefix: Absent::from_item(fields.get("statPrefix")),
        gateways: fields.get("gateways").map(|item| item.strings()).unwrap_or_default(),
        unsupported: Vec::new(),
    };
    let mut unsupported = Vec::new();
    // Istio routes by JWT claims too, written as if they were headers.
    for field in ["headers", "withoutHeaders"] {
        let claims = fields.get(field).map(|item| item.entries()).unwrap_or_default();
        let claims = claims.iter().filter(|(name, _)| name.starts_with('@'));
        unsupported.extend(claims.map(|(_, item)| item.unsupported_condition()));
    }
    unsupported.extend(fields.finish_conditions());
    HttpMatch { unsupported, ..found }
}

fn read_headers(item: &Item<'_>) -> BTreeMap<Str, HeaderMatch> {
    let mut headers = BTreeMap::new();
    for (name, value) in item.entries() {
        let Some(condition) = read_header(&value) else { continue };
        if headers.insert(Str::from(name.to_ascii_lowercase()), condition).is_some() {
            value.invalid("the same header is given twice".into());
        }
    }
    headers
}

/// Unlike those of headers, names of query parameters are as they are written.
fn read_parameters(item: &Item<'_>) -> BTreeMap<Str, HeaderMatch> {
    let entries = item.entries().into_iter();
    entries.filter_map(|(name, value)| Some((name, read_header(&value)?))).collect()
}

/// A header's condition; with nothing in it, the header must be there.
fn read_header(item: &Item<'_>) -> Option<HeaderMatch> {
    match &item.node().value {
        _ if item.node().is_null() => Some(HeaderMatch::Present),
        crate::yaml::Value::Map(entries) if entries.is_empty() => Some(HeaderMatch::Present),
        _ => read_string_match(item).map(HeaderMatch::Value),
    }
}

impl Read for StringMatch {
    fn read(item: &Item<'_>) -> Option<Self> {
        read_string_match(item)
    }
}

/// `{exact | prefix | regex}`: exactly one. An empty one is no condition.
pub(crate) fn read_string_match(item: &Item<'_>) -> Option<StringMatch> {
    let fields = item.object()?;
    let text = |name| fields.get(name).and_then(|item| item.str());
    let found = [
        text("exact").map(StringMatch::Exact),
        text("prefix").map(StringMatch::Prefix),
        text("regex").map(StringMatch::Regex),
    ];
    fields.finish();
    found.into_iter().flatten().next()
}
