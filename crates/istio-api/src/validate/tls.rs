//! TLS settings of clients and servers.

use std::collections::BTreeSet;

use crate::reader::Item;

const CLIENT_MODES: &[&str] = &["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"];
pub(super) const SERVER_MODES: &[&str] =
    &["PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"];

/// ClientTLSSettings of a DestinationRule of `namespace`.
pub(crate) fn client(tls: &Item<'_>, namespace: &str) {
    let mode = tls.field_choice("mode", CLIENT_MODES);
    config_map(tls, namespace);
    if tls.field_true("insecureSkipVerify") {
        let sans = tls.has("subjectAltNames");
        let unusable = match mode {
            "SIMPLE" => sans || tls.has_some("caCertificates") || tls.has_some("credentialName"),
            "MUTUAL" => sans || tls.has_some("caCertificates"),
            _ => false,
        };
        if unusable {
            let message = "cannot stand beside caCertificates, credentialName or subjectAltNames";
            tls.field_or_self("insecureSkipVerify").invalid(message.into());
        }
    }
    if matches!(mode, "SIMPLE" | "MUTUAL") && tls.has_some("credentialName") {
        for name in ["clientCertificate", "privateKey", "caCertificates", "caCrl"] {
            if tls.has_some(name) {
                tls.field_or_self(name).invalid("cannot stand beside credentialName".into());
            }
        }
    } else if mode == "MUTUAL" {
        for name in ["clientCertificate", "privateKey"].iter().filter(|name| !tls.has_some(name)) {
            tls.invalid(format!("MUTUAL needs {name}, or credentialName"));
        }
    }
}

/// A ConfigMap with certificates must be of the rule's own namespace.
fn config_map(tls: &Item<'_>, namespace: &str) {
    let Some(reference) = tls.field_text("credentialName").strip_prefix("configmap://") else { return };
    let mut parts = reference.split('/');
    let good = parts.next() == Some(namespace) && parts.next().is_some_and(|name| !name.is_empty());
    if !good {
        let message = format!("must be of the form configmap://{namespace}/NAME");
        tls.field_or_self("credentialName").invalid(message);
    }
}

/// Fields that name certificates.
const CERTIFICATES: [&str; 6] = [
    "serverCertificate",
    "privateKey",
    "caCertificates",
    "tlsCertificates",
    "credentialName",
    "credentialNames",
];

/// ServerTLSSettings of a Gateway or Sidecar.
pub(super) fn server(tls: &Item<'_>) {
    let mode = tls.field_choice("mode", SERVER_MODES);
    check_ciphers(tls);
    if mode == "ISTIO_MUTUAL" {
        for name in CERTIFICATES.iter().filter(|name| tls.has_some(name)) {
            tls.field_or_self(name).invalid("ISTIO_MUTUAL brings its own certificates".into());
        }
        return;
    }
    let certificates = tls.has_some("caCrl") || CERTIFICATES.iter().any(|name| tls.has_some(name));
    if matches!(mode, "PASSTHROUGH" | "AUTO_PASSTHROUGH") && certificates {
        tls.warn(format!("{mode} does not use certificates; they are ignored"));
    }
    check_sources(tls);
    let terminates = matches!(mode, "SIMPLE" | "MUTUAL" | "OPTIONAL_MUTUAL");
    if terminates && !tls.has_some("credentialName") && !tls.has_some("credentialNames") {
        check_files(tls, mode);
    }
    if let Some(crl) = tls.field("caCrl").filter(|crl| !crl.text().is_empty()) {
        if tls.has_some("credentialName") && !terminates {
            crl.invalid("cannot stand beside credentialName: the Secret has it".into());
        }
        if mode == "SIMPLE" && !tls.has_some("credentialName") && !tls.has_some("credentialNames") {
            crl.invalid("has no meaning with SIMPLE, which asks for no certificate".into());
        }
    }
}

/// One source of certificates only.
fn check_sources(tls: &Item<'_>) {
    let files = tls.has_some("serverCertificate") && tls.has_some("privateKey");
    let others = ["credentialName", "credentialNames", "tlsCertificates"].iter().filter(|n| tls.has_some(n));
    if usize::from(files) + others.count() > 1 {
        tls.invalid(
            "only one of credentialName, credentialNames, serverCertificate/privateKey and tlsCertificates \
             can be set"
                .into(),
        );
    }
}

fn check_files(tls: &Item<'_>, mode: &str) {
    if mode != "SIMPLE" && !tls.has_some("caCertificates") {
        tls.invalid(format!("{mode} needs caCertificates, to know clients by"));
    }
    let several = tls.each("tlsCertificates");
    let certificates = if several.is_empty() { vec![tls.clone()] } else { several };
    for certificate in &certificates {
        for name in ["serverCertificate", "privateKey"].iter().filter(|name| !certificate.has_some(name)) {
            certificate.invalid(format!("{mode} needs {name}, or credentialName"));
        }
    }
}

/// Cipher suites by OpenSSL's names that BoringSSL has, without pre-shared keys.
const CIPHERS: [&str; 15] = [
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA",
    "AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-SHA",
    "AES256-SHA",
    "DES-CBC3-SHA",
];

fn check_ciphers(tls: &Item<'_>) {
    if matches!(tls.field_text("minProtocolVersion"), "TLSV1_0" | "TLSV1_1") && !tls.has_some("cipherSuites")
    {
        let message = "versions below TLSV1_2 need cipherSuites: the default ones do not go with them";
        tls.field_or_self("minProtocolVersion").warn(message);
    }
    let mut seen = BTreeSet::new();
    for item in tls.each("cipherSuites") {
        let text = item.text();
        // Expressions with operators (`!`, `-`, `[`) are BoringSSL's own to judge.
        let named = text.starts_with(|c: char| c.is_alphanumeric());
        if named && text != "ALL" && !CIPHERS.contains(&text) {
            item.warn(format!("the cipher suite {text} is not known, and ignored"));
        } else if !seen.insert(text) {
            item.warn(format!("the cipher suite {text} is given twice"));
        }
    }
}
