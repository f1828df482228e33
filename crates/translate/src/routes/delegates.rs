//! Delegates: a rule of a VirtualService may leave its requests to the rules of another one, which
//! has no hosts. Both conditions must hold, and what the delegate does not say the root says. See
//! <https://istio.io/latest/docs/reference/config/networking/virtual-service/#Delegate>.

use istio_api::StringMatch;
use istio_api::networking::{HeaderMatch, HttpMatch, HttpRoute, VirtualService};
use model::{ObjectRef, Str};
use registry::{Config, View};
use std::collections::BTreeMap;

/// A rule, and the VirtualService that it was written in: short names in it are of that namespace.
pub struct Rule {
    pub object: ObjectRef,
    pub rule: HttpRoute,
}

/// The rules of a VirtualService, those of its delegates in the places of the rules that refer to
/// them. A rule whose delegate is not there, or not exported to the root's namespace, is left out.
pub fn rules(view: &View<'_>, root: &Config<VirtualService>) -> Vec<Rule> {
    let mut rules = Vec::with_capacity(root.spec.http.len());
    for rule in &root.spec.http {
        let Some(delegate) = &rule.delegate else {
            rules.push(Rule { object: root.object.clone(), rule: rule.clone() });
            continue;
        };
        let own = &root.object.namespace;
        let namespace = if delegate.namespace.is_empty() { own } else { &delegate.namespace };
        let Some(delegate) = view.delegate(own, namespace, &delegate.name) else { continue };
        // A delegate has no delegates of its own: Istio follows one step.
        let leaves = delegate.spec.http.iter().filter(|leaf| leaf.delegate.is_none());
        let merged = leaves.filter_map(|leaf| merge(rule, leaf));
        rules.extend(merged.map(|rule| Rule { object: delegate.object.clone(), rule }));
    }
    rules
}

/// `None`: no request meets the conditions of both.
fn merge(root: &HttpRoute, leaf: &HttpRoute) -> Option<HttpRoute> {
    let merged = HttpRoute {
        name: joined(&root.name, &leaf.name),
        matches: merge_matches(&root.matches, &leaf.matches)?,
        rewrite: leaf.rewrite.clone().or_else(|| root.rewrite.clone()),
        direct_response: leaf.direct_response.clone().or_else(|| root.direct_response.clone()),
        timeout: leaf.timeout.or(root.timeout),
        retries: leaf.retries.clone().or_else(|| root.retries.clone()),
        fault: leaf.fault.clone().or_else(|| root.fault.clone()),
        mirrors: if leaf.mirrors.is_empty() { root.mirrors.clone() } else { leaf.mirrors.clone() },
        cors_policy: leaf.cors_policy.clone().or_else(|| root.cors_policy.clone()),
        headers: leaf.headers.clone().or_else(|| root.headers.clone()),
        ..leaf.clone()
    };
    Some(merged)
}

fn joined(root: &Option<Str>, leaf: &Option<Str>) -> Option<Str> {
    let written = |name: &Option<Str>| name.clone().filter(|name| !name.is_empty());
    match (written(root), written(leaf)) {
        (Some(root), Some(leaf)) => Some(format!("{root}-{leaf}").into()),
        (root, leaf) => leaf.or(root),
    }
}

/// Each of the delegate's conditions must narrow one of the root's, or the rule is void.
fn merge_matches(root: &[HttpMatch], leaf: &[HttpMatch]) -> Option<Vec<HttpMatch>> {
    if root.is_empty() || leaf.is_empty() {
        return Some(if root.is_empty() { leaf } else { root }.to_vec());
    }
    let mut merged = Vec::new();
    for leaf in leaf {
        let before = merged.len();
        merged.extend(root.iter().filter(|root| !conflict(root, leaf)).map(|root| merge_match(root, leaf)));
        if merged.len() == before {
            return None;
        }
    }
    Some(merged)
}

fn merge_match(root: &HttpMatch, leaf: &HttpMatch) -> HttpMatch {
    let text = |root: &Option<StringMatch>, leaf: &Option<StringMatch>| leaf.clone().or_else(|| root.clone());
    let both = |root: &BTreeMap<Str, HeaderMatch>, leaf: &BTreeMap<Str, HeaderMatch>| {
        let mut both = root.clone();
        both.extend(leaf.clone());
        both
    };
    let mut source_labels = root.source_labels.clone();
    source_labels.0.extend(leaf.source_labels.0.clone());
    HttpMatch {
        name: joined(&root.name, &leaf.name),
        uri: text(&root.uri, &leaf.uri),
        ignore_uri_case: leaf.ignore_uri_case,
        method: text(&root.method, &leaf.method),
        authority: text(&root.authority, &leaf.authority),
        scheme: text(&root.scheme, &leaf.scheme),
        headers: both(&root.headers, &leaf.headers),
        without_headers: both(&root.without_headers, &leaf.without_headers),
        query_params: both(&root.query_params, &leaf.query_params),
        port: leaf.port.or(root.port),
        source_labels,
        source_namespace: leaf.source_namespace.clone().or_else(|| root.source_namespace.clone()),
        stat_prefix: leaf.stat_prefix.clone().or_else(|| root.stat_prefix.clone()),
        gateways: if leaf.gateways.is_empty() { root.gateways.clone() } else { leaf.gateways.clone() },
        unsupported: root.unsupported.iter().chain(&leaf.unsupported).cloned().collect(),
        path: leaf.path.clone(),
    }
}

