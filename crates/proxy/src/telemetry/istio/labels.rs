//! Labels of a series, in Istio's order.

use std::fmt::Write;

use ir::filter::Reporter;

use super::key::{KeyRef, PeerRef, ServiceOf};
use crate::telemetry::export::escape;
use crate::telemetry::peer::Peer;

/// As Prometheus has them between braces.
pub(super) fn labels(key: &KeyRef<'_>, local: &Peer) -> String {
    let server = key.reporter == Reporter::Destination;
    let (remote, local) = (key.remote, PeerRef::from(local));
    let (source, destination) = if server { (remote, local) } else { (local, remote) };
    let (source_principal, destination_principal) = match server {
        true => (key.remote_principal, key.local_principal),
        false => (key.local_principal, key.remote_principal),
    };
    let asked;
    let (host, name, namespace) = match key.service {
        ServiceOf::Known { host, name, namespace } => (host, name, namespace),
        ServiceOf::Cluster { name, host } => {
            asked = host.map(String::from_utf8_lossy);
            (asked.as_deref().unwrap_or(name), name, destination.namespace)
        }
    };
    let (status, flags) = (key.status.to_string(), key.flags.to_string());
    let grpc = key.grpc_status.map(|s| s.to_string()).unwrap_or_default();
    let mut all: Vec<(&str, &str)> = vec![
        ("reporter", if server { "destination" } else { "source" }),
        ("source_workload", source.workload),
        ("source_canonical_service", source.canonical_name),
        ("source_canonical_revision", source.canonical_revision),
        ("source_workload_namespace", namespace_of(source, source_principal)),
        ("source_principal", source_principal),
        ("source_app", source.app),
        ("source_version", source.version),
        ("source_cluster", source.cluster),
        ("destination_workload", destination.workload),
        ("destination_workload_namespace", namespace_of(destination, destination_principal)),
        ("destination_principal", destination_principal),
        ("destination_app", destination.app),
        ("destination_version", destination.version),
        ("destination_service", host),
        ("destination_canonical_service", destination.canonical_name),
        ("destination_canonical_revision", destination.canonical_revision),
        ("destination_service_name", name),
        ("destination_service_namespace", namespace),
        ("destination_cluster", destination.cluster),
        ("request_protocol", key.protocol),
    ];
    if key.protocol != "tcp" {
        all.push(("response_code", &status));
        all.push(("grpc_response_status", &grpc));
    }
    all.push(("response_flags", &flags));
    all.push(("connection_security_policy", key.security));
    join(&all)
}

/// A peer that tells nothing of itself still has a verified namespace.
fn namespace_of<'a>(peer: PeerRef<'a>, principal: &'a str) -> &'a str {
    if !peer.namespace.is_empty() {
        return peer.namespace;
    }
    principal.split_once("/ns/").and_then(|(_, rest)| rest.split('/').next()).unwrap_or("")
}

pub(super) fn join(all: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in all {
        let value = if value.is_empty() && *name != "grpc_response_status" { "unknown" } else { value };
        let separator = if text.is_empty() { "" } else { "," };
        let _ = write!(text, "{separator}{name}=\"{}\"", escape(value));
    }
    text
}
