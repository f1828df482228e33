//! ServiceEntries that contradict each other about the protocol of a port
//! (`serviceentry.ConflictingServiceEntryProtocolAnalyzer`).

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use model::Str;

use super::Analyzer;
use crate::finding::Report;
use crate::hosts::{EVERYWHERE, scopes};
use crate::kind::Kind;
use crate::object::Object;
use crate::snapshot::Snapshot;

pub static ANALYZER: Analyzer = Analyzer {
    name: "serviceentry.ConflictingServiceEntryProtocolAnalyzer",
    description: "Checks if multiple ServiceEntries define the same host and port with different protocols",
    codes: &["IST0177"],
    inputs: &[Kind::ServiceEntry],
    by_default: true,
    by_file: false,
    run,
};

fn run(snapshot: &Snapshot, report: &mut Report) {
    // By host, port, and the namespace that sees them.
    let mut index: BTreeMap<(&str, i64, Str), Vec<(String, &Arc<Object>)>> = BTreeMap::new();
    for entry in snapshot.of(Kind::ServiceEntry) {
        let spec = entry.spec();
        for scope in scopes(&spec.get("exportTo").strings(), &entry.namespace) {
            for host in spec.get("hosts").strings() {
                for port in spec.get("ports").items() {
                    let key = (host, port.get("number").int().unwrap_or_default(), scope.clone());
                    let protocol = port.get("protocol").str().to_ascii_uppercase();
                    index.entry(key).or_default().push((protocol, entry));
                }
            }
        }
    }
    let mut reported: HashSet<String> = HashSet::new();
    for ((host, port, scope), entries) in &index {
        let everywhere = match &**scope {
            EVERYWHERE => None,
            _ => index.get(&(*host, *port, Str::from(EVERYWHERE))),
        };
        let seen: Vec<&(String, &Arc<Object>)> =
            entries.iter().chain(everywhere.into_iter().flatten()).collect();
        let protocols: BTreeSet<&str> = seen.iter().map(|(protocol, _)| protocol.as_str()).collect();
        if protocols.len() < 2 {
            continue;
        }
        let names: BTreeSet<String> = seen.iter().map(|(_, entry)| entry.full_name()).collect();
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        let protocols = protocols.into_iter().collect::<Vec<_>>().join(", ");
        for (_, entry) in seen {
            if reported.insert(entry.full_name()) {
                let at = entry.root().path("metadata.name");
                report.add("IST0177", entry, at, &[&names, host, port, &protocols]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    fn entries(first: (&str, &str), second: (&str, &str)) -> String {
        let entry = |name: &str, (protocol, more): (&str, &str)| {
            format!(
                "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: {name}}}\n\
                 spec: {{hosts: [a.com], ports: [{{number: 80, protocol: {protocol}}}]{more}}}\n---\n"
            )
        };
        entry("x", first) + &entry("y", second)
    }

    #[test]
    fn a_port_of_a_host_has_one_protocol_where_both_are_seen() {
        let both = ["IST0177 ServiceEntry x/x:3", "IST0177 ServiceEntry y/y:8"];
        check(&ANALYZER, &entries(("HTTP", ""), ("TLS", "")), &both);
        check(&ANALYZER, &entries(("HTTP", ""), ("http", "")), &[]);
        let local = ", exportTo: ['.']";
        check(&ANALYZER, &entries(("HTTP", local), ("TLS", local)), &[]);
        check(&ANALYZER, &entries(("HTTP", local), ("TLS", "")), &both);
    }
}
