//! Names in Istio's forms: labels, domains, hosts with a namespace. Each function says what is
//! wrong with a text.

use std::net::IpAddr;

pub(crate) type Verdict = Result<(), String>;

/// A DNS label in either case (RFC 1123, section 2.1): at most 63 characters.
pub(crate) fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_bare_label(text)
}

fn is_bare_label(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// A label, `*`, or a label behind `*` or `*-`.
fn is_wildcard_label(text: &str) -> bool {
    let rest = text.strip_prefix('*').unwrap_or(text);
    let bare = if rest.len() < text.len() { rest.strip_prefix('-').unwrap_or(rest) } else { rest };
    text.len() <= 63 && (text == "*" || is_bare_label(bare))
}

/// A domain name without wildcards.
pub(crate) fn domain(text: &str) -> Verdict {
    check_length(text)?;
    labels(text, text)
}

/// A domain name whose first label may be a wildcard.
pub(crate) fn wildcard_domain(text: &str) -> Verdict {
    check_length(text)?;
    let (first, rest) = text.split_once('.').map_or((text, None), |(first, rest)| (first, Some(rest)));
    if !is_wildcard_label(first) {
        return Err(format!("{text:?} is no host name: {first:?} is no label"));
    }
    rest.map_or(Ok(()), |rest| labels(rest, text))
}

/// As [`wildcard_domain`], and with `sni` also the names by which connections pass between
/// clusters: `outbound_.PORT_.SUBSET_.HOST`.
pub(crate) fn gateway_domain(text: &str, sni: bool) -> Verdict {
    check_length(text)?;
    if !sni || !text.starts_with("outbound_") {
        return wildcard_domain(text);
    }
    let parts: Vec<&str> = text.split('_').collect();
    let good = match parts.as_slice() {
        [_, port, _, host, ..] => {
            port.bytes().any(|b| b.is_ascii_digit()) && host.bytes().any(|b| b.is_ascii_alphabetic())
        }
        _ => false,
    };
    if good { Ok(()) } else { Err(format!("{text:?} is not of the form outbound_.PORT_.SUBSET_.HOST")) }
}

fn check_length(text: &str) -> Verdict {
    match text.len() {
        0 => Err("must not be empty".into()),
        1..=255 => Ok(()),
        _ => Err("is longer than 255 characters".into()),
    }
}

/// Labels separated by dots; a last empty one is allowed, as in `istio.io.`.
fn labels(text: &str, whole: &str) -> Verdict {
    let parts: Vec<&str> = text.split('.').collect();
    let last = parts.last().copied().unwrap_or_default();
    if !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("{whole:?} is no host name: its last label is a number"));
    }
    let kept = if last.is_empty() && parts.len() > 1 { &parts[..parts.len() - 1] } else { &parts[..] };
    match kept.iter().find(|label| !is_label(label)) {
        Some(label) => Err(format!("{whole:?} is no host name: {label:?} is no label")),
        None => Ok(()),
    }
}

/// A wildcard stands for whole labels: `*.example.com`, not `*example.com`.
pub(crate) fn whole_wildcard(text: &str) -> Verdict {
    if text.contains('*') && text != "*" && !text.starts_with("*.") {
        return Err(format!("the partial wildcard {text:?} is not possible"));
    }
    Ok(())
}

/// What hosts with a namespace are for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum HostsOf {
    Gateway,
    Sidecar,
}

/// `NAMESPACE/HOST`; the namespace may be left out at gateways.
pub(crate) fn namespaced_host(text: &str, of: HostsOf) -> Verdict {
    let Some((namespace, host)) = text.split_once('/') else {
        return match of {
            HostsOf::Gateway => listener_host(text, of),
            HostsOf::Sidecar => Err(format!("{text:?} is not of the form NAMESPACE/HOST")),
        };
    };
    if namespace.is_empty() || host.is_empty() {
        return Err(format!("{text:?}: neither namespace nor host may be empty"));
    }
    let bare = match of {
        HostsOf::Gateway => namespace,
        // `~` excludes the namespace behind it.
        HostsOf::Sidecar => namespace.strip_prefix('~').unwrap_or(namespace),
    };
    let anywhere = matches!(bare, "*" | ".") || of == HostsOf::Sidecar && bare.is_empty();
    if !anywhere && !is_label(bare) {
        return Err(format!("{namespace:?} is no namespace"));
    }
    listener_host(host, of)
}

fn listener_host(host: &str, of: HostsOf) -> Verdict {
    if host != "*" && !host.contains('.') {
        return Err(format!("{host:?} is a short name; only full ones are possible"));
    }
    match wildcard_domain(host) {
        Err(_) if of == HostsOf::Gateway && host.parse::<IpAddr>().is_ok() => {}
        other => other?,
    }
    whole_wildcard(host)
}

