//! Header operations of a VirtualService.

use ir::route::{AppendAction, HeaderEdits, HeaderText, HeaderValue};
use istio_api::networking::{HeaderOperations, Headers};
use stdx::Str;

/// Edits, and the host that requests get: `:authority` and `host` are no headers that could be
/// edited, so setting one of them rewrites the host.
#[derive(Clone, Debug, Default)]
pub struct Edits {
    pub headers: HeaderEdits,
    pub authority: Option<Str>,
}

pub fn edits(written: Option<&Headers>) -> Edits {
    let request = written.and_then(|headers| headers.request.as_ref());
    let response = written.and_then(|headers| headers.response.as_ref());
    let authority = request.and_then(|operations| {
        let mut host = operations.set.iter().chain(&operations.add).filter(|(name, _)| is_host(name));
        host.next().map(|(_, value)| value.clone())
    });
    let headers = HeaderEdits {
        request_add: request.map(additions).unwrap_or_default(),
        request_remove: request.map(removals).unwrap_or_default(),
        response_add: response.map(additions).unwrap_or_default(),
        response_remove: response.map(removals).unwrap_or_default(),
    };
    Edits { headers, authority }
}

/// Those of `more` after those of `first`, as for a rule and its only destination.
pub fn extend(first: &mut HeaderEdits, more: HeaderEdits) {
    first.request_add.extend(more.request_add);
    first.request_remove.extend(more.request_remove);
    first.response_add.extend(more.response_add);
    first.response_remove.extend(more.response_remove);
}

fn additions(operations: &HeaderOperations) -> Vec<HeaderValue> {
    let set = operations.set.iter().map(|pair| (pair, AppendAction::OverwriteIfExistsOrAdd));
    let add = operations.add.iter().map(|pair| (pair, AppendAction::AppendIfExistsOrAdd));
    set.chain(add)
        .filter(|((name, _), _)| is_editable(name))
        .filter_map(|((name, value), action)| {
            // Envoy adds no header whose value is empty.
            let value = Some(value).filter(|value| !value.is_empty() && is_known(value))?;
            let value = HeaderText::read(value.clone(), false);
            Some(HeaderValue { name: name.to_ascii_lowercase().into(), value, action })
        })
        .collect()
}

/// Envoy refuses all routes for one operator that it does not have. The header is left out, which has been
/// reported: to write it as text would tell others something that nobody means.
fn is_known(value: &str) -> bool {
    istio_api::header_value::problem(value).is_none()
}

fn removals(operations: &HeaderOperations) -> Vec<Str> {
    let names = operations.remove.iter().filter(|name| is_editable(name));
    names.map(|name| name.to_ascii_lowercase().into()).collect()
}

fn is_host(name: &str) -> bool {
    name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case(":authority")
}

fn is_editable(name: &str) -> bool {
    !name.starts_with(':') && !is_host(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_envoy_cannot_read_is_left_out() {
        let check = |value: &str, expected: Option<&str>| {
            let operations =
                HeaderOperations { set: [("a".into(), value.into())].into(), ..Default::default() };
            let written = additions(&operations).pop().map(|it| it.value.to_string());
            assert_eq!(written.as_deref(), expected, "{value}");
        };
        check("a", Some("a"));
        check("100%%", Some("100%"));
        check("%REQ(x)% %%", Some("%REQ(x)% %%"));
        check("%NO_SUCH%", None);
        check("50%", None);
        check("", None);
    }
}
