//! Make before break, whatever the order of messages.

use std::sync::Arc;
use std::time::{Duration, Instant};

use identity::SecretStore;
use ir::http::RouteSource;
use ir::route::{Forward, RouteMatch};
use ir::*;
use xds_client::{Added, Update};

use super::{Config, FETCH_TIMEOUT};

fn eds_cluster(name: &str) -> Resource {
    Resource::Cluster(Arc::new(Cluster::new(
        name,
        ClusterDiscovery::Eds { service_name: None, source: Default::default() },
    )))
}

fn endpoints(name: &str, ports: &[u16]) -> Resource {
    let endpoint = |port: &u16| Endpoint::new(Address::Socket(([127, 0, 0, 1], *port).into()));
    let locality = LocalityEndpoints {
        locality: Default::default(),
        weight: None,
        priority: 0,
        endpoints: ports.iter().map(endpoint).collect(),
    };
    Resource::Endpoints(Arc::new(LoadAssignment {
        cluster_name: name.into(),
        localities: vec![locality],
        ..Default::default()
    }))
}

fn routes(hosts: &[(&str, &str)]) -> Resource {
    let vhost = |(host, cluster): &(&str, &str)| VirtualHost {
        name: (*host).into(),
        domains: vec![(*host).into()],
        routes: vec![Route::new(RouteMatch::prefix("/"), RouteAction::Forward(Forward::to(*cluster)))],
        ..VirtualHost::default()
    };
    let virtual_hosts = hosts.iter().map(vhost).map(Arc::new).collect();
    Resource::Route(Arc::new(RouteConfig { name: "80".into(), virtual_hosts, ..RouteConfig::default() }))
}

fn listener(stat_prefix: &str) -> Resource {
    let hcm = HttpConnectionManager {
        stat_prefix: stat_prefix.into(),
        routes: RouteSource::Rds("80".into()),
        ..HttpConnectionManager::default()
    };
    Resource::Listener(Arc::new(Listener {
        name: "l".into(),
        address: Address::Socket(([127, 0, 0, 1], 1).into()),
        additional_addresses: Vec::new(),
        bind_to_port: false,
        use_original_dst: false,
        direction: Direction::Outbound,
        listener_filters: Vec::new(),
        listener_filters_timeout: None,
        continue_on_listener_filters_timeout: false,
        filter_chains: vec![FilterChain {
            name: "c".into(),
            matches: FilterChainMatch::default(),
            tls: None,
            transport_socket_connect_timeout: None,
            filters: Vec::new(),
            terminal: Terminal::Http(Box::new(hcm)),
            origin: None,
        }],
        default_filter_chain: None,
        access_log: Vec::new(),
        origin: None,
    }))
}

fn update(added: &[Resource], removed: &[(ResourceType, &str)]) -> Update {
    let ty = added.first().map(Resource::ty).or_else(|| removed.first().map(|(ty, _)| *ty)).unwrap();
    Update {
        ty,
        added: added.iter().map(|r| Added::new(r.clone(), r.version().to_string().into())).collect(),
        removed: removed.iter().map(|(_, name)| Str::from(*name)).collect(),
        problems: Vec::new(),
    }
}

fn dynamic() -> Config {
    let bootstrap =
        Bootstrap { lds: Some(ConfigSource::Ads), cds: Some(ConfigSource::Ads), ..Bootstrap::default() };
    Config::new(bootstrap, Vec::new(), SecretStore::new()).unwrap()
}

fn apply(config: &mut Config, message: &Update, now: Instant) {
    assert_eq!(config.update(&ConfigSource::Ads, message.clone()), []);
    config.settle(now);
}

/// The endpoints' ports that a request to `host` can go to now; `None`: it would fail.
fn reachable(config: &Config, host: &str) -> Option<Vec<u16>> {
    let active = config.active();
    active.listeners.get("l")?;
    let table = active.routes.get("80")?;
    let vhost = table.config().virtual_hosts.iter().find(|vhost| &*vhost.name == host)?;
    let cluster = active.cluster(&super::compile::clusters_of(vhost)[0])?;
    let port = |e: &Endpoint| match e.address {
        Address::Socket(address) => address.port(),
        _ => 0,
    };
    Some(cluster.endpoints.endpoints().iter().map(port).collect())
        .filter(|ports: &Vec<u16>| !ports.is_empty())
}

fn permutations(items: &[Update]) -> Vec<Vec<Update>> {
    if items.len() < 2 {
        return vec![items.to_vec()];
    }
    let with_first = |i: usize| {
        let mut rest = items.to_vec();
        let first = rest.remove(i);
        permutations(&rest).into_iter().map(move |mut tail| {
            tail.insert(0, first.clone());
            tail
        })
    };
    (0..items.len()).flat_map(with_first).collect()
}

#[test]
fn nothing_takes_effect_half() {
    let messages = [
        update(&[eds_cluster("a")], &[]),
        update(&[endpoints("a", &[1])], &[]),
        update(&[listener("x")], &[]),
        update(&[routes(&[("h", "a")])], &[]),
    ];
    let now = Instant::now();
    for order in permutations(&messages) {
        let mut config = dynamic();
        for (i, message) in order.iter().enumerate() {
            assert!(!config.is_ready());
            apply(&mut config, message, now);
            let listening = config.active().listeners.contains_key("l");
            assert_eq!(
                listening,
                listening && reachable(&config, "h").is_some(),
                "after {} of {order:?}",
                i + 1
            );
        }
        assert_eq!(reachable(&config, "h"), Some(vec![1]), "{order:?}");
        assert!(config.is_ready());
    }
}

