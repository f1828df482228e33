//! Which other resources a resource names. The order of sending follows from it (make before
//! break): what is named is there before, and goes after, what names it.

use std::sync::Arc;

use ir::http::RouteSource;
use ir::listener::Terminal;
use ir::tcp::TcpClusters;
use ir::{ClusterDiscovery, ConfigSource, Listener, Resource, ResourceType, RouteConfig};
use model::Origin;
use stdx::Str;

use crate::{EncodedHost, Reference};

/// The resources that `resource` names, sorted and once each.
pub(crate) fn of(resource: &Resource) -> Vec<Reference> {
    let mut found = Vec::new();
    match resource {
        Resource::Cluster(cluster) => {
            if let ClusterDiscovery::Eds { service_name, source: ConfigSource::Ads } = &cluster.discovery {
                let name = service_name.as_ref().unwrap_or(&cluster.name);
                found.push(Reference { ty: ResourceType::Endpoints, name: name.clone() });
            }
        }
        Resource::Listener(listener) => of_listener(listener, &mut found),
        Resource::Route(route) => of_route(route, &mut found),
        Resource::Endpoints(_) | Resource::Secret(_) | Resource::NameTable(_) => {}
    }
    found.sort();
    found.dedup();
    found
}

/// The object that a resource comes from, if all of it comes from one.
pub(crate) fn origin(resource: &Resource) -> Option<Origin> {
    match resource {
        Resource::Cluster(cluster) => cluster.origin.clone(),
        Resource::Listener(listener) => listener.origin.clone(),
        Resource::Route(route) => {
            let hosts = route.virtual_hosts.iter();
            let mut origins = hosts.flat_map(|host| {
                host.origin.iter().chain(host.routes.iter().filter_map(|r| r.origin.as_ref()))
            });
            let first = origins.next()?.clone();
            let same = origins.all(|other| other.object == first.object);
            same.then(|| Origin { field: Str::default(), ..first })
        }
        Resource::Endpoints(_) | Resource::Secret(_) | Resource::NameTable(_) => None,
    }
}

fn of_listener(listener: &Listener, found: &mut Vec<Reference>) {
    for chain in listener.filter_chains.iter().chain(&listener.default_filter_chain) {
        match &chain.terminal {
            Terminal::Http(manager) => match &manager.routes {
                RouteSource::Rds(name) => {
                    found.push(Reference { ty: ResourceType::Route, name: name.clone() });
                }
                RouteSource::RdsFrom(..) => {}
                RouteSource::Inline(route) => of_route(route, found),
            },
            Terminal::Direct(_) => {}
            Terminal::Tcp(proxy) => match &proxy.clusters {
                TcpClusters::Single(name) => cluster(name, found),
                TcpClusters::Weighted(list) => list.iter().for_each(|(name, _)| cluster(name, found)),
            },
        }
    }
}

/// The resources that a route configuration names: what is left of it `rest` has.
pub(crate) fn of_parts<'a>(
    rest: &RouteConfig,
    hosts: impl Iterator<Item = &'a Arc<EncodedHost>>,
) -> Vec<Reference> {
    let mut found = Vec::new();
    of_route(rest, &mut found);
    hosts.flat_map(|host| host.clusters.iter()).for_each(|name| cluster(name, &mut found));
    found.sort();
    found.dedup();
    found
}

fn of_route(route: &RouteConfig, found: &mut Vec<Reference>) {
    route.virtual_hosts.iter().flat_map(|host| host.clusters()).for_each(|name| cluster(name, found));
    route.mirrors.iter().filter_map(|mirror| mirror.cluster.name()).for_each(|name| cluster(name, found));
}

fn cluster(name: &Str, found: &mut Vec<Reference>) {
    found.push(Reference { ty: ResourceType::Cluster, name: name.clone() });
}
