//! VirtualServices for one host, for sidecars
//! (`virtualservice.ConflictingMeshGatewayHostsAnalyzer`).

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use model::{Host, Str};

use super::Analyzer;
use crate::finding::Report;
use crate::hosts::{EVERYWHERE, full_host, overlap, scopes};
use crate::kind::Kind;
use crate::object::Object;
use crate::snapshot::Snapshot;

pub static ANALYZER: Analyzer = Analyzer {
    name: "virtualservice.ConflictingMeshGatewayHostsAnalyzer",
    description: "Checks if multiple virtual services associated with the mesh gateway have conflicting hosts",
    codes: &["IST0109"],
    inputs: &[Kind::VirtualService],
    by_default: true,
    by_file: false,
    run,
};

/// Whether the rules of a VirtualService are for sidecars.
pub(crate) fn is_for_sidecars(virtual_service: &Object) -> bool {
    let gateways = virtual_service.spec().get("gateways").strings();
    gateways.is_empty() || gateways.contains(&"mesh")
}

fn run(snapshot: &Snapshot, report: &mut Report) {
    // By the namespace that sees it and the host.
    let mut index: BTreeMap<(Str, String), Vec<&Arc<Object>>> = BTreeMap::new();
    for route in snapshot.of(Kind::VirtualService).iter().filter(|route| is_for_sidecars(route)) {
        for scope in scopes(&route.spec().get("exportTo").strings(), &route.namespace) {
            for host in route.spec().get("hosts").strings() {
                let key = (scope.clone(), full_host(host, &route.namespace));
                index.entry(key).or_default().push(route);
            }
        }
    }
    let mut told: HashSet<String> = HashSet::new();
    for ((scope, host), routes) in &index {
        let mut routes = routes.clone();
        if **scope != *EVERYWHERE {
            routes.extend(exported(host, &index));
        }
        if routes.len() < 2 {
            continue;
        }
        let mut names: Vec<String> = routes.iter().map(|route| route.full_name()).collect();
        names.sort();
        for route in routes {
            if told.insert(route.full_name()) {
                let at = route.root().path("metadata.name");
                report.add("IST0109", route, at, &[&names.join(","), &format!("{scope}/{host}")]);
            }
        }
    }
}

/// What is exported everywhere for a host that overlaps this one.
fn exported<'a>(host: &str, index: &BTreeMap<(Str, String), Vec<&'a Arc<Object>>>) -> Vec<&'a Arc<Object>> {
    if !Host::new(host).is_wildcard() {
        // An exact host overlaps itself, and wildcards that end as it does.
        let suffixes = host.char_indices().map(|(at, _)| format!("*{}", &host[at..]));
        let keys = std::iter::once(host.to_owned()).chain(std::iter::once("*".to_owned())).chain(suffixes);
        return keys.filter_map(|key| index.get(&(Str::from(EVERYWHERE), key))).flatten().copied().collect();
    }
    let everywhere =
        index.iter().filter(|((scope, other), _)| **scope == *EVERYWHERE && overlap(host, other));
    everywhere.flat_map(|(_, routes)| routes).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    fn route(name: &str, spec: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: {name}}}\n\
             spec: {{{spec}}}\n---\n"
        )
    }

    #[test]
    fn sidecars_take_one_virtual_service_for_a_host() {
        let both = ["IST0109 VirtualService x/x:3", "IST0109 VirtualService y/y:8"];
        let two = |x: &str, y: &str| route("x", x) + &route("y", y);
        check(&ANALYZER, &two("hosts: [a.com]", "hosts: [a.com]"), &both);
        check(&ANALYZER, &two("hosts: [a]", "hosts: [a]"), &[]);
        check(&ANALYZER, &two("hosts: [a]", "hosts: [a.x.svc.cluster.local]"), &both);
        check(&ANALYZER, &two("hosts: [a.com]", "hosts: [a.com], gateways: [g]"), &[]);
        check(&ANALYZER, &two("hosts: [a.com]", "hosts: [a.com], gateways: [g, mesh]"), &both);
        let local = "hosts: [a.com], exportTo: ['.']";
        check(&ANALYZER, &two(local, local), &[]);
        check(&ANALYZER, &two(local, "hosts: [a.com]"), &both);
        check(&ANALYZER, &two(local, "hosts: ['*.com']"), &both);
        check(&ANALYZER, &two(local, "hosts: ['*.org']"), &[]);
    }
}
