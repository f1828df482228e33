//! ALLOW policies that nothing can match: what they allow is impossible, so they deny everything.

use crate::analyzers::Analyzer;
use crate::finding::Report;
use crate::kind::Kind;
use crate::object::{Object, labels_of};
use crate::snapshot::Snapshot;
use crate::value::Val;

pub static ANALYZER: Analyzer = Analyzer {
    name: "lateen.EmptyPolicies",
    description: "Finds rules of ALLOW policies that no request can match",
    codes: &["LTN0108"],
    inputs: &[
        Kind::AuthorizationPolicy,
        Kind::PeerAuthentication,
        Kind::Pod,
        Kind::Service,
        Kind::MeshConfig,
    ],
    by_default: true,
    by_file: false,
    run,
};

fn run(snapshot: &Snapshot, report: &mut Report) {
    for policy in snapshot.of(Kind::AuthorizationPolicy) {
        // ALLOW without rules is how one writes "nothing", and a rule of DENY that matches nothing
        // is harmless.
        if !is_allow(policy) {
            continue;
        }
        for (number, rule) in policy.spec().get("rules").items().enumerate() {
            if let Some(reason) = impossible(policy, rule, snapshot) {
                report.add("LTN0108", policy, rule, &[&number, &reason]);
            }
        }
    }
}

/// Whether a policy says who may call.
pub(super) fn is_allow(policy: &Object) -> bool {
    matches!(policy.spec().get("action").str(), "" | "ALLOW")
}

/// Why a rule matches nothing. Its sources are alternatives, and so are its operations.
fn impossible(policy: &Object, rule: Val<'_>, snapshot: &Snapshot) -> Option<String> {
    let sources: Vec<Option<String>> = rule
        .get("from")
        .items()
        .map(|from| impossible_source(policy, from.get("source"), snapshot))
        .collect();
    let operations: Vec<Option<String>> = rule
        .get("to")
        .items()
        .map(|to| impossible_operation(policy, to.get("operation"), snapshot))
        .collect();
    [sources, operations].into_iter().find_map(|reasons| {
        let all = !reasons.is_empty() && reasons.iter().all(Option::is_some);
        reasons.into_iter().next().flatten().filter(|_| all)
    })
}

fn impossible_source(policy: &Object, source: Val<'_>, snapshot: &Snapshot) -> Option<String> {
    let pairs = [
        ("principals", "notPrincipals"),
        ("namespaces", "notNamespaces"),
        ("ipBlocks", "notIpBlocks"),
        ("requestPrincipals", "notRequestPrincipals"),
    ];
    contradiction(source, &pairs)
        .or_else(|| elsewhere(source))
        .or_else(|| without_identity(policy, source, snapshot))
}

fn impossible_operation(policy: &Object, operation: Val<'_>, snapshot: &Snapshot) -> Option<String> {
    let pairs =
        [("hosts", "notHosts"), ("ports", "notPorts"), ("methods", "notMethods"), ("paths", "notPaths")];
    contradiction(operation, &pairs).or_else(|| http_on_tcp(policy, operation, snapshot))
}

/// Everything that is asked for is excluded beside it.
fn contradiction(value: Val<'_>, pairs: &[(&str, &str)]) -> Option<String> {
    pairs.iter().find_map(|(wanted, excluded)| {
        let (wants, excludes) = (value.get(wanted).strings(), value.get(excluded).strings());
        let covered = |want: &&str| excludes.iter().any(|exclude| *exclude == "*" || exclude == want);
        (!wants.is_empty() && wants.iter().all(covered))
            .then(|| format!("{excluded} excludes everything that {wanted} asks for"))
    })
}

/// Principals carry their namespace, which must be one of those asked for.
fn elsewhere(source: Val<'_>) -> Option<String> {
    let (principals, namespaces) = (source.get("principals").strings(), source.get("namespaces").strings());
    let namespace_of = |principal: &str| principal.split_once("/ns/")?.1.split('/').next().map(str::to_owned);
    let is_out = |principal: &&str| {
        namespace_of(principal).is_some_and(|ns| {
            !ns.contains('*') && namespaces.iter().all(|wanted| !wanted.contains('*') && **wanted != ns)
        })
    };
    (!principals.is_empty() && !namespaces.is_empty() && principals.iter().all(is_out))
        .then(|| "none of its principals is in one of its namespaces".to_owned())
}

/// Callers have an identity by mutual TLS only.
fn without_identity(policy: &Object, source: Val<'_>, snapshot: &Snapshot) -> Option<String> {
    let field = ["principals", "namespaces"].into_iter().find(|f| source.get(f).items().len() > 0)?;
    let labels = labels_of(policy.spec().path("selector.matchLabels"));
    let workloads = snapshot.select(Some(&policy.namespace), &labels);
    let mut modes = workloads.iter().map(|w| snapshot.modes().of(&policy.namespace, &w.labels));
    let all = !workloads.is_empty() && modes.all(|mode| mode.is_some_and(|mode| &*mode.mode == "DISABLE"));
    all.then(|| format!("{field} need mutual TLS, which is switched off for the workloads it selects"))
}

