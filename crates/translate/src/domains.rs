//! The names by which a request may call a service: the domains of its virtual host.

use std::collections::HashSet;
use std::net::IpAddr;

use stdx::Str;

/// All domains of a service's virtual host as a proxy in `namespace` of `domain` may write them:
/// the host itself, its short forms, for headless services everything below these (`pod.service`),
/// and its addresses. No ports: route configurations ignore them.
pub fn of_service(
    host: &str,
    addresses: &[IpAddr],
    headless: bool,
    namespace: &str,
    domain: &str,
) -> Vec<Str> {
    let mut domains: Vec<Str> = vec![host.into()];
    domains.extend(short_forms(host, namespace, domain));
    if headless {
        let below: Vec<Str> = domains.iter().map(|name| format!("*.{name}").into()).collect();
        domains.extend(below);
    }
    domains.extend(addresses.iter().map(|address| Str::from(bracketed(*address))));
    domains
}

/// The other names of a host: with a trailing dot, and for services of the mesh's own domain
/// those that a resolver completes. The bare name only inside its namespace.
pub fn short_forms(host: &str, namespace: &str, domain: &str) -> Vec<Str> {
    let mut forms = Vec::new();
    if host.parse::<IpAddr>().is_err() && !host.starts_with('*') {
        forms.push(Str::from(format!("{host}.")));
    }
    let suffix = format!(".svc.{domain}");
    let Some(stem) = host.strip_suffix(suffix.as_str()) else { return forms };
    let Some((name, service_namespace)) = stem.split_once('.') else { return forms };
    if service_namespace == namespace {
        forms.push(name.into());
    }
    forms.push(format!("{stem}.svc").into());
    forms.push(stem.into());
    forms
}

/// Domains may not repeat within a route configuration: the first virtual host keeps one. A short
/// form never takes the name of another host that is spelled out.
#[derive(Default)]
pub struct Claimed {
    taken: HashSet<Str>,
    full_names: HashSet<Str>,
}

impl Claimed {
    pub fn new(full_names: impl IntoIterator<Item = Str>) -> Self {
        Claimed { taken: HashSet::new(), full_names: full_names.into_iter().collect() }
    }

    /// Takes those of `domains` that are free. `own` is the host they belong to.
    pub fn claim(&mut self, own: &str, domains: &[Str]) -> Vec<Str> {
        let mut kept = Vec::with_capacity(domains.len());
        for domain in domains {
            let foreign = *domain != *own && self.full_names.contains(domain);
            if !foreign && self.taken.insert(domain.clone()) {
                kept.push(domain.clone());
            }
        }
        kept
    }
}

fn bracketed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(host: &str, namespace: &str, expected: &[&str]) {
        let found = of_service(host, &["10.0.0.1".parse().unwrap()], false, namespace, "cluster.local");
        assert_eq!(found, expected, "{host} seen from {namespace}");
    }

    #[test]
    fn a_service_is_known_by_what_a_resolver_completes() {
        let host = "reviews.shop.svc.cluster.local";
        let near = [
            host,
            "reviews.shop.svc.cluster.local.",
            "reviews",
            "reviews.shop.svc",
            "reviews.shop",
            "10.0.0.1",
        ];
        check(host, "shop", &near);
        check(
            host,
            "other",
            &[host, "reviews.shop.svc.cluster.local.", "reviews.shop.svc", "reviews.shop", "10.0.0.1"],
        );
        check("example.com", "shop", &["example.com", "example.com.", "10.0.0.1"]);
    }

    #[test]
    fn a_short_form_never_takes_a_full_name() {
        let mut claimed = Claimed::new([Str::from("a.b.svc"), Str::from("a.b.svc.cluster.local")]);
        let first = claimed.claim(
            "a.b.svc.cluster.local",
            &["a.b.svc.cluster.local".into(), "a.b.svc".into(), "a.b".into()],
        );
        assert_eq!(first, ["a.b.svc.cluster.local", "a.b"]);
        assert_eq!(claimed.claim("a.b.svc", &["a.b.svc".into(), "a.b".into()]), ["a.b.svc"]);
    }
}