/// Whether a delegate's conditions go beyond the root's.
fn conflict(root: &HttpMatch, leaf: &HttpMatch) -> bool {
    let texts = [
        (&root.uri, &leaf.uri),
        (&root.scheme, &leaf.scheme),
        (&root.method, &leaf.method),
        (&root.authority, &leaf.authority),
    ];
    let maps = [
        (&root.headers, &leaf.headers),
        (&root.without_headers, &leaf.without_headers),
        (&root.query_params, &leaf.query_params),
    ];
    let header = |(root, leaf): &(&BTreeMap<Str, HeaderMatch>, &BTreeMap<Str, HeaderMatch>)| {
        leaf.iter().any(|(name, leaf)| match (root.get(name), leaf) {
            (Some(HeaderMatch::Value(root)), HeaderMatch::Value(leaf)) => wider(root, leaf),
            // Merely being there is less than having a value.
            (Some(HeaderMatch::Value(_)), HeaderMatch::Present) => true,
            (Some(HeaderMatch::Present) | None, _) => false,
        })
    };
    let text = |(root, leaf): &(&Option<StringMatch>, &Option<StringMatch>)| match (root, leaf) {
        (Some(root), Some(leaf)) => wider(root, leaf),
        _ => false,
    };
    let port = |port: Option<u32>| port.filter(|port| *port != 0);
    let labels = &leaf.source_labels.0;
    texts.iter().any(text)
        || maps.iter().any(header)
        || root.ignore_uri_case != leaf.ignore_uri_case
        || port(root.port).zip(port(leaf.port)).is_some_and(|(root, leaf)| root != leaf)
        || (root.source_namespace.is_some() && leaf.source_namespace.is_some())
            && root.source_namespace != leaf.source_namespace
        || labels.iter().any(|(key, value)| root.source_labels.0.get(key).is_some_and(|own| own != value))
        || !root.gateways.is_empty() && leaf.gateways.iter().any(|gateway| !root.gateways.contains(gateway))
}

/// Whether some text meets the delegate's condition and not the root's. Of regular expressions
/// that is not decided: beside one nothing else may be asked for.
fn wider(root: &StringMatch, leaf: &StringMatch) -> bool {
    match (root, leaf) {
        (StringMatch::Exact(root), StringMatch::Exact(leaf)) => root != leaf,
        (StringMatch::Prefix(root), StringMatch::Prefix(leaf) | StringMatch::Exact(leaf)) => {
            !leaf.starts_with(root.as_str())
        }
        (StringMatch::Exact(_), StringMatch::Prefix(_))
        | (StringMatch::Regex(_), _)
        | (_, StringMatch::Regex(_)) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delegate_may_only_narrow() {
        let exact = |text: &str| StringMatch::Exact(text.into());
        let prefix = |text: &str| StringMatch::Prefix(text.into());
        assert!(!wider(&prefix("/a"), &prefix("/a/b")) && !wider(&prefix("/a"), &exact("/a/b")));
        assert!(wider(&prefix("/a/b"), &prefix("/a")) && wider(&exact("/a"), &prefix("/a")));
        assert!(!wider(&exact("/a"), &exact("/a")) && wider(&exact("/a"), &exact("/b")));
        let regex = StringMatch::Regex("/a".into());
        assert!(wider(&regex, &regex) && wider(&regex, &exact("/a")) && wider(&prefix("/"), &regex));
    }

    #[test]
    fn conditions_multiply_and_names_are_joined() {
        let prefix = |text: &str| Some(StringMatch::Prefix(text.into()));
        let root = [
            HttpMatch { uri: prefix("/a"), name: Some("r".into()), ..HttpMatch::default() },
            HttpMatch { port: Some(80), ..HttpMatch::default() },
        ];
        let leaf = [HttpMatch { uri: prefix("/a/b"), name: Some("l".into()), ..HttpMatch::default() }];
        let merged = merge_matches(&root, &leaf).unwrap();
        assert_eq!(merged.len(), 2);
        assert_eq!((merged[0].uri.clone(), merged[0].name.as_deref()), (prefix("/a/b"), Some("r-l")));
        assert_eq!(merged[1].port, Some(80));
        let beyond = [HttpMatch { uri: prefix("/c"), port: Some(81), ..HttpMatch::default() }];
        assert_eq!(merge_matches(&root, &beyond), None);
    }
}