/// A TCP connection has neither method nor path.
fn http_on_tcp(policy: &Object, operation: Val<'_>, snapshot: &Snapshot) -> Option<String> {
    const HTTP: [&str; 6] = ["hosts", "notHosts", "methods", "notMethods", "paths", "notPaths"];
    let field = HTTP.into_iter().find(|field| operation.get(field).items().len() > 0)?;
    let labels = labels_of(policy.spec().path("selector.matchLabels"));
    let ports = operation.get("ports").strings();
    if ports.is_empty() || labels.is_empty() {
        return None;
    }
    let workloads = snapshot.select(Some(&policy.namespace), &labels);
    let services = snapshot.of(Kind::Service).iter().filter(|s| s.namespace == policy.namespace);
    let mut of_workloads = Vec::new();
    for service in services {
        let selector = labels_of(service.spec().get("selector"));
        if !selector.is_empty() && workloads.iter().any(|w| selector.select(&w.labels)) {
            of_workloads.extend(service.spec().get("ports").items());
        }
    }
    let is_tcp = |number: &&str| {
        let mut same = of_workloads.iter().filter(|port| target(**port) == **number).peekable();
        same.peek().is_some() && same.all(|port| is_declared_tcp(*port))
    };
    ports.iter().all(is_tcp).then(|| format!("{field} on ports that carry TCP, not HTTP"))
}

fn target(port: Val<'_>) -> String {
    match port.get("targetPort").str() {
        "" | "0" => port.get("port").str().to_owned(),
        target => target.to_owned(),
    }
}

fn is_declared_tcp(port: Val<'_>) -> bool {
    let number = port.get("port").int().and_then(|n| u16::try_from(n).ok()).unwrap_or_default();
    let application = port.get("appProtocol").text();
    let protocol =
        model::Protocol::select(number, port.get("name").str(), application, port.get("protocol").str());
    matches!(protocol, model::Protocol::Tcp | model::Protocol::Tls | model::Protocol::Https)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, messages};

    fn mesh(rule: &str, more: &str) -> String {
        format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: p}}\nspec:\n  \
             selector: {{matchLabels: {{app: a}}}}\n  rules:\n  - {{{rule}}}\n---\n\
             apiVersion: v1\nkind: Service\nmetadata: {{name: a}}\nspec: {{selector: {{app: a}}, ports: \
             [{{port: 80, targetPort: 8080, name: http}}, {{port: 3306, name: mysql}}]}}\n---\n\
             apiVersion: v1\nkind: Pod\nmetadata: {{name: a, labels: {{app: a}}}}\n---\n{more}"
        )
    }

    #[track_caller]
    fn check_rule(rule: &str, is_impossible: bool) {
        let found = ["LTN0108 AuthorizationPolicy default/p:7"];
        check(&ANALYZER, &mesh(rule, ""), if is_impossible { &found } else { &[] });
    }

    #[test]
    fn contradictions_are_found() {
        check_rule("from: [{source: {namespaces: [a], notNamespaces: [a]}}]", true);
        check_rule("from: [{source: {namespaces: [a, b], notNamespaces: [a]}}]", false);
        check_rule("from: [{source: {namespaces: [a], notNamespaces: [a]}}, {source: {}}]", false);
        check_rule("from: [{source: {principals: [cluster.local/ns/a/sa/x], namespaces: [b]}}]", true);
        check_rule("from: [{source: {principals: [cluster.local/ns/a/sa/x], namespaces: ['a*']}}]", false);
        check_rule("to: [{operation: {methods: [GET], ports: ['3306']}}]", true);
        check_rule("to: [{operation: {methods: [GET], ports: ['8080']}}]", false);
        check_rule("to: [{operation: {methods: [GET]}}]", false);
    }

    #[test]
    fn identities_need_mutual_tls() {
        let off = |mode: &str| {
            format!(
                "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {{name: m}}\nspec: {{mtls: {{mode: {mode}}}}}\n"
            )
        };
        let rule = "from: [{source: {namespaces: [a]}}]";
        assert_eq!(
            messages(&ANALYZER, &mesh(rule, &off("DISABLE"))),
            [
                "rules[0] matches no request: namespaces need mutual TLS, which is switched off for the workloads it selects"
            ]
        );
        check(&ANALYZER, &mesh(rule, &off("PERMISSIVE")), &[]);
        let deny =
            mesh(rule, &off("DISABLE")).replace("spec:\n  selector", "spec:\n  action: DENY\n  selector");
        check(&ANALYZER, &deny, &[]);
    }
}
