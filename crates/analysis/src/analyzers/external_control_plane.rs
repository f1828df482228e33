//! The address of a control plane outside of the cluster, in webhooks
//! (`externalcontrolplane.ExternalControlPlaneAnalyzer`).

use std::net::IpAddr;

use super::Analyzer;
use crate::finding::Report;
use crate::kind::Kind;
use crate::object::Object;
use crate::snapshot::Snapshot;

pub static ANALYZER: Analyzer = Analyzer {
    name: "externalcontrolplane.ExternalControlPlaneAnalyzer",
    description: "Checks that webhooks of a remote cluster reference an external control plane",
    codes: &["IST0163", "IST0164"],
    inputs: &[Kind::ValidatingWebhookConfiguration, Kind::MutatingWebhookConfiguration],
    by_default: true,
    by_file: false,
    run,
};

fn run(snapshot: &Snapshot, report: &mut Report) {
    for object in snapshot.of(Kind::ValidatingWebhookConfiguration) {
        let name = object.name();
        if &**name == "istiod-default-validator" || name.starts_with("istio-validator") {
            judge(object, report);
        }
    }
    for object in snapshot.of(Kind::MutatingWebhookConfiguration) {
        if object.name().starts_with("istio-sidecar-injector") {
            judge(object, report);
        }
    }
}

fn judge(object: &Object, report: &mut Report) {
    for hook in object.root().get("webhooks").items() {
        let name = hook.get("name").str();
        let client = hook.get("clientConfig");
        let url = client.get("url");
        if !url.exists() {
            if !client.get("service").exists() {
                report.add("IST0163", object, hook, &[&"", &name, &"is blank"]);
            }
            continue;
        }
        match host(url.str()) {
            None => {
                let problem = "was provided in an invalid format";
                report.add("IST0163", object, url, &[&url.str(), &name, &problem]);
            }
            Some(host) if host.parse::<IpAddr>().is_ok() => {
                report.add("IST0164", object, url, &[&url.str(), &name]);
            }
            Some(_) => {}
        }
    }
}

/// The host of a URL; `None` if it is none.
fn host(url: &str) -> Option<&str> {
    let has_control = |text: &str| text.contains(|c: char| c.is_control() || c == ' ');
    let (_, rest) = url.split_once("://").filter(|(scheme, _)| !scheme.is_empty())?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    let (host, port) = match address.strip_prefix('[').and_then(|a| a.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => address.split_once(':').map_or((address, None), |(host, port)| (host, Some(port))),
    };
    let good_port = port.is_none_or(|port| port.bytes().all(|b| b.is_ascii_digit()));
    (good_port && !has_control(url)).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    fn webhook(client: &str) -> String {
        format!(
            "apiVersion: admissionregistration.k8s.io/v1\nkind: MutatingWebhookConfiguration\n\
             metadata: {{name: istio-sidecar-injector}}\nwebhooks:\n- name: x.istio.io\n  clientConfig: {{{client}}}\n"
        )
    }

    #[test]
    fn the_control_plane_has_a_name() {
        let object = "MutatingWebhookConfiguration istio-sidecar-injector";
        check(&ANALYZER, &webhook("url: 'https://istiod.example.com:15017/inject'"), &[]);
        check(&ANALYZER, &webhook("service: {name: istiod}"), &[]);
        check(&ANALYZER, &webhook(""), &[&format!("IST0163 {object}:5")]);
        check(&ANALYZER, &webhook("url: 'https://10.0.0.1:15017/inject'"), &[&format!("IST0164 {object}:6")]);
        check(&ANALYZER, &webhook("url: 'https://[::1]:15017/inject'"), &[&format!("IST0164 {object}:6")]);
        check(&ANALYZER, &webhook("url: 'https://a:b:c/'"), &[&format!("IST0163 {object}:6")]);
    }
}
