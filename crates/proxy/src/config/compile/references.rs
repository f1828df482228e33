//! What a listener and its routes ask for by name.

use ir::ext_authz::AuthzService;
use ir::http::RouteSource;
use ir::jwt::Jwks;
use stdx::Str;

/// Names of clusters that a listener's TCP proxies and inline routes send to, and what the route
/// configurations that it asks for are kept under.
pub fn names_of(config: &ir::Listener) -> (Vec<Str>, Vec<Str>) {
    let (mut clusters, mut routes) = (Vec::new(), Vec::new());
    for chain in config.filter_chains.iter().chain(&config.default_filter_chain) {
        match &chain.terminal {
            ir::Terminal::Tcp(tcp) => match &tcp.clusters {
                ir::tcp::TcpClusters::Single(name) => clusters.push(name.clone()),
                ir::tcp::TcpClusters::Weighted(all) => {
                    clusters.extend(all.iter().map(|(name, _)| name.clone()))
                }
            },
            ir::Terminal::Http(http) => {
                clusters.extend(http.http_filters.iter().flat_map(asked));
                match &http.routes {
                    RouteSource::Rds(_) | RouteSource::RdsFrom(..) => routes.extend(http.routes.key()),
                    RouteSource::Inline(config) => {
                        clusters.extend(config.virtual_hosts.iter().flat_map(|host| clusters_of(host)))
                    }
                }
            }
            ir::Terminal::Direct(_) => {}
        }
    }
    (clusters, routes)
}

/// Where the routes of a listener's connection managers come from.
pub fn route_sources(config: &ir::Listener) -> impl Iterator<Item = &RouteSource> {
    let chains = config.filter_chains.iter().chain(&config.default_filter_chain);
    chains.filter_map(|chain| match &chain.terminal {
        ir::Terminal::Http(http) => Some(&http.routes),
        ir::Terminal::Tcp(_) | ir::Terminal::Direct(_) => None,
    })
}

/// Whether some come from elsewhere than the aggregated stream.
pub fn has_routes_elsewhere(config: &ir::Listener) -> bool {
    route_sources(config).any(|source| matches!(source, RouteSource::RdsFrom(..)))
}

/// Names of clusters that a filter asks.
fn asked(filter: &ir::HttpFilter) -> Vec<Str> {
    match filter {
        ir::HttpFilter::ExtAuthz(it) => match &it.service {
            AuthzService::Grpc(it) => vec![it.cluster.clone()],
            AuthzService::Http(it) => vec![it.cluster.clone()],
        },
        ir::HttpFilter::JwtAuthn(it) => {
            let remote = it.providers.values().filter_map(|provider| match &provider.jwks {
                Jwks::Remote(remote) => Some(remote.cluster.clone()),
                Jwks::Inline(_) => None,
            });
            remote.collect()
        }
        _ => Vec::new(),
    }
}

/// Names of clusters that a virtual host's routes send to.
pub fn clusters_of(vhost: &ir::VirtualHost) -> Vec<Str> {
    vhost.clusters().cloned().collect()
}
