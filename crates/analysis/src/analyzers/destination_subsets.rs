//! Routes to subsets that no DestinationRule defines (`virtualservice.DestinationRuleAnalyzer`).

use std::collections::HashSet;

use super::{Analyzer, destinations};
use crate::finding::Report;
use crate::hosts::service_name;
use crate::kind::Kind;
use crate::snapshot::Snapshot;

pub static ANALYZER: Analyzer = Analyzer {
    name: "virtualservice.DestinationRuleAnalyzer",
    description: "Checks the destination rules associated with each virtual service",
    codes: &["IST0101"],
    inputs: &[Kind::VirtualService, Kind::DestinationRule],
    by_default: true,
    by_file: false,
    run,
};

fn run(snapshot: &Snapshot, report: &mut Report) {
    let mut known: HashSet<((&str, &str), &str)> = HashSet::new();
    for rule in snapshot.of(Kind::DestinationRule) {
        let host = service_name(rule.spec().get("host").str(), &rule.namespace);
        let subsets = rule.spec().get("subsets").items();
        known.extend(subsets.map(|subset| (host, subset.get("name").str())));
    }
    for object in snapshot.of(Kind::VirtualService) {
        for destination in destinations(object) {
            let (host, subset) = (destination.host(), destination.subset());
            if subset.is_empty() || known.contains(&(service_name(host, &object.namespace), subset)) {
                continue;
            }
            let what = match destination.is_mirror {
                true => "mirror+subset in destinationrule",
                false => "host+subset in destinationrule",
            };
            let at = destination.value.get("subset");
            report.add("IST0101", object, at, &[&what, &format!("{host}+{subset}")]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, messages};

    fn mesh(host: &str, subset: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: r}}\nspec:\n  hosts: [a]\n  \
             http: [{{route: [{{destination: {{host: a, subset: {subset}}}}}]}}]\n---\n\
             apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: d}}\n\
             spec: {{host: {host}, subsets: [{{name: v1}}]}}\n"
        )
    }

    #[test]
    fn subsets_are_defined_for_the_host() {
        check(&ANALYZER, &mesh("a", "v1"), &[]);
        check(&ANALYZER, &mesh("a.default.svc.cluster.local", "v1"), &[]);
        check(&ANALYZER, &mesh("a", "v2"), &["IST0101 VirtualService default/r:6"]);
        check(&ANALYZER, &mesh("b", "v1"), &["IST0101 VirtualService default/r:6"]);
        assert_eq!(
            messages(&ANALYZER, &mesh("a", "v2")),
            ["Referenced host+subset in destinationrule not found: \"a+v2\""]
        );
    }
}
