//! Ports of Services whose names do not say their protocol (`service.PortNameAnalyzer`).

use model::Protocol;

use super::Analyzer;
use crate::finding::Report;
use crate::kind::Kind;
use crate::object::Object;
use crate::snapshot::Snapshot;
use crate::value::Val;

pub static ANALYZER: Analyzer = Analyzer {
    name: "service.PortNameAnalyzer",
    description: "Checks the port names associated with each service",
    codes: &["IST0118", "IST0150"],
    inputs: &[Kind::Service],
    by_default: true,
    by_file: true,
    run,
};

fn run(snapshot: &Snapshot, report: &mut Report) {
    for service in snapshot.of(Kind::Service) {
        if service.is_control_plane() || is_managed(service) {
            continue;
        }
        let is_external = service.spec().get("type").str() == "ExternalName";
        for port in service.spec().get("ports").items() {
            let name = port.get("name").str();
            let bad = !is_declared(port) || (is_external && name == "tcp");
            if bad && is_external {
                report.add("IST0150", service, port, &[]);
            } else if bad {
                let target = port.get("targetPort").text().unwrap_or("0");
                report.add("IST0118", service, port, &[&name, &port.get("port").str(), &target]);
            }
        }
    }
}

/// Made by a controller for a Gateway of the Gateway API; users cannot name its ports.
fn is_managed(service: &Object) -> bool {
    matches!(
        service.label("gateway.istio.io/managed"),
        Some("istio.io-gateway-controller" | "istio.io-mesh-controller" | "istio.io-eastwest-controller")
    )
}

fn is_declared(port: Val<'_>) -> bool {
    let number = port.get("port").int().and_then(|n| u16::try_from(n).ok()).unwrap_or_default();
    // An application protocol that Istio does not know counts as none, whatever the name is.
    let application = port.get("appProtocol").text();
    let name = if application.is_some() { "" } else { port.get("name").str() };
    Protocol::select(number, name, application, port.get("protocol").str()) != Protocol::Auto
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    fn service(kind: &str, port: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: a}}\nspec:\n  type: {kind}\n  ports:\n  - {{{port}}}\n"
        )
    }

    #[test]
    fn names_begin_with_a_protocol() {
        let cluster = |port| service("ClusterIP", port);
        check(&ANALYZER, &cluster("port: 80, name: web"), &["IST0118 Service default/a:7"]);
        check(&ANALYZER, &cluster("port: 80, name: http-web"), &[]);
        check(&ANALYZER, &cluster("port: 80, name: web, appProtocol: grpc"), &[]);
        check(
            &ANALYZER,
            &cluster("port: 80, name: http, appProtocol: odd"),
            &["IST0118 Service default/a:7"],
        );
        check(&ANALYZER, &cluster("port: 3306"), &[]);
        check(&ANALYZER, &cluster("port: 80, protocol: UDP"), &[]);
    }

    #[test]
    fn external_names_need_one_that_is_not_tcp() {
        check(&ANALYZER, &service("ExternalName", "port: 80, name: tcp"), &["IST0150 Service default/a:7"]);
        check(&ANALYZER, &service("ExternalName", "port: 80"), &["IST0150 Service default/a:7"]);
        check(&ANALYZER, &service("ExternalName", "port: 80, name: tcp-x"), &[]);
        check(&ANALYZER, &service("ExternalName", "port: 80, name: https"), &[]);
    }
}
