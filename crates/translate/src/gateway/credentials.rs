//! Certificates and roots for a gateway, from Secrets of its namespace. They are sent to gateways that
//! have proved who they are, and only those that some server names.

use std::collections::BTreeSet;
use std::sync::Arc;

use ir::Resource;
use ir::tls::{DataSource, Secret, SecretContent, TlsCertificate, TrustBundle};
use istio_api::k8s;
use istio_api::networking::{ServerTls, ServerTlsMode};
use registry::View;
use stdx::Str;

use super::servers::Bound;
use crate::tls::{CA_SUFFIX, Problem, credential};
use crate::unit::ScopeKey;

/// What the names of ConfigMaps begin with: `configmap://NAMESPACE/NAME`.
const CONFIG_MAP: &str = "configmap://";
const SECRET: &str = "kubernetes://";

/// Under which name a reference is delivered to gateways of a namespace; `None`: it is not.
fn delivered(reference: &str, namespace: &str) -> Option<Str> {
    if let Some(map) = reference.strip_prefix(CONFIG_MAP) {
        let (of, name) = map.split_once('/')?;
        return (!of.is_empty() && !name.is_empty()).then(|| reference.into());
    }
    let secret = reference.strip_prefix(SECRET).unwrap_or(reference);
    match secret.split_once('/') {
        None => Some(secret.into()),
        // Of its own namespace; written out, the name stays what it is.
        Some((of, name)) if of == namespace && !name.contains('/') => Some(reference.into()),
        Some(_) => None,
    }
}

/// A reference of a server that leads to no certificate: it would wait for it for ever.
pub fn unreachable(written: &ServerTls, namespace: &str) -> Option<Problem> {
    let problem = |field, reference: &str, why: &str| {
        Some(Problem { field, message: format!("{reference} {why}: nothing is served there") })
    };
    let certificates = [("credentialName", written.credential_name.as_ref())];
    let several = written.credential_names.iter().map(|name| ("credentialNames", Some(name)));
    for (field, name) in certificates.into_iter().chain(several) {
        let Some(name) = name else { continue };
        if name.starts_with(CONFIG_MAP) {
            return problem(field, name, "has no key");
        }
        if delivered(name, namespace).is_none() {
            return problem(field, name, "is no Secret of the gateway's namespace");
        }
    }
    let name = written.ca_cert_credential_name.as_ref()?;
    match delivered(name, namespace) {
        Some(_) => None,
        None => problem(
            "caCertCredentialName",
            name,
            "is neither a Secret of the gateway's namespace nor a ConfigMap",
        ),
    }
}

/// The Secrets that a server of a gateway in `namespace` names.
pub fn named_by(bound: &Bound, namespace: &str) -> Vec<Str> {
    let Some(tls) = bound.server().and_then(|server| server.tls.as_ref()) else { return Vec::new() };
    if bound.is_passthrough() || bound.tls_mode().is_none_or(|mode| mode == ServerTlsMode::IstioMutual) {
        return Vec::new();
    }
    let named = tls.credential_name.iter().chain(&tls.credential_names).chain(&tls.ca_cert_credential_name);
    named.filter_map(|name| delivered(name, namespace)).collect()
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
            names.extend(named.filter_map(|name| delivered(name, &scope.namespace)));
        }
    }
    names
}

/// What a Secret has: a certificate with its key, and roots for clients' certificates, which may be in
/// a Secret beside it.
pub fn secrets(view: &View<'_>, scope: &ScopeKey, name: &str) -> Vec<Resource> {
    if let Some((namespace, map)) = name.strip_prefix(CONFIG_MAP).and_then(|map| map.split_once('/')) {
        let roots = || view.config_map(namespace, map).and_then(|map| public_roots(map));
        let named = ["", CA_SUFFIX].map(|suffix| credential(name, suffix).name);
        return named
            .into_iter()
            .filter_map(|name| Some(resource(name, SecretContent::Roots(roots()?))))
            .collect();
    }
    // Written out with the namespace, which is the gateway's own.
    let own_name = name.rsplit('/').next().unwrap_or(name);
    let own = view.secret(&scope.namespace, own_name);
    let beside = view.secret(&scope.namespace, &format!("{own_name}{CA_SUFFIX}"));
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
    found.into_iter().map(|(name, content)| resource(name, content)).collect()
}

fn resource(name: Str, content: SecretContent) -> Resource {
    Resource::Secret(Arc::new(Secret { name, content }))
}

/// What a ConfigMap has is no secret, so it may be of any namespace; nothing else of it is sent.
fn public_roots(map: &k8s::ConfigMap) -> Option<TrustBundle> {
    let roots = map.data.get("ca.crt").or_else(|| map.data.get("cacert"))?;
    let crl = map.data.get("ca.crl").map(|crl| DataSource::Inline(crl.as_bytes().to_vec()));
    Some(TrustBundle { roots: DataSource::Inline(roots.as_bytes().to_vec()), crl })
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
