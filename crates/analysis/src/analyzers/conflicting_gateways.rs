//! Gateways that ask one proxy for the same host on the same port
//! (`gateway.ConflictingGatewayAnalyzer`).

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use model::Labels;

use super::Analyzer;
use crate::finding::Report;
use crate::kind::Kind;
use crate::object::{Object, labels_of, selector_text};
use crate::snapshot::Snapshot;

pub static ANALYZER: Analyzer = Analyzer {
    name: "gateway.ConflictingGatewayAnalyzer",
    description: "Checks a gateway's selector, port number and hosts",
    codes: &["IST0101", "IST0145"],
    inputs: &[Kind::Gateway, Kind::Pod],
    by_default: true,
    by_file: false,
    run,
};

/// Port, bind address, host: what only one gateway of a proxy can have.
type Claim<'a> = (i64, &'a str, &'a str);

fn run(snapshot: &Snapshot, report: &mut Report) {
    let gateways: Vec<(&Arc<Object>, Labels)> =
        snapshot.of(Kind::Gateway).iter().map(|g| (g, labels_of(g.spec().get("selector")))).collect();
    let mut claims: HashMap<Claim<'_>, Vec<usize>> = HashMap::new();
    for (i, (gateway, _)) in gateways.iter().enumerate() {
        for (claim, _) in
            servers(gateway).into_iter().flat_map(|(claims, at)| claims.into_iter().map(move |c| (c, at)))
        {
            claims.entry(claim).or_default().push(i);
        }
    }
    for (i, (gateway, selector)) in gateways.iter().enumerate() {
        let text = selector_text(selector);
        if gateway.spec().get("servers").items().len() == 0 && !selector.is_empty() {
            report.add("IST0101", gateway, gateway.spec().get("selector"), &[&"selector", &text]);
            continue;
        }
        for (wanted, server) in servers(gateway) {
            let others = wanted.iter().filter_map(|claim| claims.get(claim)).flatten();
            let names: BTreeSet<String> = others
                .filter(|other| **other != i)
                .filter_map(|other| gateways.get(*other))
                .filter(|(_, other)| same_proxy(selector, other, snapshot))
                .map(|(other, _)| other.full_name())
                .collect();
            if !names.is_empty() {
                let names: Vec<String> = names.into_iter().collect();
                let port = server.path("port.number").str();
                let hosts = server.get("hosts").strings().join(",");
                report.add("IST0145", gateway, server, &[&names.join(","), &text, &port, &hosts]);
            }
        }
    }
}

/// The servers of a gateway, each with its claims.
fn servers(gateway: &Object) -> Vec<(Vec<Claim<'_>>, crate::value::Val<'_>)> {
    let servers = gateway.spec().get("servers").items();
    servers
        .map(|server| {
            let port = server.path("port.number").int().unwrap_or_default();
            let bind = server.get("bind").str();
            (server.get("hosts").strings().into_iter().map(|host| (port, bind, host)).collect(), server)
        })
        .collect()
}

/// Equal selectors mean the same proxies; if one asks for more than the other, a pod decides.
fn same_proxy(a: &Labels, b: &Labels, snapshot: &Snapshot) -> bool {
    if a == b {
        return true;
    }
    let larger = match (a.select(b), b.select(a)) {
        (true, _) => b,
        (_, true) => a,
        _ => return false,
    };
    snapshot.selected(None, larger).next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    fn gateways(second_selector: &str, second_port: u16, host: &str) -> String {
        let gateway = |name: &str, selector: &str, port: u16, host: &str| {
            format!(
                "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: {name}}}\nspec:\n  \
                 selector: {{{selector}}}\n  servers: [{{port: {{number: {port}}}, hosts: ['{host}']}}]\n---\n"
            )
        };
        let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {app: x, tier: y}}\n";
        gateway("a", "app: x", 80, "h.com") + &gateway("b", second_selector, second_port, host) + pod
    }

    #[test]
    fn one_host_on_one_port_has_one_gateway() {
        let both = ["IST0145 Gateway default/a:6", "IST0145 Gateway default/b:13"];
        check(&ANALYZER, &gateways("app: x", 80, "h.com"), &both);
        check(&ANALYZER, &gateways("app: x", 81, "h.com"), &[]);
        check(&ANALYZER, &gateways("app: x", 80, "g.com"), &[]);
        check(&ANALYZER, &gateways("app: x, tier: y", 80, "h.com"), &both);
        check(&ANALYZER, &gateways("app: x, tier: z", 80, "h.com"), &[]);
        check(&ANALYZER, &gateways("app: z", 80, "h.com"), &[]);
    }
}
