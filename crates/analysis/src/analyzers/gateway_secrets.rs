//! Certificates that a Gateway names and that are not there or unusable (`gateway.SecretAnalyzer`).

use base64::Engine;
use x509_parser::pem::Pem;

use super::Analyzer;
use crate::finding::Report;
use crate::kind::Kind;
use crate::object::{Object, labels_of, selector_text};
use crate::snapshot::Snapshot;

pub static ANALYZER: Analyzer = Analyzer {
    name: "gateway.SecretAnalyzer",
    description: "Checks a gateway's referenced secrets for correctness",
    codes: &["IST0101", "IST0161"],
    inputs: &[Kind::Gateway, Kind::Pod, Kind::Secret],
    by_default: true,
    by_file: false,
    run,
};

fn run(snapshot: &Snapshot, report: &mut Report) {
    for gateway in snapshot.of(Kind::Gateway) {
        let at = gateway.spec().get("selector");
        let selector = labels_of(at);
        // Secrets are read from where the gateway's pods are.
        let pod = snapshot.selected(None, &selector).next();
        let Some(namespace) = pod.map(|pod| pod.object.namespace.clone()) else {
            report.add("IST0101", gateway, at, &[&"selector", &selector_text(&selector)]);
            continue;
        };
        for server in gateway.spec().get("servers").items() {
            let name = server.path("tls.credentialName");
            let Some(secret_name) = kubernetes_secret(name.str()) else { continue };
            match snapshot.find(Kind::Secret, &namespace, secret_name) {
                None => {
                    report.add("IST0101", gateway, name, &[&"credentialName", &name.str()]);
                }
                Some(secret) if !is_usable(secret, snapshot.settings.now) => {
                    report.add("IST0161", gateway, name, &[gateway.name(), &namespace]);
                }
                Some(_) => {}
            }
        }
    }
}

/// The Secret that a credential's name means; `None` if it means something else.
fn kubernetes_secret(name: &str) -> Option<&str> {
    match name.split_once("://") {
        _ if name.is_empty() => None,
        Some(("kubernetes", name)) => Some(name),
        Some(_) => None,
        None => Some(name),
    }
}

/// Certificate and key in one of the two spellings, the certificate PEM and valid at `now`.
fn is_usable(secret: &Object, now: i64) -> bool {
    let pair = [("tls.crt", "tls.key"), ("cert", "key")]
        .into_iter()
        .find_map(|(certificate, key)| Some((entry(secret, certificate)?, entry(secret, key)?)));
    let Some((certificate, key)) = pair else { return false };
    if certificate.is_empty() || key.is_empty() {
        return false;
    }
    let Some(Ok(pem)) = Pem::iter_from_buffer(&certificate).next() else { return false };
    let Ok(parsed) = pem.parse_x509() else { return false };
    let validity = parsed.validity();
    validity.not_before.timestamp() <= now && now <= validity.not_after.timestamp()
}

/// An entry of a Secret: of `data`, which is base64, or of `stringData`.
fn entry(secret: &Object, name: &str) -> Option<Vec<u8>> {
    let of = |field| secret.root().get(field).entries().find(|(e, _)| &*e.key == name).map(|(_, v)| v.str());
    if let Some(text) = of("stringData") {
        return Some(text.as_bytes().to_vec());
    }
    let text: String = of("data")?.split_whitespace().collect();
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    fn mesh(secret: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: g}}\nspec:\n  \
             selector: {{app: x}}\n  servers:\n  - tls: {{mode: SIMPLE, credentialName: c}}\n---\n\
             apiVersion: v1\nkind: Pod\nmetadata: {{name: p, namespace: gw, labels: {{app: x}}}}\n---\n{secret}"
        )
    }

    fn secret(namespace: &str, data: &str) -> String {
        format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: c, namespace: {namespace}}}\n{data}\n")
    }

    #[test]
    fn the_secret_is_beside_the_gateways_pods_and_holds_a_certificate() {
        check(&ANALYZER, &mesh(""), &["IST0101 Gateway default/g:7"]);
        check(&ANALYZER, &mesh(&secret("default", "")), &["IST0101 Gateway default/g:7"]);
        check(
            &ANALYZER,
            &mesh(&secret("gw", "stringData: {tls.crt: x, tls.key: y}")),
            &["IST0161 Gateway default/g:7"],
        );
        let other = mesh("").replace("credentialName: c", "credentialName: 'sds://c'");
        check(&ANALYZER, &other, &[]);
        let nobody = mesh("").replace("selector: {app: x}", "selector: {app: y}");
        check(&ANALYZER, &nobody, &["IST0101 Gateway default/g:5"]);
    }

    #[test]
    fn certificates_hold_for_a_time() {
        let data = format!("data: {{tls.crt: {CERTIFICATE}, tls.key: eA==}}");
        check(&ANALYZER, &mesh(&secret("gw", &data)), &[]);
        let documents = istio_api::yaml::documents(&secret("gw", &data));
        let object =
            crate::file::File::read("f", &secret("gw", &data), &Default::default()).objects.remove(0);
        assert_eq!(documents.len(), 1);
        assert!(is_usable(&object, 1_800_000_000));
        assert!(!is_usable(&object, 0), "not yet valid");
        assert!(!is_usable(&object, 100_000_000_000), "expired");
    }

    /// Self-signed, for the next hundred years.
    const CERTIFICATE: &str = "\
        LS0tLS1CRUdJTiBDRVJUSUZJQ0FURS0tLS0tCk1JSUJjRENDQVJXZ0F3SUJBZ0lVUitvK2FueEZIWCtCWnNhSFd2Yj\
        lyZVdsWFJBd0NnWUlLb1pJemowRUF3SXcKRERFS01BZ0dBMVVFQXd3QllUQWdGdzB5TmpFeE1qRXhNRFF4TlRoYUdB\
        OHlNVEkyTVRBeU9ERXdOREUxT0ZvdwpEREVLTUFnR0ExVUVBd3dCWVRCWk1CTUdCeXFHU000OUFnRUdDQ3FHU000OU\
        F3RUhBMElBQkNGcFo4T2tkdnBVCituOGNFTkZWV3dPUHFSRmZ1V1ZGck92MkF4WWFZZFVXaVFsRXExYmp2RjloRHZF\
        YzZqWWNtK21oeDk1dDkrUmQKVHVmLzVzOWNWWkNqVXpCUk1CMEdBMVVkRGdRV0JCU2Z2V3ZuNTVMUVdrbi9NVS9sOE\
        dQTzhpbFNYakFmQmdOVgpIU01FR0RBV2dCU2Z2V3ZuNTVMUVdrbi9NVS9sOEdQTzhpbFNYakFQQmdOVkhSTUJBZjhF\
        QlRBREFRSC9NQW9HCkNDcUdTTTQ5QkFNQ0Ewa0FNRVlDSVFEOHFGRUV3SzJhRExXdzk0c0oxL2hRRUNXZkJRZGx5SG\
        hUdmxKQXQyL0YKRHdJaEFMM1RzUHU3amsvMHd1RzRtRTlMRUFiUnZNcUl6d2JVVDhKWWNaK1VQNXl1Ci0tLS0tRU5E\
        IENFUlRJRklDQVRFLS0tLS0K";
}
