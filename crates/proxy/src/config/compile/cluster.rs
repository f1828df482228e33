//! Clusters: transports, and where endpoints lead.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use engine::Problem;
use engine::balance::EndpointSet;
use engine::names::Answers;
use identity::{ClientTls, SecretStore, WORKLOAD_CERTIFICATE};
use ir::cluster::ProxyProtocol;
use ir::tls::CertificateSource;
use ir::{Address, ClusterDiscovery, LoadAssignment, UpstreamTls};
use upstream::{Destination, Named};

use crate::balance::Balance;
use crate::config::lazy::Context;
use crate::config::refuse;
use crate::config::snapshot::{Cluster, Transport, transport_index};

/// Compiles a cluster's settings; endpoints come with [`with_endpoints`].
///
/// # Errors
/// What cannot be compiled, by field.
pub fn cluster(config: &Arc<ir::Cluster>, context: &Context) -> Result<Cluster, Problem> {
    refuse::cluster(config)?;
    let (transports, endpoints) = (transports(config, &context.secrets)?, own_endpoints(config));
    Ok(with_destinations(Cluster {
        config: config.clone(),
        balance: Balance::new(config, &endpoints, &[]),
        endpoints: Arc::new(endpoints),
        transports,
        default_transport: transport_index(config, &BTreeMap::new()),
        mesh_alpn: offers_istio(config),
        state: context.registry.cluster(&config.name),
        destinations: Vec::new(),
        forward_proxy: match &config.discovery {
            ClusterDiscovery::DynamicForwardProxy(it) => Some(context.caches.of(&it.cache)),
            _ => None,
        },
    }))
}

/// Whether [`cluster`] would succeed, without its state.
///
/// # Errors
/// As [`cluster`].
pub fn check_cluster(config: &ir::Cluster, secrets: &SecretStore) -> Result<(), Problem> {
    refuse::cluster(config)?;
    transports(config, secrets).map(drop)
}

/// A cluster that no request can be sent to.
pub fn without_endpoints(config: &Arc<ir::Cluster>, registry: &upstream::Registry) -> Cluster {
    Cluster {
        config: config.clone(),
        balance: Balance::new(config, &EndpointSet::default(), &[]),
        endpoints: Arc::default(),
        transports: vec![Transport { tls: None, key: 0, mutual: false, proxy_protocol: None }],
        default_transport: 0,
        mesh_alpn: false,
        state: registry.cluster(&config.name),
        destinations: Vec::new(),
        forward_proxy: None,
    }
}

/// Whether a transport of the cluster offers `istio`, as the mesh's mutual TLS does.
fn offers_istio(config: &ir::Cluster) -> bool {
    let matches = config.transport_matches.iter().filter_map(|found| found.tls.as_ref());
    matches.chain(&config.tls).any(|tls| tls.common.alpn.iter().any(|name| name.as_str() == "istio"))
}

/// As `transport_matches`, and last the default.
fn transports(config: &ir::Cluster, secrets: &SecretStore) -> Result<Vec<Transport>, Problem> {
    let matches = config.transport_matches.iter().enumerate();
    let mut transports: Vec<Transport> = matches
        .map(|(i, m)| {
            transport(m.tls.as_ref(), m.proxy_protocol, secrets, &format!("transport_socket_matches[{i}]"))
        })
        .collect::<Result<_, _>>()?;
    transports.push(transport(config.tls.as_ref(), config.proxy_protocol, secrets, "transport_socket")?);
    Ok(transports)
}

fn own_endpoints(config: &ir::Cluster) -> EndpointSet {
    config.discovery.assignment().map(EndpointSet::compile).unwrap_or_default()
}

fn transport(
    tls: Option<&UpstreamTls>,
    proxy_protocol: Option<ProxyProtocol>,
    secrets: &SecretStore,
    field: &str,
) -> Result<Transport, Problem> {
    // Connections of different settings are not shared.
    let key = match (tls, proxy_protocol) {
        (None, None) => 0,
        (Some(tls), None) => stdx::digest(tls).0 as u64 | 1,
        both => stdx::digest(&both).0 as u64 | 1,
    };
    let Some(tls) = tls else { return Ok(Transport { tls: None, key, mutual: false, proxy_protocol }) };
    let mutual = is_of_mesh(tls);
    let client = ClientTls::new(tls, secrets).map_err(|e| Problem::new(field, e.to_string()))?;
    Ok(Transport { tls: Some(Arc::new(client)), key, mutual, proxy_protocol })
}

