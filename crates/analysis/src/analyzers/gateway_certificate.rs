//! One certificate on several Gateways of one proxy (`gateway.CertificateAnalyzer`).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Analyzer;
use crate::finding::{Report, list};
use crate::kind::Kind;
use crate::object::{Object, labels_of};
use crate::snapshot::Snapshot;
use crate::value::Val;

pub static ANALYZER: Analyzer = Analyzer {
    name: "gateway.CertificateAnalyzer",
    description: "Checks a gateway certificate",
    codes: &["IST0138"],
    inputs: &[Kind::Gateway],
    by_default: true,
    by_file: false,
    run,
};

fn run(snapshot: &Snapshot, report: &mut Report) {
    let mut by_certificate: BTreeMap<(&str, &str), Vec<&Arc<Object>>> = BTreeMap::new();
    for gateway in snapshot.of(Kind::Gateway) {
        for server in gateway.spec().get("servers").items() {
            if let Some(certificate) = certificate(server.get("tls")) {
                by_certificate.entry(certificate).or_default().push(gateway);
            }
        }
    }
    for gateways in by_certificate.into_values() {
        for gateway in &gateways {
            let selector = labels_of(gateway.spec().get("selector"));
            // Proxies that this gateway's selector finds run the other one too, if the other's
            // selector asks for all of it.
            let others = gateways.iter().filter(|other| {
                other.full_name() != gateway.full_name()
                    && selector.select(&labels_of(other.spec().get("selector")))
            });
            for other in others {
                let names = list([gateway.full_name(), other.full_name()]);
                report.add("IST0138", gateway, gateway.root().path("metadata.name"), &[&names]);
            }
        }
    }
}

/// What tells certificates apart: the Secret's name, or the files of certificate and key.
fn certificate(tls: Val<'_>) -> Option<(&str, &str)> {
    let text = |name| tls.get(name).str();
    match (text("credentialName"), text("serverCertificate"), text("privateKey")) {
        ("", "", _) | ("", _, "") => None,
        ("", certificate, key) => Some((certificate, key)),
        (secret, ..) => Some((secret, "")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    fn gateways(first: &str, second: &str) -> String {
        let gateway = |name: &str, server: &str| {
            format!(
                "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: {name}}}\nspec:\n  \
                 selector: {{istio: ingress}}\n  servers: [{server}]\n---\n"
            )
        };
        gateway("a", first) + &gateway("b", second)
    }

    #[test]
    fn a_certificate_belongs_to_one_gateway() {
        let secret = |name: &str| format!("{{tls: {{mode: SIMPLE, credentialName: {name}}}}}");
        check(
            &ANALYZER,
            &gateways(&secret("c"), &secret("c")),
            &["IST0138 Gateway default/a:3", "IST0138 Gateway default/b:10"],
        );
        check(&ANALYZER, &gateways(&secret("c"), &secret("d")), &[]);
        let files = "{tls: {mode: SIMPLE, serverCertificate: /c, privateKey: /k}}";
        check(&ANALYZER, &gateways(files, &secret("c")), &[]);
        let apart = gateways(&secret("c"), &secret("c")).replacen("ingress", "egress", 1);
        check(&ANALYZER, &apart, &[]);
    }
}