/// An IP address or a block of them: `10.0.0.0/8`.
pub(crate) fn subnet(text: &str) -> Verdict {
    let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
    let max = match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return Err(format!("{text:?} is no IP address and no address block")),
    };
    let good = length.is_none_or(|length| {
        let digits = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
        // `08` is no length.
        digits && (length == "0" || !length.starts_with('0')) && length.parse::<u8>().is_ok_and(|l| l <= max)
    });
    if good { Ok(()) } else { Err(format!("{text:?} is no address block")) }
}

pub(crate) fn ip_address(text: &str) -> Verdict {
    text.parse::<IpAddr>().map(|_| ()).map_err(|_| format!("{text:?} is no IP address"))
}

/// What follows `unix://`: an absolute path to a file, or `@NAME` for an abstract socket.
pub(crate) fn socket_path(path: &str) -> Verdict {
    match path {
        "" => Err("the path of a Unix socket must not be empty".into()),
        _ if path.starts_with('@') => Ok(()),
        _ if path.starts_with('/') && !path.ends_with('/') => Ok(()),
        _ => Err(format!("{path:?} is no absolute path to a file")),
    }
}

/// The name of a Kubernetes label: `[DOMAIN/]NAME`.
pub(crate) fn label_key(key: &str) -> Verdict {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let prefix_good = prefix.is_none_or(|p| p.len() <= 253 && p.split('.').all(is_bare_label));
    if prefix_good && !name.is_empty() && is_label_value(name) {
        return Ok(());
    }
    Err(format!("{key:?} is no label name"))
}

/// The value of a Kubernetes label, which may be empty. Istio does not limit its length.
pub(crate) fn label_value(value: &str) -> Verdict {
    if is_bare_label_value(value) {
        return Ok(());
    }
    Err(format!("{value:?} is no label value"))
}

fn is_label_value(text: &str) -> bool {
    text.len() <= 63 && is_bare_label_value(text)
}

fn is_bare_label_value(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        && edge(text.chars().next())
        && edge(text.chars().next_back())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_labels_with_at_most_one_wildcard_in_front() {
        for (text, plain, wildcard) in [
            ("reviews", true, true),
            ("reviews.shop.svc.cluster.local", true, true),
            ("Reviews.com.", true, true),
            ("*", false, true),
            ("*.com", false, true),
            ("*-x.com", false, true),
            ("*x.com", false, true),
            ("a.*.com", false, false),
            ("a..b", false, false),
            ("-a", false, false),
            ("a_b", false, false),
            ("*-", false, false),
            ("", false, false),
            ("10.0.0.1", false, false),
            ("a.1", false, false),
        ] {
            assert_eq!(domain(text).is_ok(), plain, "{text}");
            assert_eq!(wildcard_domain(text).is_ok(), wildcard, "{text}");
        }
        assert!(gateway_domain("outbound_.80_._.a.com", true).is_ok());
        assert!(gateway_domain("outbound_.80_._.a.com", false).is_err());
        assert!(gateway_domain("outbound_.a.com", true).is_err());
    }

    #[test]
    fn hosts_of_listeners_are_full_names_with_a_namespace() {
        for (text, gateway, sidecar) in [
            ("*", true, false),
            ("a.com", true, false),
            ("ns/a.com", true, true),
            ("*/*", true, true),
            ("./*.com", true, true),
            ("~/*", false, true),
            ("~ns/*", false, true),
            ("ns/short", false, false),
            ("ns/*x.com", false, false),
            ("/a.com", false, false),
            ("ns/", false, false),
            ("ns/10.0.0.1", true, false),
            ("a/b/c.com", false, false),
        ] {
            assert_eq!(namespaced_host(text, HostsOf::Gateway).is_ok(), gateway, "{text}");
            assert_eq!(namespaced_host(text, HostsOf::Sidecar).is_ok(), sidecar, "{text}");
        }
    }

    #[test]
    fn blocks_and_labels_are_judged() {
        for (text, good) in [
            ("10.0.0.0/8", true),
            ("::/0", true),
            ("10.0.0.1", true),
            ("10.0.0.0/33", false),
            ("10.0.0.0/08", false),
        ] {
            assert_eq!(subnet(text).is_ok(), good, "{text}");
        }
        for (text, good) in [("", true), ("v1.2_x", true), ("-v1", false), ("v1.", false), ("a b", false)] {
            assert_eq!(label_value(text).is_ok(), good, "{text}");
        }
        for (text, good) in [("app", true), ("a.b/c", true), ("", false), ("a/", false), ("a/b/c", false)] {
            assert_eq!(label_key(text).is_ok(), good, "{text}");
        }
    }
}
