//! Routes to hosts and ports that nobody has, or to one of several ports without saying which
//! (`virtualservice.DestinationHostAnalyzer`).

use std::collections::BTreeMap;

use super::{Analyzer, destinations};
use crate::finding::{Report, list};
use crate::hosts::full_host;
use crate::kind::Kind;
use crate::object::Object;
use crate::snapshot::Snapshot;

pub static ANALYZER: Analyzer = Analyzer {
    name: "virtualservice.DestinationHostAnalyzer",
    description: "Checks the destination hosts associated with each virtual service",
    codes: &["IST0101", "IST0112", "IST0140"],
    inputs: &[Kind::ServiceEntry, Kind::VirtualService, Kind::Service],
    by_default: true,
    by_file: false,
    run,
};

fn run(snapshot: &Snapshot, report: &mut Report) {
    let split = split_hosts(snapshot);
    for object in snapshot.of(Kind::VirtualService) {
        hosts(object, snapshot, report);
        subsets_at_gateways(object, &split, report);
    }
}

fn hosts(object: &Object, snapshot: &Snapshot, report: &mut Report) {
    let export_to = object.spec().get("exportTo").strings();
    for destination in destinations(object) {
        let (host, at) = (destination.host(), destination.value.get("host"));
        let Some(entry) = snapshot.hosts().find(host, &object.namespace, &export_to) else {
            let what = if destination.is_mirror { "mirror host" } else { "host" };
            report.add("IST0101", object, at, &[&what, &host]);
            continue;
        };
        let port = destination.value.get("port");
        if !port.exists() {
            if entry.ports.len() > 1 {
                report.add("IST0112", object, at, &[&host, &list(&entry.ports)]);
            }
            continue;
        }
        let number = port.get("number").int().unwrap_or_default();
        if !entry.ports.contains(&number) {
            report.add("IST0101", object, port, &[&"host:port", &format!("{host}:{number}")]);
        }
    }
}

/// Hosts that a VirtualService of their own splits by subset, with its name.
fn split_hosts(snapshot: &Snapshot) -> BTreeMap<String, Vec<String>> {
    let mut split: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for object in snapshot.of(Kind::VirtualService) {
        let own = object.spec().get("hosts").strings();
        let routes = object.spec().get("http").items().flat_map(|rule| rule.get("route").items());
        for destination in routes.map(|route| route.get("destination")) {
            let host = destination.get("host").str();
            if !destination.get("subset").str().is_empty() && own.contains(&host) {
                let names = split.entry(full_host(host, &object.namespace)).or_default();
                if names.last() != Some(&object.full_name()) {
                    names.push(object.full_name());
                }
            }
        }
    }
    split
}

/// At a gateway the gateway's own rules decide, so what splits the host elsewhere is not asked.
fn subsets_at_gateways(object: &Object, split: &BTreeMap<String, Vec<String>>, report: &mut Report) {
    if object.spec().get("gateways").items().len() == 0 {
        return;
    }
    let routes = object.spec().get("http").items().flat_map(|rule| rule.get("route").items());
    for destination in routes.map(|route| route.get("destination")) {
        if destination.get("subset").str().is_empty() {
            let host = destination.get("host");
            for name in split.get(&full_host(host.str(), &object.namespace)).into_iter().flatten() {
                report.add("IST0140", object, host, &[name, &object.full_name()]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    fn mesh(spec: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: r}}\nspec:\n  {{{spec}}}\n---\n\
             apiVersion: v1\nkind: Service\nmetadata: {{name: one}}\nspec: {{ports: [{{port: 80}}]}}\n---\n\
             apiVersion: v1\nkind: Service\nmetadata: {{name: two}}\nspec: {{ports: [{{port: 80}}, {{port: 81}}]}}\n"
        )
    }

    fn to(destination: &str) -> String {
        mesh(&format!("hosts: [one], http: [{{route: [{{destination: {{{destination}}}}}]}}]"))
    }

    #[test]
    fn destinations_exist() {
        check(&ANALYZER, &to("host: one"), &[]);
        check(&ANALYZER, &to("host: zero"), &["IST0101 VirtualService default/r:5"]);
        check(&ANALYZER, &to("host: one, port: {number: 80}"), &[]);
        check(&ANALYZER, &to("host: one, port: {number: 81}"), &["IST0101 VirtualService default/r:5"]);
        check(&ANALYZER, &to("host: two"), &["IST0112 VirtualService default/r:5"]);
        check(&ANALYZER, &to("host: two, port: {number: 81}"), &[]);
        let mirror =
            mesh("hosts: [one], http: [{mirror: {host: zero}, route: [{destination: {host: one}}]}]");
        check(&ANALYZER, &mirror, &["IST0101 VirtualService default/r:5"]);
    }

    #[test]
    fn gateways_do_not_ask_rules_for_sidecars() {
        let split = "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: s}\n\
            spec: {hosts: [one], http: [{route: [{destination: {host: one, subset: v1}}]}]}\n";
        let gateway = |destination: &str| {
            mesh(&format!(
                "hosts: [a.com], gateways: [g], http: [{{route: [{{destination: {{{destination}}}}}]}}]"
            )) + split
        };
        check(&ANALYZER, &gateway("host: one"), &["IST0140 VirtualService default/r:5"]);
        check(&ANALYZER, &gateway("host: one, subset: v1"), &[]);
    }
}
