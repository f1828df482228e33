//! Names that requests bring along: DYNAMIC_DNS and ALLOW_ANY_DYNAMIC_DNS.

use ir::dns::DnsFamily;
use ir::{
    Cluster, ClusterDiscovery, DnsCache, HttpFilter, HttpProtocol, LbPolicy, NetworkFilter, Resource,
    ResourceType, Terminal,
};
use model::Node;

use crate::common::{Proxy, service, sidecar, snapshot, with_mesh};

const PORTS: &str = "{number: 80, name: http, protocol: HTTP}, {number: 443, name: tls, protocol: TLS}, \
                     {number: 9090, name: grpc, protocol: GRPC}";

fn dynamic(name: &str, host: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: shop}}\n\
         spec: {{hosts: ['{host}'], resolution: DYNAMIC_DNS, ports: [{PORTS}]}}\n"
    )
}

fn cache(discovery: &ClusterDiscovery) -> &DnsCache {
    let ClusterDiscovery::DynamicForwardProxy(it) = discovery else { panic!("{discovery:?}") };
    &it.cache
}

/// Names of the caches of a listener's requests.
fn caches(proxy: &Proxy, listener: &str) -> Vec<String> {
    let chains = proxy.listener(listener).filter_chains.iter();
    let http = chains.filter_map(|chain| match &chain.terminal {
        Terminal::Http(http) => Some(&http.http_filters),
        _ => None,
    });
    let of = |filter: &HttpFilter| match filter {
        HttpFilter::DynamicForwardProxy(cache) => Some(cache.name.to_string()),
        _ => None,
    };
    http.flatten().filter_map(of).collect()
}

#[test]
fn names_of_a_wildcard_are_resolved_as_they_are_asked_for() {
    let yaml = dynamic("wild", "*.wild.com") + &service("web", "10.0.0.1", "{port: 80, name: http}");
    let proxy = Proxy::in_shop(&(yaml + &dynamic("other", "*.other.org")));
    for port in [80, 443, 9090] {
        let cluster = proxy.cluster(&format!("outbound|{port}||*.wild.com"));
        assert_eq!(cluster.lb_policy, LbPolicy::ClusterProvided);
        let cache = cache(&cluster.discovery);
        assert_eq!((cache.name.as_str(), cache.dns.family), ("*.wild.com_dfp_dns_cache", DnsFamily::V4Only));
    }
    // Requests of all services of a port share a listener, which has one filter: the first service's.
    for listener in ["0.0.0.0_80", "0.0.0.0_9090"] {
        assert_eq!(caches(&proxy, listener), ["*.other.org_dfp_dns_cache"], "{listener}");
    }
    let hosts = &proxy.routes("80").virtual_hosts;
    assert!(hosts.iter().any(|host| host.domains == ["*.wild.com"]), "{hosts:?}");
    let chains = &proxy.listener("0.0.0.0_443").filter_chains;
    let chain = chains.iter().find(|chain| chain.matches.server_names == ["*.wild.com"]).expect("a chain");
    let Some(NetworkFilter::SniDynamicForwardProxy(sni)) = chain.filters.last() else { panic!("{chain:?}") };
    assert_eq!((sni.cache.name.as_str(), sni.port), ("*.wild.com_dfp_dns_cache", 443));
    assert_eq!(sni.cache, *cache(&proxy.cluster("outbound|443||*.wild.com").discovery));
}

#[test]
fn who_asks_the_agent_gets_an_address_for_all_names_of_a_wildcard() {
    let node = Node { dns_capture: Some(true), ..sidecar("shop", "10.1.0.9", "") };
    let proxy = Proxy::of(&snapshot(&dynamic("wild", "*.wild.com")), &node);
    let table = proxy.0.iter().find_map(|resource| match resource {
        Resource::NameTable(table) => Some(table),
        _ => None,
    });
    let address = table.expect("a table").table["*.wild.com"].ips[0];
    let chains = &proxy.listener(&format!("{address}_443")).filter_chains;
    assert_eq!(chains[0].matches.server_names, ["*.wild.com"], "the address does not tell which name");
    assert!(matches!(chains[0].filters.last(), Some(NetworkFilter::SniDynamicForwardProxy(_))));
}

/// Which names TLS takes from requests, and whether Envoy is told that this is all that is checked.
fn names(cluster: &Cluster) -> (Option<(bool, bool)>, bool) {
    let ClusterDiscovery::DynamicForwardProxy(it) = &cluster.discovery else { panic!("{cluster:?}") };
    let names = cluster.tls_from_request.as_ref().map(|names| (names.sni, names.san_validation));
    (names, it.allow_insecure_cluster_options)
}

/// The names of certificates that a cluster expects; `None`: any.
fn sans(cluster: &Cluster) -> Option<Vec<String>> {
    let validation = cluster.tls.as_ref()?.common.validation.as_ref()?;
    Some(validation.match_sans.iter().map(|san| format!("{:?}", san.matcher)).collect())
}

