//! Certificates and roots for a gateway, from Secrets of its namespace. They are sent to gateways that
//! have proved who they are, and only those that some server names.

use std::collections::BTreeSet;
use std::sync::Arc;

use ir::Resource;
use ir::tls::{DataSource, Secret, SecretContent, TlsCertificate, TrustBundle};
use istio_api::k8s;
use istio_api::networking::ServerTlsMode;
use registry::View;
use stdx::Str;

use super::servers::Bound;
use crate::tls::{CA_SUFFIX, credential};
use crate::unit::ScopeKey;

/// The Secrets that a server names.
pub fn named_by(bound: &Bound) -> Vec<Str> {
    let Some(tls) = bound.server().and_then(|server| server.tls.as_ref()) else { return Vec::new() };
    if bound.is_passthrough() || bound.tls_mode().is_none_or(|mode| mode == ServerTlsMode::IstioMutual) {
        return Vec::new();
    }
    let named = tls.credential_name.iter().chain(&tls.credential_names).chain(&tls.ca_cert_credential_name);
    named.filter(|name| !name.contains("://")).cloned().collect()
}

/// The Secrets that DestinationRules name for connections that a gateway makes.
pub fn of_clients(view: &View<'_>, scope: &ScopeKey) -> BTreeSet<Str> {
    let mut names = BTreeSet::new();
    for service in view.services(&scope.namespace) {
        let Some(rule) = view.destination_rule_for(&scope.namespace, &scope.labels, service) else {
            continue;
        };
        let of_subsets = rule.subsets.iter().filter_map(|merged| merged.subset.traffic_policy.as_ref());
        let of_rule = rule.traffic_policy.iter().map(|(policy, _)| policy);
        for policy in of_rule.chain(of_subsets) {
            let tls = policy.tls.iter().chain(policy.ports.iter().filter_map(|port| port.tls.as_ref()));
            let named = tls.filter_map(|tls| tls.credential_name.as_ref());
            names.extend(named.filter(|name| !name.contains("://")).cloned());
        }
    }
    names
}

/// What a Secret has: a certificate with its key, and roots for clients' certificates, which may be in
/// a Secret beside it.
pub fn secrets(view: &View<'_>, scope: &ScopeKey, name: &str) -> Vec<Resource> {
    let own = view.secret(&scope.namespace, name);
    let beside = view.secret(&scope.namespace, &format!("{name}{CA_SUFFIX}"));
    let mut found = Vec::new();
    if let Some(certificate) = own.and_then(|secret| certificate(secret)) {
        found.push((credential(name, "").name, SecretContent::Certificate(certificate)));
    } else if let Some(roots) = own.and_then(|secret| roots(secret)) {
        // Named by `caCertCredentialName`.
        found.push((credential(name, "").name, SecretContent::Roots(roots)));
    }
    if let Some(roots) = beside.and_then(|secret| roots(secret)).or_else(|| own.and_then(|s| roots(s))) {
        found.push((credential(name, CA_SUFFIX).name, SecretContent::Roots(roots)));
    }
    found.into_iter().map(|(name, content)| Resource::Secret(Arc::new(Secret { name, content }))).collect()
}

/// Of a TLS Secret, or of a generic one as Istio names its keys.
fn certificate(secret: &k8s::Secret) -> Option<TlsCertificate> {
    let pair = |chain: &str, key: &str| {
        let (chain, key) = (secret.data.get(chain)?.clone(), secret.data.get(key)?.clone());
        Some(TlsCertificate { chain: DataSource::Inline(chain), key: DataSource::Inline(key) })
    };
    pair("tls.crt", "tls.key").or_else(|| pair("cert", "key"))
}

/// With what has been revoked, under the names that Istio knows.
fn roots(secret: &k8s::Secret) -> Option<TrustBundle> {
    let of = |keys: &[&str]| {
        let found = keys.iter().find_map(|key| secret.data.get(*key));
        found.filter(|bytes| !bytes.is_empty()).cloned().map(DataSource::Inline)
    };
    Some(TrustBundle { roots: of(&["ca.crt", "cacert"])?, crl: of(&["ca.crl", "crl"]) })
}
