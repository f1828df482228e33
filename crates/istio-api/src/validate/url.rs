//! URLs, as far as rules look at them.

/// The scheme of an absolute URL, in lower case (RFC 3986, section 3.1).
fn scheme(text: &str) -> Option<String> {
    let (scheme, _) = text.split_once(':')?;
    let good = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    good.then(|| scheme.to_ascii_lowercase())
}

/// Whether the authority's port, if there is one, is a number.
fn has_good_authority(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else { return true };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if let Some(inner) = host.strip_prefix('[') {
        return inner.split_once(']').is_some_and(|(_, port)| is_port(port));
    }
    match host.split_once(':') {
        Some((_, port)) => port.bytes().all(|b| b.is_ascii_digit()),
        None => !host.contains([' ', '<', '>', '"', '\\', '^', '`', '{', '|', '}']),
    }
}

fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()))
}

fn is_clean(text: &str) -> bool {
    !text.bytes().any(|b| b.is_ascii_control()) && has_good_escapes(text)
}

/// Every `%` is followed by two hexadecimal digits.
fn has_good_escapes(text: &str) -> bool {
    text.split('%').skip(1).all(|part| {
        let bytes = part.as_bytes();
        bytes.len() >= 2 && bytes[..2].iter().all(u8::is_ascii_hexdigit)
    })
}

/// An absolute URL of http or https.
pub(crate) fn is_http_url(text: &str) -> bool {
    is_clean(text)
        && has_good_authority(text)
        && scheme(text).is_some_and(|scheme| matches!(scheme.as_str(), "http" | "https"))
}

/// Where a plugin is: with a scheme of http, https, file or oci, or without one, which means oci.
pub(crate) fn is_plugin_url(text: &str) -> bool {
    if !is_clean(text) {
        return false;
    }
    if text.starts_with('/') {
        return true;
    }
    match scheme(text) {
        // `HOST:PORT/PATH` looks like a scheme with something behind it, and is none.
        Some(scheme) if text.contains("://") || !scheme.contains('.') && !is_host_with_port(text) => {
            has_good_authority(text) && matches!(scheme.as_str(), "http" | "https" | "file" | "oci")
        }
        _ => has_good_authority(&format!("http://{text}")),
    }
}

fn is_host_with_port(text: &str) -> bool {
    let authority = text.split(['/', '?', '#']).next().unwrap_or_default();
    authority
        .split_once(':')
        .is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_are_told_apart() {
        for (text, plugin, http) in [
            ("https://a.com/x.wasm", true, true),
            ("oci://a.com/x:v1", true, false),
            ("file:///etc/x.wasm", true, false),
            ("a.com:5000/x:v1", true, false),
            ("private-registry:5000/repo/filter:latest", true, false),
            ("/x.wasm", true, false),
            ("ftp://a.com/x", false, false),
            ("ftp:x", false, false),
            ("https://a.com:port/x", false, false),
            ("https://a.com/%zz", false, false),
            ("", true, false),
        ] {
            assert_eq!(is_plugin_url(text), plugin, "{text}");
            assert_eq!(is_http_url(text), http, "{text}");
        }
    }
}
