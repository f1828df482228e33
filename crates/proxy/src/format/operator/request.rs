//! What a request says: its headers, its path, the name that it asks for.

use std::borrow::Cow;

use super::{Operator, put_clean};
use crate::format::Entry;

#[derive(Clone, Copy, Debug)]
pub(in crate::format) enum Of {
    Request,
    Response,
    Trailer,
}

/// The path that a request came with, where it was rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::format) enum Source {
    Now,
    Original,
    OriginalOrNow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::format) enum NameFrom {
    Sni,
    SniElseHost,
    HostElseSni,
}

pub(super) fn header_operator(name: &str) -> Option<Of> {
    Some(match name {
        "REQ" | "REQUEST_HEADER" => Of::Request,
        "RESP" | "RESPONSE_HEADER" => Of::Response,
        "TRAILER" | "RESPONSE_TRAILER" => Of::Trailer,
        _ => return None,
    })
}

pub(super) fn header(operator: &str, of: Of, arguments: Option<&str>) -> Result<Operator, String> {
    let arguments =
        arguments.filter(|a| !a.is_empty()).ok_or_else(|| format!("%{operator}% needs a header's name"))?;
    let (name, fallback) = match arguments.split_once('?') {
        Some((name, fallback)) => (name, Some(fallback.to_ascii_lowercase())),
        None => (arguments, None),
    };
    Ok(Operator::Header { of, name: name.to_ascii_lowercase(), fallback })
}

/// Whether there is such a header, if only an empty one.
pub(super) fn write_header(
    entry: &Entry<'_>,
    of: Of,
    name: &str,
    fallback: Option<&str>,
    out: &mut Vec<u8>,
) -> bool {
    let find = |name: &str| match of {
        Of::Request => entry.headers.request(name),
        Of::Response => entry.headers.response(name),
        Of::Trailer => entry.headers.trailer(name),
    };
    let value = find(name).or_else(|| fallback.and_then(find));
    if let Some(value) = &value {
        put_clean(out, value);
    }
    value.is_some()
}

pub(super) fn path<'a>(entry: &'a Entry<'_>, source: Source) -> Option<Cow<'a, [u8]>> {
    let now = || entry.headers.request(":path");
    let original = || entry.headers.request("x-envoy-original-path");
    match source {
        Source::Now => now(),
        Source::Original => original(),
        Source::OriginalOrNow => original().or_else(now),
    }
}

/// Whether there is a query, or that parameter in it, if only an empty one.
pub(super) fn write_query(
    entry: &Entry<'_>,
    parameter: Option<&str>,
    source: Source,
    out: &mut Vec<u8>,
) -> bool {
    let Some(path) = path(entry, source) else { return false };
    let query = engine::request::query(&path);
    let Some(name) = parameter else {
        put_clean(out, query);
        return path.contains(&b'?');
    };
    let value = parameter_of(query, name);
    if let Some(value) = value {
        put_clean(out, &engine::request::percent_decoded(value));
    }
    value.is_some()
}

fn parameter_of<'a>(query: &'a [u8], name: &str) -> Option<&'a [u8]> {
    query.split(|byte| *byte == b'&').find_map(|pair| {
        let end = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        (&pair[..end] == name.as_bytes()).then(|| pair.get(end + 1..).unwrap_or(b""))
    })
}

pub(super) fn server_name(entry: &Entry<'_>, first: NameFrom, source: Source, out: &mut Vec<u8>) {
    let sni = || entry.conn.sni.as_deref().filter(|name| !name.is_empty());
    let now = || entry.headers.request(":authority");
    let original = || entry.headers.request("x-envoy-original-host");
    let host = || match source {
        Source::Now => now(),
        Source::Original => original(),
        Source::OriginalOrNow => original().or_else(now),
    };
    let name: Option<Cow<'_, [u8]>> = match first {
        NameFrom::Sni => sni().map(|name| name.as_bytes().into()),
        NameFrom::SniElseHost => sni().map(|name| name.as_bytes().into()).or_else(host),
        NameFrom::HostElseSni => host().or_else(|| sni().map(|name| name.as_bytes().into())),
    };
    if let Some(name) = name {
        put_clean(out, &name);
    }
}

pub(super) fn source_of(name: &str) -> Option<Source> {
    Some(match name {
        "" | "PATH" => Source::Now,
        "ORIG" => Source::Original,
        "ORIG_OR_PATH" => Source::OriginalOrNow,
        _ => return None,
    })
}
