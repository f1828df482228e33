//! Active health checks of a cluster: what its probes are made of.

use std::sync::Arc;

use engine::Problem;
use engine::health_check::ResponseRules;
use ir::cluster::Thresholds;
use ir::header::HeaderValue;
use ir::health_check::HealthChecker;
use ir::{Address, ClusterDiscovery, Endpoint, HealthCheck, HttpProtocol};
use stdx::Str;
use upstream::probe::{Check, Probe};
use upstream::{ClusterState, Destination, EndpointState};

use super::snapshot::{Cluster, transport_index};

/// # Errors
/// What of a cluster's health checks cannot be done, by field.
pub fn check(config: &ir::Cluster) -> Result<(), Problem> {
    let Some(first) = config.health_checks.first() else { return Ok(()) };
    if config.health_checks.len() > 1 {
        return Err(Problem::new("health_checks", "more than one is not supported"));
    }
    if matches!(config.discovery, ClusterDiscovery::OriginalDst) {
        return Err(Problem::new("health_checks", "not with ORIGINAL_DST: there is nobody to ask"));
    }
    if matches!(config.discovery, ClusterDiscovery::DynamicForwardProxy(_)) {
        return Err(Problem::new("health_checks", "not with a dynamic forward proxy"));
    }
    compile(first).map(drop).map_err(|problem| problem.inside("health_checks[0]"))
}

fn compile(config: &HealthCheck) -> Result<Check, Problem> {
    let (headers, field): (&[HeaderValue], _) = match &config.checker {
        HealthChecker::Http(it) => (&it.headers, "http_health_check.request_headers_to_add"),
        HealthChecker::Grpc(it) => (&it.initial_metadata, "grpc_health_check.initial_metadata"),
        HealthChecker::Tcp(_) => (&[], ""),
    };
    // A check has no request and no client that could be spoken of.
    if headers.iter().any(|header| header.value.is_format()) {
        return Err(Problem::new(field, "only literal values are supported"));
    }
    let rules = match &config.checker {
        HealthChecker::Http(it) => {
            Some(ResponseRules::compile(it).map_err(|p| p.inside("http_health_check"))?)
        }
        HealthChecker::Tcp(_) | HealthChecker::Grpc(_) => None,
    };
    Ok(Check { config: config.clone(), rules })
}

/// Whether an endpoint of a cluster with health checks is checked.
pub fn is_checked(endpoint: &Endpoint) -> bool {
    !endpoint.health_check.as_ref().is_some_and(|it| it.disabled)
}

/// One probe per endpoint that is to be checked. None without health checks.
pub fn probes(cluster: &Cluster) -> Vec<Probe> {
    let Some(check) = cluster.config.health_checks.first() else { return Vec::new() };
    // It was compiled when the cluster came.
    let Ok(check) = compile(check).map(Arc::new) else { return Vec::new() };
    let config = Arc::new(settings(&cluster.config, &check.config));
    let state = Arc::new(ClusterState::new(cluster.config.name.clone()));
    let endpoints = cluster.endpoints.endpoints().iter().zip(&cluster.destinations);
    endpoints
        .filter(|(endpoint, _)| is_checked(endpoint))
        .map(|(endpoint, to)| {
            let criteria = &check.config.transport_criteria;
            let criteria = if criteria.is_empty() { &endpoint.transport_metadata } else { criteria };
            let index = transport_index(&cluster.config, criteria);
            let transport = &cluster.transports[index.min(cluster.transports.len() - 1)];
            let address = address(endpoint, &check.config);
            let host = host(endpoint, &cluster.config);
            let key = stdx::digest(&(&*config, &address, &host, transport.key));
            let to_check = Destination {
                config: config.clone(),
                cluster: state.clone(),
                endpoint: Arc::new(EndpointState::new(address)),
                tls: transport.tls.clone(),
                transport_key: transport.key,
                proxy_protocol: transport.proxy_protocol,
                named: to.named.clone(),
            };
            Probe {
                check: check.clone(),
                cluster: cluster.state.clone(),
                endpoint: to.endpoint.clone(),
                to: to_check,
                host,
                key,
            }
        })
        .collect()
}

/// How connections for checks are made: no limits of the cluster hold for them.
fn settings(cluster: &ir::Cluster, check: &HealthCheck) -> ir::Cluster {
    let http2 = match &check.checker {
        HealthChecker::Http(it) => it.http2,
        HealthChecker::Grpc(_) => true,
        HealthChecker::Tcp(_) => false,
    };
    let connect = cluster.connect_timeout.map_or(check.timeout, |it| it.min(check.timeout));
    ir::Cluster {
        protocol: if http2 { HttpProtocol::Http2 } else { HttpProtocol::Http1 },
        connect_timeout: Some(connect),
        thresholds: Thresholds::UNLIMITED,
        high_thresholds: None,
        max_requests_per_connection: (!check.reuse_connection).then_some(1),
        discovery: ClusterDiscovery::OriginalDst,
        ..cluster.clone()
    }
}

/// Where an endpoint is asked.
fn address(endpoint: &Endpoint, check: &HealthCheck) -> Address {
    let own = endpoint.health_check.as_deref();
    let address = own.and_then(|it| it.address.clone()).unwrap_or_else(|| endpoint.address.clone());
    let port = own.and_then(|it| it.port).or(check.alt_port);
    match (address, port) {
        (Address::Socket(mut address), Some(port)) => {
            address.set_port(port);
            Address::Socket(address)
        }
        (Address::Name { host, .. }, Some(port)) => Address::Name { host, port },
        (address, _) => address,
    }
}

/// What a request calls the endpoint.
fn host(endpoint: &Endpoint, cluster: &ir::Cluster) -> Str {
    let own = endpoint.health_check.as_ref().map(|it| &it.hostname);
    let configured = match cluster.health_checks.first().map(|it| &it.checker) {
        Some(HealthChecker::Http(it)) => Some(&it.host),
        Some(HealthChecker::Grpc(it)) => Some(&it.authority),
        _ => None,
    };
    let said = own.into_iter().chain(configured).find(|name| !name.is_empty());
    said.unwrap_or(&cluster.name).clone()
}
