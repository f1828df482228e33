//! TCP ports of ServiceEntries without an address (`serviceentry.Analyzer`).

use super::Analyzer;
use crate::finding::Report;
use crate::kind::Kind;
use crate::snapshot::Snapshot;

pub static ANALYZER: Analyzer = Analyzer {
    name: "serviceentry.Analyzer",
    description: "Checks the validity of ServiceEntry",
    codes: &["IST0134"],
    inputs: &[Kind::ServiceEntry, Kind::MeshConfig],
    by_default: true,
    by_file: false,
    run,
};

fn run(snapshot: &Snapshot, report: &mut Report) {
    let is_on = |name| snapshot.mesh.proxy_metadata(name) == "true";
    // Addresses are allocated, and the proxy's DNS answers with them.
    if is_on("ISTIO_META_DNS_CAPTURE")
        && (is_on("ISTIO_META_DNS_AUTO_ALLOCATE") || is_on("PILOT_ENABLE_IP_AUTOALLOCATE"))
    {
        return;
    }
    for entry in snapshot.of(Kind::ServiceEntry) {
        let allocated = entry.root().path("status.addresses").items().len() > 0;
        if allocated || entry.spec().get("addresses").items().len() > 0 {
            continue;
        }
        for port in entry.spec().get("ports").items() {
            let protocol = port.get("protocol").str();
            if protocol.is_empty() || protocol.eq_ignore_ascii_case("TCP") {
                report.add("IST0134", entry, port, &[]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    fn entry(protocol: &str, more: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: a}}\nspec:\n  hosts: [a.com]\n  \
             ports:\n  - {{number: 1, name: x, protocol: {protocol}}}\n{more}"
        )
    }

    #[test]
    fn tcp_needs_an_address() {
        check(&ANALYZER, &entry("TCP", ""), &["IST0134 ServiceEntry default/a:7"]);
        check(&ANALYZER, &entry("''", ""), &["IST0134 ServiceEntry default/a:7"]);
        check(&ANALYZER, &entry("HTTP", ""), &[]);
        check(&ANALYZER, &entry("tcp", "  addresses: [10.0.0.1]\n"), &[]);
        check(&ANALYZER, &entry("TCP", "status: {addresses: [{value: 240.240.0.1}]}\n"), &[]);
    }

    #[test]
    fn addresses_can_be_allocated() {
        let operator = |name: &str| {
            format!(
                "---\napiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nmetadata: {{name: o}}\nspec: {{meshConfig: \
                 {{defaultConfig: {{proxyMetadata: {{ISTIO_META_DNS_CAPTURE: 'true', {name}: 'true'}}}}}}}}\n"
            )
        };
        check(&ANALYZER, &entry("TCP", &operator("ISTIO_META_DNS_AUTO_ALLOCATE")), &[]);
        check(&ANALYZER, &entry("TCP", &operator("OTHER")), &["IST0134 ServiceEntry default/a:7"]);
    }
}