#[test]
fn tls_expects_the_name_that_is_asked_for() {
    let wild = |tls: &str| {
        let rule = format!(
            "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: r, namespace: shop}}\n\
             spec: {{host: '*.wild.com', trafficPolicy: {{tls: {tls}}}, subsets: [{{name: v1, labels: {{a: b}}}}]}}\n"
        );
        Proxy::in_shop(&(dynamic("wild", "*.wild.com") + &rule))
    };
    let check =
        |tls: &str, expected: (Option<(bool, bool)>, bool), sni: Option<&str>, known: Option<usize>| {
            let proxy = wild(tls);
            for port in [80, 9090] {
                let cluster = proxy.cluster(&format!("outbound|{port}||*.wild.com"));
                assert_eq!(names(cluster), expected, "{tls}");
                assert_eq!(cluster.tls.as_ref().and_then(|it| it.sni.as_deref()), sni, "{tls}");
                assert_eq!(sans(cluster).map(|it| it.len()), known, "{tls}");
            }
            let clusters = proxy.names(ResourceType::Cluster);
            assert!(!clusters.iter().any(|name| name.contains("|v1|")), "{clusters:?}");
        };
    check("{mode: SIMPLE}", (Some((true, true)), false), None, Some(0));
    check("{mode: SIMPLE, subjectAltNames: [a.com]}", (Some((true, true)), false), None, Some(1));
    check("{mode: SIMPLE, sni: a.com}", (Some((false, true)), true), Some("a.com"), Some(0));
    check("{mode: SIMPLE, insecureSkipVerify: true}", (Some((true, false)), true), None, None);
    check("{mode: ISTIO_MUTUAL}", (Some((true, true)), false), None, Some(0));
    let files = "{mode: MUTUAL, clientCertificate: /c, privateKey: /k}";
    check(files, (Some((true, true)), false), None, Some(0));
    check("{mode: DISABLE}", (None, true), None, None);
    // TLS that comes from the client is not wrapped into more of it.
    let cluster = wild("{mode: SIMPLE}").cluster("outbound|443||*.wild.com").clone();
    let ClusterDiscovery::Static(nobody) = &cluster.discovery else { panic!("{:?}", cluster.discovery) };
    assert!(nobody.localities.is_empty() && cluster.tls.is_none());
}

#[test]
fn tls_to_hosts_that_nobody_declared_is_as_the_mesh_says() {
    let of = |tls: &str| {
        let mesh = format!("outboundTrafficPolicy: {{mode: ALLOW_ANY_DYNAMIC_DNS, tls: {tls}}}");
        let mesh = with_mesh(&snapshot(&service("web", "10.0.0.1", "{port: 80, name: http}")), &mesh);
        Proxy::of(&mesh, &sidecar("shop", "10.1.0.9", "")).cluster("AllowAnyDynamicDNSCluster").clone()
    };
    let simple = of("{mode: SIMPLE, caCertificates: /ca}");
    assert_eq!(names(&simple), (Some((true, true)), false));
    assert_eq!(sans(&simple), Some(Vec::new()));
    assert_eq!((simple.protocol, simple.lb_policy), (HttpProtocol::UseDownstream, LbPolicy::ClusterProvided));
    assert_eq!(names(&of("{mode: SIMPLE, sni: a.com}")), (Some((false, true)), true));
    assert_eq!(names(&of("{mode: DISABLE}")), (None, true));
    assert!(of("{mode: DISABLE}").tls.is_none());
    // Nobody could be convinced of who we are.
    let closed = of("{mode: MUTUAL, credentialName: c}");
    let ClusterDiscovery::Static(nobody) = &closed.discovery else { panic!("{:?}", closed.discovery) };
    assert!(nobody.localities.is_empty(), "{nobody:?}");
}

#[test]
fn hosts_that_nobody_declared_are_resolved_by_the_proxy() {
    let mesh = with_mesh(
        &snapshot(&service("web", "10.0.0.1", "{port: 80, name: http}")),
        "outboundTrafficPolicy: {mode: ALLOW_ANY_DYNAMIC_DNS}",
    );
    let plain = Proxy::of(&mesh, &sidecar("shop", "10.1.0.9", ""));
    let cluster = plain.cluster("AllowAnyDynamicDNSCluster");
    let known = cache(&cluster.discovery);
    assert_eq!((known.name.as_str(), known.max_hosts), ("allow_any_dfp_dns_cache", Some(1024)));
    assert!(known.dns.resolvers.is_empty());
    for listener in ["0.0.0.0_80", "virtualOutbound"] {
        assert_eq!(caches(&plain, listener), ["allow_any_dfp_dns_cache"], "{listener}");
    }
    let last = plain.routes("80").virtual_hosts.last().expect("a host").clone();
    assert_eq!((last.name.as_str(), last.domains[0].as_str()), ("allow_any_dynamic_dns", "*"));
    let chains: Vec<_> =
        plain.listener("virtualOutbound").filter_chains.iter().map(|chain| chain.name.as_str()).collect();
    assert_eq!(chains[1..], ["virtualOutbound-catchall-tcp-http", "virtualOutbound-catchall-tcp"]);
    // Names of the mesh are the agent's.
    let node = Node { dns_capture: Some(true), ..sidecar("shop", "10.1.0.9", "") };
    let asking = Proxy::of(&mesh, &node);
    let known = cache(&asking.cluster("AllowAnyDynamicDNSCluster").discovery);
    assert_eq!(known.dns.resolvers, ["127.0.0.1:15053".parse().unwrap()]);
    for listener in ["0.0.0.0_80", "virtualOutbound"] {
        let filters =
            asking.listener(listener).filter_chains.iter().filter_map(|chain| match &chain.terminal {
                Terminal::Http(http) => http.http_filters.last(),
                _ => None,
            });
        let expected = HttpFilter::DynamicForwardProxy(Box::new(known.clone()));
        assert_eq!(filters.collect::<Vec<_>>(), [&expected], "what belongs together is configured alike");
    }
}
