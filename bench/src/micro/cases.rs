//! What is called. Configuration goes the way it goes in the proxy: Envoy's JSON, `ir`, compiled.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use engine::balance::{Ask, Balancer, Cursor, EndpointSet, Settings};
use engine::dice::SplitMix;
use engine::rbac::{Certificate, Peer, Rbac, Verdict};
use engine::request::PlainRequest;
use engine::route::{ClientCertificate, RouteTable, Selection};
use http1::{Limits, RequestHead, ResponseHead};
use ir::LbPolicy;
use serde_json::{Value, json};

use crate::peers::envoy::{address, typed};

type Call = Box<dyn FnMut()>;
type Prepare = fn() -> anyhow::Result<Call>;

const CASES: &[(&str, Prepare)] = &[
    ("http1, request of wrk", || request(b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n")),
    ("http1, request of a browser", || request(BROWSER)),
    ("http1, response", response),
    ("route, 10 routes", || routes(10)),
    ("route, 1,000 routes", || routes(1_000)),
    ("route, 10,000 routes", || routes(10_000)),
    ("route, 10 hosts", || hosts(10)),
    ("route, 1,000 hosts", || hosts(1_000)),
    ("route, 10,000 hosts", || hosts(10_000)),
    ("balance, round robin of 5", || balance(LbPolicy::RoundRobin, 5)),
    ("balance, least request of 5", || balance(LbPolicy::LeastRequest, 5)),
    ("balance, least request of 1,000", || balance(LbPolicy::LeastRequest, 1_000)),
    ("policy, 1 ALLOW", || policies(1)),
    ("policy, the last of 10 ALLOW", || policies(10)),
    ("policy, the last of 100 ALLOW", || policies(100)),
];

pub fn names() -> impl Iterator<Item = &'static str> {
    CASES.iter().map(|(name, _)| *name)
}

/// # Errors
/// There is no such case, or its answer is not the expected one.
pub fn prepare(name: &str) -> anyhow::Result<Call> {
    match CASES.iter().find(|(found, _)| *found == name) {
        Some((_, prepare)) => prepare(),
        None => bail!("no case {name:?}"),
    }
}

const BROWSER: &[u8] = b"GET /productpage?u=normal HTTP/1.1\r\nHost: bookinfo.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
    Connection: keep-alive\r\nUpgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\n\
    Sec-Fetch-Mode: navigate\r\nSec-Fetch-Site: none\r\nPriority: u=0, i\r\n\
    Cookie: session=eyJ1c2VyIjoiamFzb24ifQ\r\n\r\n";

fn request(bytes: &'static [u8]) -> anyhow::Result<Call> {
    let limits = Limits::default();
    ensure!(matches!(RequestHead::parse(bytes, &limits), Ok(Some((_, used))) if used == bytes.len()));
    Ok(Box::new(move || {
        let _ = black_box(RequestHead::parse(black_box(bytes), &limits));
    }))
}

fn response() -> anyhow::Result<Call> {
    const BYTES: &[u8] =
        b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sat, 21 Nov 2026 11:00:00 GMT\r\n\
        Content-Type: application/octet-stream\r\nContent-Length: 100\r\nConnection: keep-alive\r\n\r\n";
    let limits = Limits::default();
    ensure!(matches!(ResponseHead::parse(BYTES, b"GET", &limits), Ok(Some(_))));
    Ok(Box::new(move || {
        let _ = black_box(ResponseHead::parse(black_box(BYTES), b"GET", &limits));
    }))
}

/// One host with so many routes, half of them by exact path and half by prefix; the last is asked for.
fn routes(count: usize) -> anyhow::Result<Call> {
    let route = |index: usize| {
        let at = if index.is_multiple_of(2) { "path" } else { "prefix" };
        json!({ "match": { at: format!("/service/{index:05}/api") }, "route": { "cluster": "backend" } })
    };
    let host =
        json!({ "name": "all", "domains": ["*"], "routes": (0..count).map(route).collect::<Vec<_>>() });
    let request = PlainRequest::get("shop.bench", &format!("/service/{:05}/api/items?page=2", count - 1));
    select(json!([host]), request, 0, count - 1)
}

/// So many hosts with one route each; the last is asked for.
fn hosts(count: usize) -> anyhow::Result<Call> {
    let host = |index: usize| {
        let route = json!({ "match": { "prefix": "/" }, "route": { "cluster": "backend" } });
        json!({ "name": format!("{index}"), "domains": [format!("service-{index:05}.bench")], "routes": [route] })
    };
    let request = PlainRequest::get(&format!("service-{:05}.bench", count - 1), "/items?page=2");
    select((0..count).map(host).collect(), request, count - 1, 0)
}

fn select(hosts: Value, request: PlainRequest, vhost: usize, route: usize) -> anyhow::Result<Call> {
    let config = RouteTable::compile(Arc::new(manager(hosts, Vec::new())?.0))
        .map_err(|problem| anyhow::anyhow!("{problem:?}"))?;
    let mut dice = SplitMix(7);
    ensure!(
        config.select(&request, ClientCertificate::default(), &mut dice) == Selection::Route { vhost, route }
    );
    Ok(Box::new(move || {
        black_box(config.select(black_box(&request), ClientCertificate::default(), &mut dice));
    }))
}

fn balance(policy: LbPolicy, count: u16) -> anyhow::Result<Call> {
    let endpoints: Vec<Value> =
        (0..count).map(|n| json!({ "endpoint": { "address": address(10_000 + n) } })).collect();
    let bootstrap = bootstrap(json!({ "clusters": [{
        "name": "backend", "type": "STATIC",
        "load_assignment": { "cluster_name": "backend", "endpoints": [{ "lb_endpoints": endpoints }] },
    }] }))?;
    let cluster = bootstrap.clusters.first().context("no cluster")?;
    let ir::ClusterDiscovery::Static(assignment) = &cluster.discovery else { bail!("not static") };
    let set = EndpointSet::compile(assignment);
    let balancer = Balancer::compile(&set, &Settings::new(policy), &|index| set.configured(index));
    let (mut cursor, mut dice) = (Cursor::default(), SplitMix(7));
    let mut pick = move || {
        let load = |index: usize| index as u32 % 3;
        let ask = Ask {
            cursor: &mut cursor,
            hash: None,
            criteria: None,
            load: &load,
            skip: &|_| false,
            dice: &mut dice,
        };
        balancer.pick(ask)
    };
    ensure!(pick().is_some());
    Ok(Box::new(move || {
        black_box(pick());
    }))
}

/// So many policies, each for one identity and one path; the last one matches.
fn policies(count: usize) -> anyhow::Result<Call> {
    let identity = |index: usize| format!("spiffe://cluster.local/ns/bench/sa/client-{index}");
    let policy = |index: usize| {
        let principal = json!({ "authenticated": { "principal_name": { "exact": identity(index) } } });
        let path = json!({ "url_path": { "path": { "prefix": format!("/service/{index}/") } } });
        // Policies are judged in the order of their names.
        (format!("{index:04}"), json!({ "permissions": [path], "principals": [principal] }))
    };
    let policies: serde_json::Map<String, Value> = (0..count).map(policy).collect();
    let config = json!({ "rules": { "action": "ALLOW", "policies": policies } });
    let filter = typed("envoy.filters.http.rbac", "envoy.extensions.filters.http.rbac.v3.RBAC", config);
    let host = json!({ "name": "all", "domains": ["*"], "routes": [
        { "match": { "prefix": "/" }, "direct_response": { "status": 200 } }] });
    let (_, filters) = manager(json!([host]), vec![filter])?;
    let Some(ir::HttpFilter::Rbac(ir::RbacFilter { rules: Some(rules), .. })) = filters.into_iter().next()
    else {
        bail!("no RBAC filter")
    };
    let rbac = Rbac::compile(&rules).map_err(|problem| anyhow::anyhow!("{problem:?}"))?;
    let certificate = Certificate { uri_sans: vec![identity(count - 1).into()], ..Certificate::default() };
    let request = PlainRequest::get("shop.bench", &format!("/service/{}/items?page=2", count - 1));
    let decide = move || {
        let client = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let peer = Peer {
            remote: client,
            direct_remote: client,
            local: SocketAddr::new(client, 8080),
            server_name: "",
            certificate: Some(&certificate),
            metadata: None,
        };
        rbac.decide(black_box(&peer), Some(black_box(&request)))
    };
    ensure!(decide() == Verdict::Allowed);
    Ok(Box::new(move || {
        black_box(decide());
    }))
}

/// Routes and filters as the proxy gets them.
fn manager(hosts: Value, mut filters: Vec<Value>) -> anyhow::Result<(ir::RouteConfig, Vec<ir::HttpFilter>)> {
    filters.push(typed(
        "envoy.filters.http.router",
        "envoy.extensions.filters.http.router.v3.Router",
        json!({}),
    ));
    let config = json!({
        "stat_prefix": "bench",
        "route_config": { "name": "bench", "virtual_hosts": hosts },
        "http_filters": filters,
    });
    let manager = typed(
        "envoy.filters.network.http_connection_manager",
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        config,
    );
    let bootstrap = bootstrap(json!({ "listeners": [
        { "name": "bench", "address": address(1), "filter_chains": [{ "filters": [manager] }] }] }))?;
    let chain = bootstrap.listeners.into_iter().flat_map(|listener| listener.filter_chains).next();
    let Some(ir::Terminal::Http(manager)) = chain.map(|chain| chain.terminal) else { bail!("no manager") };
    let ir::http::RouteSource::Inline(routes) = manager.routes else { bail!("no routes") };
    Ok((Arc::unwrap_or_clone(routes), manager.http_filters))
}

fn bootstrap(resources: Value) -> anyhow::Result<ir::Bootstrap> {
    let text = json!({ "static_resources": resources }).to_string();
    Ok(xds_codec::json::bootstrap_from_json(&text)?.bootstrap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_answers_as_expected() {
        // The large ones are the small ones again, and slow to build without optimisation.
        for name in names().filter(|name| !name.contains("0,000")) {
            let mut call = prepare(name).unwrap_or_else(|error| panic!("{name}: {error}"));
            call();
        }
    }
}
