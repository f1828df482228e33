//! AuthorizationPolicies, judged by the engine on what was translated.

use engine::rbac::{Certificate, Peer, Rbac, Verdict};
use engine::request::PlainRequest;
use ir::{HttpFilter, NetworkFilter, Terminal};

use crate::common::{Proxy, pod, service, sidecar, snapshot};

fn policy(namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
         metadata: {{name: {name}, namespace: {namespace}}}\nspec: {{{spec}}}\n"
    )
}

fn web(port: &str, policies: &str) -> Proxy {
    let yaml = service("web", "10.0.0.1", port) + &pod("web", "10.1.0.1", "app: web") + policies;
    Proxy::of(&snapshot(&yaml), &sidecar("shop", "10.1.0.1", "app=web"))
}

/// Whether `principal` (empty: plaintext) may; on HTTP `method path`, else on bytes.
#[track_caller]
fn check(policies: &str, principal: &str, request: Option<(&str, &str)>, expected: bool) {
    let port = if request.is_some() { "{port: 80, name: http}" } else { "{port: 80, name: tcp}" };
    let proxy = web(port, policies);
    let chains = &proxy.listener("virtualInbound").filter_chains;
    let chain = chains.iter().find(|c| c.matches.destination_port == Some(80)).expect("a chain");
    let rules: Vec<&ir::Rbac> = match &chain.terminal {
        Terminal::Http(manager) => manager.http_filters.iter().filter_map(http_rules).collect(),
        Terminal::Tcp(_) | Terminal::Direct(_) => chain.filters.iter().filter_map(tcp_rules).collect(),
    };
    let certificate = Certificate { uri_sans: vec![principal.into()], ..Certificate::default() };
    let peer = Peer {
        remote: [10, 1, 0, 7].into(),
        direct_remote: [10, 1, 0, 7].into(),
        local: ([10, 1, 0, 1], 80).into(),
        server_name: "",
        certificate: (!principal.is_empty()).then_some(&certificate),
        metadata: None,
    };
    let request = request.map(|(method, path)| {
        let mut request = PlainRequest::get("web.shop:80", path);
        request.method = method.into();
        request
    });
    let allows = |rules: &&ir::Rbac| {
        let compiled = Rbac::compile(rules).expect("rules that compile");
        compiled.decide(&peer, request.as_ref()) == Verdict::Allowed
    };
    assert_eq!(rules.iter().all(allows), expected, "{principal:?} {policies}");
}

fn http_rules(filter: &HttpFilter) -> Option<&ir::Rbac> {
    match filter {
        HttpFilter::Rbac(filter) => filter.rules.as_ref(),
        _ => None,
    }
}

fn tcp_rules(filter: &NetworkFilter) -> Option<&ir::Rbac> {
    match filter {
        NetworkFilter::Rbac(filter) => filter.rules.as_ref(),
        _ => None,
    }
}

const ALICE: &str = "spiffe://cluster.local/ns/shop/sa/alice";
const BOB: &str = "spiffe://cluster.local/ns/other/sa/bob";
const GET: Option<(&str, &str)> = Some(("GET", "/api/x?y=1"));
const POST: Option<(&str, &str)> = Some(("POST", "/admin"));

#[test]
fn without_policies_everybody_may() {
    check("", "", GET, true);
    check("", "", None, true);
}

#[test]
fn allow_by_principal_namespace_method_and_path() {
    let by = |rule: &str| policy("shop", "p", &format!("rules: [{{{rule}}}]"));
    let alice = by("from: [{source: {principals: [cluster.local/ns/shop/sa/alice]}}]");
    check(&alice, ALICE, GET, true);
    check(&alice, BOB, GET, false);
    check(&alice, "", GET, false);
    let suffix = by("from: [{source: {principals: [\"*/sa/bob\"]}}]");
    check(&suffix, BOB, GET, true);
    check(&suffix, ALICE, GET, false);
    let namespace = by("from: [{source: {namespaces: [shop]}}]");
    check(&namespace, ALICE, GET, true);
    check(&namespace, BOB, GET, false);
    let not = by("from: [{source: {notNamespaces: [shop]}}]");
    check(&not, ALICE, GET, false);
    check(&not, BOB, GET, true);
    let operation = by("to: [{operation: {methods: [GET], paths: [\"/api*\"]}}]");
    check(&operation, "", GET, true);
    check(&operation, "", POST, false);
    let host = by("to: [{operation: {hosts: [\"WEB.shop*\"]}}]");
    check(&host, "", GET, true);
}

#[test]
fn deny_goes_before_allow() {
    let allow = policy("shop", "a", "rules: [{}]");
    let deny = policy("shop", "d", "action: DENY, rules: [{to: [{operation: {paths: [/admin]}}]}]");
    check(&(allow.clone() + &deny), ALICE, GET, true);
    check(&(allow + &deny), ALICE, POST, false);
    check(&deny, ALICE, GET, true);
}

#[test]
fn an_empty_policy_allows_nobody_and_a_broken_one_too() {
    check(&policy("shop", "p", ""), ALICE, GET, false);
    check(
        &policy("shop", "p", "action: DENY, rules: [{to: [{operation: {ports: [nonsense]}}]}]"),
        ALICE,
        GET,
        false,
    );
    check(&policy("shop", "p", "rules: [{}], nonsense: 1"), ALICE, GET, false);
}

#[test]
fn policies_hold_where_they_select() {
    check(&policy("istio-system", "mesh", ""), ALICE, GET, false);
    check(&policy("other", "p", ""), ALICE, GET, true);
    check(&policy("shop", "p", "selector: {matchLabels: {app: other}}"), ALICE, GET, true);
}

#[test]
fn on_bytes_http_conditions_never_allow_and_always_deny() {
    let http = "rules: [{to: [{operation: {methods: [GET]}}], from: [{source: {namespaces: [shop]}}]}]";
    check(&policy("shop", "p", http), ALICE, None, false);
    check(&policy("shop", "p", &format!("action: DENY, {http}")), ALICE, None, false);
    check(&policy("shop", "p", &format!("action: DENY, {http}")), BOB, None, true);
    let ports = "rules: [{to: [{operation: {ports: [\"80\"]}}]}]";
    check(&policy("shop", "p", ports), "", None, true);
}

#[test]
fn what_cannot_be_judged_allows_nobody_and_denies_without_it() {
    let when = "rules: [{from: [{source: {namespaces: [shop]}}], when: [{key: \"request.headers[x]\", values: [y]}]}]";
    check(&policy("shop", "p", when), ALICE, GET, false);
    check(&policy("shop", "p", &format!("action: DENY, {when}")), ALICE, GET, false);
    check(&policy("shop", "p", &format!("action: DENY, {when}")), BOB, GET, true);
    let custom = "action: CUSTOM, provider: {name: x}, rules: [{to: [{operation: {paths: [/admin]}}]}]";
    check(&policy("shop", "p", custom), ALICE, POST, false);
    check(&policy("shop", "p", custom), ALICE, GET, true);
}

#[test]
fn policies_are_named_as_istio_names_them() {
    let proxy = web("{port: 80, name: http}", &policy("shop", "p", "rules: [{}]"));
    let chains = &proxy.listener("virtualInbound").filter_chains;
    let chain = chains.iter().find(|c| c.matches.destination_port == Some(80)).unwrap();
    let Terminal::Http(manager) = &chain.terminal else { panic!() };
    let rules = manager.http_filters.iter().find_map(http_rules).unwrap();
    assert_eq!(rules.policies.keys().collect::<Vec<_>>(), ["ns[shop]-policy[p]-rule[0]"]);
}
