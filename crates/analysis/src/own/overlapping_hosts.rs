//! VirtualServices for one host, of which sidecars use one: the oldest, and among equals the first
//! by name and namespace (`pkg/config/model.go`, `SortByCreationComparator`).

use std::collections::BTreeMap;
use std::sync::Arc;

use model::Str;

use crate::analyzers::{Analyzer, is_for_sidecars};
use crate::finding::Report;
use crate::hosts::{EVERYWHERE, full_host, scopes};
use crate::kind::Kind;
use crate::object::Object;
use crate::snapshot::Snapshot;

pub static ANALYZER: Analyzer = Analyzer {
    name: "lateen.OverlappingHosts",
    description: "Says which of several virtual services for one host takes effect",
    codes: &["LTN0106"],
    inputs: &[Kind::VirtualService],
    by_default: true,
    by_file: false,
    run,
};

fn run(snapshot: &Snapshot, report: &mut Report) {
    let mut by_host: BTreeMap<String, Vec<(&Arc<Object>, Vec<Str>)>> = BTreeMap::new();
    for object in snapshot.of(Kind::VirtualService).iter().filter(|object| is_for_sidecars(object)) {
        let scopes = scopes(&object.spec().get("exportTo").strings(), &object.namespace);
        for host in object.spec().get("hosts").strings() {
            by_host.entry(full_host(host, &object.namespace)).or_default().push((object, scopes.clone()));
        }
    }
    for (host, mut routes) in by_host.into_iter().filter(|(_, routes)| routes.len() > 1) {
        routes.sort_by_key(|(object, _)| age(object));
        for (i, (object, scopes)) in routes.iter().enumerate() {
            let winner = routes.iter().take(i).find(|(_, others)| meet(scopes, others));
            if let Some((winner, _)) = winner.filter(|(winner, _)| !Arc::ptr_eq(winner, object)) {
                let because = match created(winner) == created(object) {
                    true => "comes first by name",
                    false => "is older",
                };
                let at = object.spec().get("hosts");
                report.add("LTN0106", object, at, &[&host, &winner.full_name(), &because]);
            }
        }
    }
}

/// Whether some namespace sees both.
fn meet(a: &[Str], b: &[Str]) -> bool {
    let everywhere = |scopes: &[Str]| scopes.iter().any(|scope| **scope == *EVERYWHERE);
    everywhere(a) || everywhere(b) || a.iter().any(|scope| b.contains(scope))
}

/// RFC 3339 in UTC, as Kubernetes writes it, sorts as text; files have none.
fn created(object: &Object) -> &str {
    object.root().path("metadata.creationTimestamp").str()
}

fn age(object: &Arc<Object>) -> (&str, String) {
    (created(object), format!("{}.{}", object.name(), object.namespace))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, messages};

    fn routes(first: &str, second: &str) -> String {
        let route = |name: &str, (metadata, spec): (&str, &str)| {
            format!(
                "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}{metadata}}}\n\
                 spec: {{{spec}}}\n---\n"
            )
        };
        let parts = |text: &str| {
            let (metadata, spec) = text.split_once('|').unwrap_or(("", text));
            (metadata.to_owned(), spec.to_owned())
        };
        let (first, second) = (parts(first), parts(second));
        route("x", (&first.0, &first.1)) + &route("y", (&second.0, &second.1))
    }

    #[test]
    fn the_winner_is_named() {
        check(&ANALYZER, &routes("hosts: [a]", "hosts: [a]"), &["LTN0106 VirtualService default/y:9"]);
        check(&ANALYZER, &routes("hosts: [a]", "hosts: [b]"), &[]);
        check(&ANALYZER, &routes("hosts: [a]", "hosts: [a], gateways: [g]"), &[]);
        let old = ", creationTimestamp: '2026-01-01T00:00:00Z'|hosts: [a]";
        let older = ", creationTimestamp: '2025-01-01T00:00:00Z'|hosts: [a]";
        assert_eq!(
            messages(&ANALYZER, &routes(old, older)),
            ["for the host a.default.svc.cluster.local sidecars use default/y, which is older; \
              the rules of this one have no effect there"]
        );
        let local = "hosts: [a.com], exportTo: ['.']";
        let other = ", namespace: n|hosts: [a.com], exportTo: ['.']";
        check(&ANALYZER, &routes(local, other), &[]);
    }
}