#[test]
fn a_move_to_another_cluster_breaks_nothing_in_any_order() {
    let before = [
        update(&[eds_cluster("a"), eds_cluster("other")], &[]),
        update(&[endpoints("a", &[1]), endpoints("other", &[9])], &[]),
        update(&[listener("x")], &[]),
        update(&[routes(&[("h", "a"), ("o", "other")])], &[]),
    ];
    let push = [
        update(&[eds_cluster("b")], &[]),
        update(&[endpoints("b", &[2])], &[]),
        update(&[listener("y")], &[]),
        update(&[routes(&[("h", "b"), ("o", "other")])], &[]),
        update(&[], &[(ResourceType::Cluster, "a")]),
    ];
    let now = Instant::now();
    for order in permutations(&push) {
        let mut config = dynamic();
        before.iter().for_each(|message| apply(&mut config, message, now));
        for (i, message) in order.iter().enumerate() {
            // The messages are slow, but not so slow that we give up.
            let at = now + Duration::from_secs(2) * i as u32;
            apply(&mut config, message, at);
            assert!(reachable(&config, "h").is_some(), "after {} of {order:?}", i + 1);
            assert_eq!(reachable(&config, "o"), Some(vec![9]));
        }
        assert_eq!(reachable(&config, "h"), Some(vec![2]));
        assert!(!config.active().clusters.contains_key("a"), "{order:?}");
    }
}

#[test]
fn a_host_whose_cluster_never_comes_holds_up_nobody_else_and_nothing_for_ever() {
    let mut config = dynamic();
    let now = Instant::now();
    apply(&mut config, &update(&[eds_cluster("a")], &[]), now);
    apply(&mut config, &update(&[endpoints("a", &[1])], &[]), now);
    apply(&mut config, &update(&[listener("x")], &[]), now);
    apply(&mut config, &update(&[routes(&[("h", "a")])], &[]), now);
    assert!(config.is_ready());
    apply(&mut config, &update(&[routes(&[("h", "a"), ("ghost", "nowhere")])], &[]), now);
    assert_eq!(reachable(&config, "h"), Some(vec![1]));
    let vhosts = |config: &Config| config.active().routes["80"].config().virtual_hosts.len();
    assert_eq!(vhosts(&config), 1);
    let settled = config.settle(now + Duration::from_secs(1));
    assert_eq!(settled.again, Some(now + FETCH_TIMEOUT));
    config.settle(now + FETCH_TIMEOUT);
    assert_eq!(vhosts(&config), 2);
    // The next version does not wait for it again.
    let later = now + FETCH_TIMEOUT + Duration::from_secs(1);
    apply(&mut config, &update(&[routes(&[("h", "a"), ("ghost", "nowhere"), ("new", "a")])], &[]), later);
    assert_eq!(vhosts(&config), 3);
}

#[test]
fn what_cannot_be_compiled_is_refused_by_name_and_the_rest_applies() {
    let mut config = dynamic();
    let bad = Resource::Cluster(Arc::new(Cluster {
        tls: Some(UpstreamTls { sni: Some("not a name!".into()), common: Default::default() }),
        ..Cluster::new("bad", ClusterDiscovery::OriginalDst)
    }));
    let good = Resource::Cluster(Arc::new(Cluster::new("good", ClusterDiscovery::OriginalDst)));
    let rejects = config.update(&ConfigSource::Ads, update(&[bad, good], &[]));
    assert_eq!(rejects.len(), 1);
    assert_eq!(&*rejects[0].name, "bad");
    assert!(rejects[0].message.contains("transport_socket"), "{}", rejects[0].message);
    config.settle(Instant::now());
    assert!(config.active().clusters.contains_key("good"));
    assert!(!config.active().clusters.contains_key("bad"));
}

#[test]
fn an_unchanged_resource_changes_nothing() {
    let mut config = dynamic();
    let message =
        update(&[Resource::Cluster(Arc::new(Cluster::new("c", ClusterDiscovery::OriginalDst)))], &[]);
    config.update(&ConfigSource::Ads, message.clone());
    assert!(config.settle(Instant::now()).changed);
    config.update(&ConfigSource::Ads, message);
    assert!(!config.settle(Instant::now()).changed);
}

#[test]
fn statics_are_not_overwritten() {
    let cluster = Cluster::new("c", ClusterDiscovery::OriginalDst);
    let bootstrap = Bootstrap { clusters: vec![cluster.clone()], ..Bootstrap::default() };
    let mut config = Config::new(bootstrap, Vec::new(), SecretStore::new()).unwrap();
    config.settle(Instant::now());
    assert!(config.is_ready());
    let rejects = config.update(
        &ConfigSource::Ads,
        update(&[Resource::Cluster(Arc::new(cluster))], &[(ResourceType::Cluster, "c")]),
    );
    assert_eq!(rejects.len(), 1);
    config.settle(Instant::now());
    assert!(config.active().clusters.contains_key("c"));
}
