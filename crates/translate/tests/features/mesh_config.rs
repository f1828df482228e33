//! Settings of the whole mesh that no other test is about.

use std::time::Duration;

use ir::access_log::LogContent;
use ir::{AccessLogSink, HttpFilter, ResourceType, Terminal};

use registry::Snapshot;

use crate::calls::check;
use crate::common::{Proxy, changed, service, sidecar, snapshot, with_mesh};

const ENTRY: &str = "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: shop}
spec: {hosts: [api.example.com], resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]}
";

fn web() -> String {
    service("web", "10.0.0.1", "{port: 80, targetPort: 8080, name: http}")
}

fn in_mesh(yaml: &str, mesh: &str) -> Proxy {
    Proxy::of(&with_mesh(&snapshot(&(web() + ENTRY + yaml)), mesh), &sidecar("shop", "10.1.0.1", "app=web"))
}

#[test]
fn logs_are_written_as_the_mesh_says() {
    let text = in_mesh("", "{accessLogFile: /var/log/a, accessLogFormat: '%DURATION%'}");
    let log = |proxy: &Proxy| {
        let Terminal::Http(manager) = &proxy.listener("0.0.0.0_80").filter_chains[0].terminal else {
            panic!()
        };
        manager.access_log[0].clone()
    };
    let found = log(&text);
    assert_eq!(found.sink, AccessLogSink::File("/var/log/a".into()));
    let LogContent::Text(format) = &found.format.unwrap().content else { panic!() };
    assert_eq!(format.trim_end(), "%DURATION%");
    assert_eq!(text.listener("virtualOutbound").access_log.len(), 1);
    let json = in_mesh(
        "",
        "{accessLogFile: /dev/stderr, accessLogEncoding: JSON, accessLogFormat: '{\"took\": \"%DURATION%\"}', \
         disableEnvoyListenerLog: true}",
    );
    let found = log(&json);
    assert_eq!(found.sink, AccessLogSink::Stderr);
    let LogContent::Json(fields) = &found.format.unwrap().content else { panic!() };
    assert!(fields.contains_key("took") && fields.len() == 1);
    assert!(json.listener("virtualOutbound").access_log.is_empty());
}

#[test]
fn first_bytes_are_waited_for_as_long_as_the_mesh_says() {
    let waits = |mesh: &str| in_mesh("", mesh).listener("virtualInbound").listener_filters_timeout;
    assert_eq!(waits("protocolDetectionTimeout: 3s"), Some(Duration::from_secs(3)));
    assert_eq!(waits("{}"), Some(Duration::ZERO));
}

#[test]
fn proxies_listen_where_the_mesh_says() {
    let ports = |mesh: &str| {
        let proxy = in_mesh("", mesh);
        ["virtualOutbound", "virtualInbound"].map(|name| {
            let listener = proxy.listener(name);
            // Whoever asks for the port itself would be asked again and again.
            let own = listener.filter_chains.iter().filter_map(|chain| chain.matches.destination_port);
            (listener.address.to_string(), own.max())
        })
    };
    let found = ports("{proxyListenPort: 25001, proxyInboundListenPort: 25006}");
    assert_eq!(found, [("0.0.0.0:25001".to_owned(), Some(25001)), ("0.0.0.0:25006".to_owned(), Some(25006))]);
    let found = ports("{}");
    assert_eq!(found, [("0.0.0.0:15001".to_owned(), Some(15001)), ("0.0.0.0:15006".to_owned(), Some(15006))]);
    for bad in ["proxyListenPort: 0", "proxyListenPort: 70000", "proxyInboundListenPort: 15001"] {
        assert!(istio_api::parse_mesh_config("mesh.yaml", bad).broken, "{bad}");
    }
}

#[test]
fn names_are_looked_up_again_as_the_mesh_says() {
    let proxy = in_mesh("", "dnsRefreshRate: 7s");
    let dns = &proxy.cluster("outbound|80||api.example.com").dns;
    assert_eq!((dns.refresh_rate, dns.respect_ttl), (Some(Duration::from_secs(7)), true));
}

