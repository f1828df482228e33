//! Header operations and the values they set.

use super::names::Verdict;
use crate::reader::Item;

/// `headers` of a route or a destination.
pub(super) fn check(at: &Item<'_>) {
    let Some(headers) = at.field("headers") else { return };
    for (side, is_request) in [("request", true), ("response", false)] {
        let Some(operations) = headers.field(side) else { continue };
        for name in ["set", "add"] {
            for (key, item) in operations.each_entry(name) {
                item.judge(operation_name(key, is_request));
                item.judge(value(item.text()));
            }
        }
        operations.each("remove").iter().for_each(|item| item.judge(operation_name(item.text(), false)));
    }
}

/// A header that may be changed. Of a request's pseudo headers only the authority may be set.
fn operation_name(name: &str, authority: bool) -> Verdict {
    if name.is_empty() {
        return Err("the name of a header must not be empty".into());
    }
    if authority && super::header::is_authority(name) {
        return Ok(());
    }
    if name.starts_with(':') || name.eq_ignore_ascii_case("host") {
        return Err(format!("the header {name} cannot be changed"));
    }
    Ok(())
}

/// A value in Envoy's form: `%COMMAND%` and `%COMMAND(ARGUMENTS)%` stand for something, `%%` for a
/// percent sign. Which commands there are is not judged. See
/// <https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/headers>.
pub(crate) fn value(text: &str) -> Verdict {
    if text.bytes().any(|b| b.is_ascii_control() && b != b'\t') {
        return Err("a header's value must not have control characters".into());
    }
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        rest = &rest[at + 1..];
        rest = match rest.strip_prefix('%') {
            Some(after) => after,
            None => command(rest)
                .ok_or_else(|| format!("{text:?} has a % without its end; write %% for itself"))?,
        };
    }
    Ok(())
}

/// What follows a command that begins behind its percent sign.
fn command(text: &str) -> Option<&str> {
    let end = text.find(['%', '('])?;
    let rest = &text[end..];
    match rest.strip_prefix('%') {
        Some(after) => Some(after),
        None => {
            let after = arguments(rest[1..].trim_start_matches(' '))?;
            after.trim_start_matches(' ').strip_prefix('%')
        }
    }
}

/// What follows the parenthesis that closes a command's arguments: a list of JSON strings, or any
/// text without a parenthesis.
fn arguments(text: &str) -> Option<&str> {
    let Some(mut rest) = text.strip_prefix('[') else { return plain_argument(text) };
    loop {
        rest = string(rest.trim_start_matches(' ').strip_prefix('"')?)?.trim_start_matches(' ');
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None => return rest.strip_prefix(']')?.trim_start_matches(' ').strip_prefix(')'),
        }
    }
}

fn plain_argument(text: &str) -> Option<&str> {
    let mut chars = text.char_indices();
    while let Some((index, c)) = chars.next() {
        match c {
            '\\' => drop(chars.next()?),
            ')' => return Some(&text[index + 1..]),
            _ => {}
        }
    }
    None
}

/// What follows a JSON string that has begun.
fn string(text: &str) -> Option<&str> {
    let mut chars = text.char_indices();
    while let Some((index, c)) = chars.next() {
        match c {
            '\\' => drop(chars.next()?),
            '"' => return Some(&text[index + 1..]),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn values_are_read_as_envoy_reads_them() {
        for (text, good) in [
            ("", true),
            ("abc", true),
            ("100%%", true),
            ("%HOSTNAME%", true),
            ("a %REQ(x-a)% b", true),
            (r#"%UPSTREAM_METADATA(["a", "b"])%"#, true),
            (r#"%METADATA([ "a\"" ] )%"#, true),
            ("%REQ(a)", false),
            ("abc%123", false),
            ("%START_TIME%%", false),
            (r#"%UPSTREAM_METADATA(["a" "b"])%"#, false),
            (r#"%UPSTREAM_METADATA([a])%"#, false),
            ("a\nb", false),
        ] {
            assert_eq!(value(text).is_ok(), good, "{text}");
        }
    }
}