/// Whether the workload shows who it is in the mesh, to somebody whom it judges. Whoever is shown a
/// certificate of another authority is outside of the mesh.
fn is_of_mesh(tls: &UpstreamTls) -> bool {
    let own = matches!(&tls.common.certificate, Some(CertificateSource::Sds(sds)) if sds.name == WORKLOAD_CERTIFICATE);
    own && tls.common.validation.is_some()
}

/// The same cluster with other endpoints. TLS settings and their sessions are shared.
/// `answers` is what names have resolved to, where they stay names.
pub fn with_endpoints(cluster: &Cluster, assignment: &LoadAssignment, answers: Option<&Answers>) -> Cluster {
    let endpoints = Arc::new(EndpointSet::compile(assignment));
    place(Cluster { endpoints, destinations: Vec::new(), ..cluster.clone() }, answers)
}

/// The new settings with the TLS contexts (and so the sessions) of the old ones, where TLS did
/// not change.
pub fn carry_over(new: Cluster, old: &Cluster) -> Cluster {
    let held = |transport: &Transport| old.transports.iter().find(|t| t.key == transport.key).cloned();
    let transports = new.transports.iter().map(|t| held(t).unwrap_or_else(|| t.clone())).collect();
    with_destinations(Cluster { transports, ..new })
}

fn with_destinations(cluster: Cluster) -> Cluster {
    place(cluster, None)
}

fn place(mut cluster: Cluster, answers: Option<&Answers>) -> Cluster {
    let of = |endpoint: &ir::Endpoint| {
        let transport = transport_index(&cluster.config, &endpoint.transport_metadata);
        let named = named(endpoint, answers).map(Arc::new);
        Destination { named, ..cluster.destination(&endpoint.address, transport) }
    };
    cluster.destinations = cluster.endpoints.endpoints().iter().map(of).collect();
    cluster.balance = Balance::new(&cluster.config, &cluster.endpoints, &cluster.destinations);
    cluster
}

/// What an endpoint is called, and where its name leads.
fn named(endpoint: &ir::Endpoint, answers: Option<&Answers>) -> Option<Named> {
    let (name, addresses) = match &endpoint.address {
        Address::Name { host, port } => {
            let found = answers.and_then(|answers| answers.get(host)).map_or(&[][..], |found| found);
            (host, found.iter().map(|ip| SocketAddr::new(*ip, *port)).collect())
        }
        Address::Socket(_) | Address::Pipe(_) => (&endpoint.hostname, Vec::new()),
    };
    let hostname = if endpoint.hostname.is_empty() { name } else { &endpoint.hostname };
    (!hostname.is_empty()).then(|| Named { hostname: hostname.clone(), addresses })
}

#[cfg(test)]
mod tests {
    use ir::tls::{CommonTls, RootsSource, SdsRef, SdsVia, Validation};

    use super::*;

    /// Nobody else is told what the workload's labels are.
    #[test]
    fn only_the_workloads_own_certificate_is_of_the_mesh() {
        let sds = |name: &str| SdsRef { name: name.into(), via: SdsVia::Ads };
        let check = |certificate: Option<&str>, judges: bool, expected: bool| {
            let common = CommonTls {
                certificate: certificate.map(|name| CertificateSource::Sds(sds(name))),
                validation: judges.then(|| Validation::new(RootsSource::Sds(sds("ROOTCA")), Vec::new())),
                ..CommonTls::default()
            };
            assert_eq!(is_of_mesh(&UpstreamTls { common, sni: None }), expected, "{certificate:?} {judges}");
        };
        check(Some("default"), true, true);
        check(Some("default"), false, false);
        check(Some("kubernetes://partner"), true, false);
        check(None, true, false);
    }
}
