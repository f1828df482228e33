//! Policies that refuse the gateway which a VirtualService sends their callers through.

use std::collections::BTreeSet;

use crate::analyzers::Analyzer;
use crate::finding::Report;
use crate::kind::Kind;
use crate::object::labels_of;
use crate::snapshot::Snapshot;
use crate::value::Val;
use crate::workloads::Workload;

use super::calls::account;
use super::empty_policies::is_allow;
use super::locked_out_probes::applies;

pub static ANALYZER: Analyzer = Analyzer {
    name: "lateen.LockedOutGateways",
    description: "Finds ALLOW policies that turn a gateway away which routes to their workloads",
    codes: &["LTN0110"],
    inputs: &[
        Kind::AuthorizationPolicy,
        Kind::VirtualService,
        Kind::Gateway,
        Kind::Service,
        Kind::ServiceEntry,
        Kind::Pod,
        Kind::MeshConfig,
    ],
    by_default: true,
    by_file: false,
    run,
};

fn run(snapshot: &Snapshot, report: &mut Report) {
    if snapshot.of(Kind::AuthorizationPolicy).is_empty() {
        return;
    }
    for route in snapshot.of(Kind::VirtualService) {
        let export_to = route.spec().get("exportTo").strings();
        let mut told = BTreeSet::new();
        for reference in route.spec().get("gateways").strings() {
            let (namespace, name) = Snapshot::refer(reference, &route.namespace);
            let Some(gateway) = snapshot.find(Kind::Gateway, namespace, name) else { continue };
            let proxies = snapshot.select(None, &labels_of(gateway.spec().get("selector")));
            let routes = route.spec().get("http").items().flat_map(|rule| rule.get("route").items());
            for host in routes.map(|to| to.path("destination.host")) {
                let found = snapshot.hosts().find(host.str(), &route.namespace, &export_to);
                let Some(service) = found.map(|entry| &entry.object).filter(|o| o.kind == Kind::Service)
                else {
                    continue;
                };
                let selector = labels_of(service.spec().get("selector"));
                if selector.is_empty() || !told.insert((reference, service.full_name())) {
                    continue;
                }
                let workloads = snapshot.select(Some(&service.namespace), &selector);
                if let Some(policy) = refusing(&proxies, &workloads, snapshot) {
                    report.add(
                        "LTN0110",
                        route,
                        host,
                        &[&gateway.full_name(), &service.full_name(), &policy],
                    );
                }
            }
        }
    }
}

/// A policy of all these workloads, if all ALLOW policies of theirs refuse every one of these
/// proxies by what they ask of a caller.
fn refusing(proxies: &[&Workload], workloads: &[&Workload], snapshot: &Snapshot) -> Option<String> {
    if proxies.is_empty() || workloads.is_empty() {
        return None;
    }
    let mut first = None;
    for workload in workloads {
        let policies = snapshot.of(Kind::AuthorizationPolicy).iter();
        let allowing: Vec<_> = policies
            .filter(|p| is_allow(p) && applies(p, &workload.object.namespace, &workload.labels, snapshot))
            .collect();
        let admits = |policy: &&&std::sync::Arc<crate::object::Object>| {
            policy.spec().get("rules").items().any(|rule| proxies.iter().any(|proxy| admits(rule, proxy)))
        };
        // Without ALLOW policies everybody may call.
        let refusing = allowing.first().filter(|_| !allowing.iter().any(|policy| admits(&policy)))?;
        first.get_or_insert_with(|| refusing.full_name());
    }
    first
}

/// Whether a caller with this identity can match what a rule asks of callers.
fn admits(rule: Val<'_>, caller: &Workload) -> bool {
    let sources = rule.get("from").items();
    sources.len() == 0
        || sources.map(|from| from.get("source")).any(|source| {
            let fits = |field: &str, value: &str| {
                let patterns = source.get(field).strings();
                patterns.is_empty() || patterns.iter().any(|pattern| matches(pattern, value))
            };
            let not =
                |field: &str, value: &str| source.get(field).strings().iter().any(|p| matches(p, value));
            let identity = format!("cluster.local/{}", account(caller));
            let namespace = &caller.object.namespace;
            let same_account = source.get("principals").strings().iter().any(|principal| {
                // Whatever the trust domain is called.
                principal.split_once('/').is_some_and(|(_, rest)| rest == account(caller))
            });
            (fits("principals", &identity) || same_account)
                && fits("namespaces", namespace)
                && !not("notPrincipals", &identity)
                && !not("notNamespaces", namespace)
        })
}

/// Exact, or with one `*` at an end.
fn matches(pattern: &str, value: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(suffix), _) => value.ends_with(suffix),
        (None, Some(prefix)) => value.starts_with(prefix),
        (None, None) => pattern == value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, messages};

    fn mesh(source: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: r}}\nspec:\n  gateways: [gw/g]\n  \
             http: [{{route: [{{destination: {{host: a}}}}]}}]\n---\n\
             apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: g, namespace: gw}}\nspec: {{selector: {{app: gw}}}}\n---\n\
             apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: g, namespace: gw}}\nspec: {{template: \
             {{metadata: {{labels: {{app: gw}}}}, spec: {{serviceAccountName: gsa}}}}}}\n---\n\
             apiVersion: v1\nkind: Service\nmetadata: {{name: a}}\nspec: {{selector: {{app: a}}, ports: [{{port: 80}}]}}\n---\n\
             apiVersion: v1\nkind: Pod\nmetadata: {{name: a, labels: {{app: a}}}}\n---\n\
             apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: p}}\n\
             spec: {{rules: [{{from: [{{source: {{{source}}}}}]}}]}}\n"
        )
    }

    #[test]
    fn gateways_are_among_the_allowed_callers() {
        let found = ["LTN0110 VirtualService default/r:6"];
        check(&ANALYZER, &mesh("namespaces: [default]"), &found);
        check(&ANALYZER, &mesh("namespaces: [gw]"), &[]);
        check(&ANALYZER, &mesh("principals: [cluster.local/ns/gw/sa/other]"), &found);
        check(&ANALYZER, &mesh("principals: [my.domain/ns/gw/sa/gsa]"), &[]);
        check(&ANALYZER, &mesh("principals: ['*/gsa']"), &[]);
        check(&ANALYZER, &mesh("notNamespaces: ['g*']"), &found);
        check(&ANALYZER, &mesh("requestPrincipals: ['*']"), &[]);
        assert_eq!(
            messages(&ANALYZER, &mesh("namespaces: [default]")),
            [
                "the gateway gw/g routes to default/a, whose AuthorizationPolicy default/p allows other callers only"
            ]
        );
    }
}