#[test]
fn clusters_have_the_meshs_names_in_statistics() {
    let proxy = in_mesh(
        "",
        "{inboundClusterStatName: 'in_%SERVICE%', outboundClusterStatName: 'out_%SERVICE_FQDN%'}",
    );
    assert_eq!(proxy.cluster("inbound|8080||").alt_stat_name.as_deref(), Some("in_web.shop"));
    let found = proxy.cluster("outbound|80||web.shop.svc.cluster.local");
    assert_eq!(found.alt_stat_name.as_deref(), Some("out_web.shop.svc.cluster.local"));
}

#[test]
fn identities_of_every_name_of_the_mesh_are_believed() {
    let proxy = in_mesh("", "{trustDomain: one, trustDomainAliases: [two]}");
    let chains = &proxy.listener("virtualInbound").filter_chains;
    let tls = chains.iter().find_map(|chain| chain.tls.as_ref()).expect("mutual TLS");
    let sans = format!("{:?}", tls.common.validation.as_ref().expect("clients are judged").match_sans);
    assert!(sans.contains("spiffe://one/") && sans.contains("spiffe://two/"), "{sans}");
}

const ROOT: &str = "---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: nobody, namespace: roots}
spec: {}
";

#[test]
fn the_root_namespace_is_where_the_mesh_says() {
    let denies = |mesh: &str| {
        let proxy = in_mesh(ROOT, mesh);
        let chains = &proxy.listener("virtualInbound").filter_chains;
        chains.iter().any(|chain| match &chain.terminal {
            Terminal::Http(manager) => {
                manager.http_filters.iter().any(|filter| matches!(filter, HttpFilter::Rbac(_)))
            }
            _ => false,
        })
    };
    assert!(denies("rootNamespace: roots"));
    assert!(!denies("{}"));
}

const NAMESPACE: &str = "---
apiVersion: v1
kind: Namespace
metadata: {name: other, labels: {team: a}}
";

#[test]
fn namespaces_are_looked_at_as_the_mesh_says() {
    let far = |before: &Snapshot| {
        let proxy = Proxy::of(before, &sidecar("shop", "10.1.0.1", "app=web"));
        proxy.names(ResourceType::Cluster).contains(&FAR.to_owned())
    };
    let all = snapshot(&(web() + OTHERS));
    assert!(far(&with_mesh(&all, "{}")));
    let named = |names: &str| {
        format!(
            "discoverySelectors: [{{matchExpressions: [{{key: kubernetes.io/metadata.name, operator: In, values: [{names}]}}]}}]"
        )
    };
    assert!(!far(&with_mesh(&all, &named("shop"))));
    assert!(far(&with_mesh(&all, &named("shop, other"))));
    // What a namespace is labelled with later is heeded as well, in both directions.
    let team = with_mesh(&all, "discoverySelectors: [{matchLabels: {team: a}}]");
    assert!(!far(&team) && team.view().service("shop", &"web.shop.svc.cluster.local".into()).is_none());
    let selected = changed(&team, NAMESPACE);
    assert!(far(&selected));
    assert!(!far(&changed(&selected, &NAMESPACE.replace("team: a", "team: b"))));
    // Objects that come where nobody looks come into view with their namespace.
    let later = with_mesh(&snapshot(&web()), "discoverySelectors: [{matchLabels: {team: a}}]");
    let later = changed(&later, OTHERS);
    assert!(!far(&later) && far(&changed(&later, NAMESPACE)) && far(&with_mesh(&later, "{}")));
}

#[test]
fn service_entries_are_seen_as_far_as_the_mesh_says() {
    let far = |yaml: &str, mesh: &str, namespace: &str| {
        let before = with_mesh(&snapshot(OTHERS), &format!("serviceEntryVisibility: {{{mesh}}}"));
        let proxy = Proxy::of(&changed(&before, yaml), &sidecar(namespace, "10.1.0.1", "app=web"));
        proxy.names(ResourceType::Cluster).contains(&FAR.to_owned())
    };
    let at_home = "applyToSidecars: true, defaultVisibility: NAMESPACE";
    assert!(!far("", at_home, "shop") && far("", at_home, "other"));
    assert!(!far("", "applyToSidecars: true, defaultVisibility: NONE", "other"));
    assert!(far("", "applyToSidecars: true", "shop") && far("", "defaultVisibility: NONE", "shop"));
    let policy =
        "policies: [{visibility: PUBLIC, matchingRules: [{namespaceSelector: {matchLabels: {team: a}}}]}]";
    let of_team = format!("{at_home}, {policy}");
    assert!(!far("", &of_team, "shop") && far(NAMESPACE, &of_team, "shop"));
    assert!(!far(&NAMESPACE.replace("team: a", "team: b"), &of_team, "shop"));
}

const FAR: &str = "outbound|81||far.example.com";

const OTHERS: &str = "---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: far, namespace: other}
spec: {hosts: [far.example.com], resolution: DNS, ports: [{number: 81, name: http, protocol: HTTP}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: far, namespace: other}
spec: {host: far.example.com, trafficPolicy: {connectionPool: {tcp: {maxConnections: 3}}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: far, namespace: other}
spec: {hosts: [far.example.com], http: [{name: rule, route: [{destination: {host: far.example.com}}]}]}
";

#[test]
fn the_mesh_says_to_whom_objects_are_shown() {
    let proxy = in_mesh(OTHERS, "{}");
    assert_eq!(proxy.cluster(FAR).thresholds.max_connections, Some(3));
    let route = |proxy: &Proxy| {
        let hosts = &proxy.routes("81").virtual_hosts;
        let far = hosts.iter().find(|host| host.name == "far.example.com:81").expect("the host");
        far.routes[0].name.to_string()
    };
    assert_eq!(route(&proxy), "rule");
    let proxy =
        in_mesh(OTHERS, "{defaultDestinationRuleExportTo: ['.'], defaultVirtualServiceExportTo: ['.']}");
    assert_ne!(proxy.cluster(FAR).thresholds.max_connections, Some(3));
    assert_eq!(route(&proxy), "default");
    let proxy = in_mesh(OTHERS, "defaultServiceExportTo: ['.']");
    assert!(!proxy.names(ResourceType::Cluster).contains(&FAR.to_owned()));
}

#[test]
fn applications_may_use_their_proxy_as_one() {
    let rule = "---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: other, namespace: shop}
spec: {hosts: [other.example.com], http: [{route: [{destination: {host: api.example.com}}]}]}
";
    let of = |mesh: &str| in_mesh(rule, &format!("{{proxyHttpPort: 15002{mesh}}}"));
    let proxy = of("");
    let listener = proxy.listener("127.0.0.1_15002");
    assert!(listener.bind_to_port && listener.filter_chains.len() == 1);
    let calls = [
        ("out 127.0.0.1:15002 http web", "outbound|80||web.shop.svc.cluster.local"),
        ("out 127.0.0.1:15002 http web.shop:80/a", "outbound|80||web.shop.svc.cluster.local"),
        ("out 127.0.0.1:15002 http api.example.com", "outbound|80||api.example.com"),
        ("out 127.0.0.1:15002 http other.example.com:80", "outbound|80||api.example.com"),
        ("out 127.0.0.1:15002 http nobody.example.com", "BlackHoleCluster"),
    ];
    check(&proxy, &calls);
    let last = |proxy: &Proxy| proxy.routes("http_proxy").virtual_hosts.last().unwrap().name.clone();
    assert_eq!(last(&proxy), "allow_any");
    assert_eq!(last(&of(", outboundTrafficPolicy: {mode: REGISTRY_ONLY}")), "block_all");
    let resolving = of(", outboundTrafficPolicy: {mode: ALLOW_ANY_DYNAMIC_DNS}");
    check(&resolving, &[("out 127.0.0.1:15002 http nobody.example.com", "AllowAnyDynamicDNSCluster")]);
    let none = in_mesh("", "proxyHttpPort: 0");
    assert!(!none.names(ResourceType::Route).iter().any(|name| name == "http_proxy"));
}
