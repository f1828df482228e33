//! ServiceEntry and WorkloadEntry, path by path, and the names that the agent resolves.

use ir::cluster::ServiceRef;
use ir::{Address, ClusterDiscovery, Resource, ResourceType};
use model::Node;
use std::sync::Arc;

use crate::common::{Proxy, pod, service, sidecar, snapshot, with_mesh};

fn entry(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {name}, namespace: shop}}\nspec: {spec}\n"
    )
}

fn workload(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: WorkloadEntry\nmetadata: {{name: {name}, namespace: shop}}\nspec: {spec}\n"
    )
}

fn with_dns(namespace: &str) -> Node {
    Node { dns_capture: Some(true), ..sidecar(namespace, "10.1.0.9", "") }
}

#[track_caller]
fn names(proxy: &Proxy) -> Vec<(String, String)> {
    let table = proxy.0.of(ResourceType::NameTable).next();
    let Some(Resource::NameTable(table)) = table else { panic!("no name table") };
    let ips = |info: &ir::name_table::NameInfo| {
        info.ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    };
    table.table.iter().map(|(name, info)| (name.to_string(), ips(info))).collect()
}

#[test]
fn entries_list_endpoints_with_ports_weights_and_places() {
    let proxy = Proxy::in_shop(&entry(
        "ext",
        "{hosts: [ext.com], addresses: [10.9.0.1, 10.9.0.2/32], location: MESH_EXTERNAL, resolution: STATIC, \
         ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}, {number: 90, name: tcp, protocol: TCP}], \
         endpoints: [{address: 1.1.1.1, weight: 3, locality: r/z/s, labels: {v: a}}, \
                     {address: 1.1.1.2, ports: {http: 8888}, network: n2, serviceAccount: sa}]}",
    ));
    let cluster = proxy.cluster("outbound|80||ext.com");
    assert_eq!(cluster.discovery, ClusterDiscovery::Eds { service_name: None, source: Default::default() });
    assert!(cluster.tls.is_none() && cluster.transport_matches.is_empty(), "outside of the mesh");
    let service =
        Arc::new(ServiceRef { host: "ext.com".into(), name: "ext".into(), namespace: "shop".into() });
    assert_eq!(cluster.services, [service]);
    let localities = &proxy.endpoints("outbound|80||ext.com").localities;
    let flat: Vec<_> = localities
        .iter()
        .flat_map(|l| {
            l.endpoints.iter().map(|e| (l.locality.region.to_string(), e.address.to_string(), e.weight))
        })
        .collect();
    let expected = [
        (String::new(), "1.1.1.2:8888".to_owned(), Some(1)),
        ("r".to_owned(), "1.1.1.1:8080".to_owned(), Some(3)),
    ];
    assert_eq!(flat, expected);
    assert_eq!(proxy.addresses("outbound|90||ext.com").len(), 2);
    proxy.listener("10.9.0.1_90");
    proxy.listener("10.9.0.2_90");
    let host = &proxy.routes("80").virtual_hosts[0];
    assert_eq!(host.domains, ["ext.com", "ext.com.", "10.9.0.1", "10.9.0.2"]);
}

#[test]
fn an_endpoint_may_be_a_socket_in_the_file_system() {
    let proxy = Proxy::in_shop(&entry(
        "local",
        "{hosts: [local.com], location: MESH_EXTERNAL, resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}], \
         endpoints: [{address: 'unix:///var/run/x.sock'}]}",
    ));
    let endpoint = &proxy.endpoints("outbound|80||local.com").localities[0].endpoints[0];
    assert_eq!(endpoint.address, Address::Pipe("/var/run/x.sock".into()));
}

#[test]
fn entries_without_resolution_go_where_the_client_wants_to_go() {
    let proxy = Proxy::in_shop(&entry(
        "wild",
        "{hosts: ['*.wild.com'], resolution: NONE, location: MESH_EXTERNAL, ports: [{number: 443, name: tls, protocol: TLS}, {number: 80, name: http, protocol: HTTP}]}",
    ));
    for port in [80, 443] {
        let cluster = proxy.cluster(&format!("outbound|{port}||*.wild.com"));
        assert_eq!(cluster.discovery, ClusterDiscovery::OriginalDst);
    }
    assert_eq!(proxy.routes("80").virtual_hosts[0].domains, ["*.wild.com"]);
    let chains = &proxy.listener("0.0.0.0_443").filter_chains;
    assert_eq!(chains[0].matches.server_names, ["*.wild.com"]);
}

#[test]
fn selectors_take_pods_and_workload_entries() {
    let yaml = entry(
        "both",
        "{hosts: [both.shop.svc.cluster.local], location: MESH_INTERNAL, resolution: STATIC, \
         ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}], workloadSelector: {labels: {app: both}}}",
    ) + &pod("one", "10.1.0.1", "app: both")
        + &workload(
            "two",
            "{address: 10.2.0.1, labels: {app: both, security.istio.io/tlsMode: istio}, serviceAccount: vm, ports: {http: 9090}, weight: 5, locality: r/z}",
        )
        + &workload("three", "{address: 10.2.0.2, labels: {app: other}}")
        + &service("both-k8s", "10.0.0.7", "{port: 81, name: http, targetPort: 7070}")
            .replace("app: both-k8s", "app: both");
    let proxy = Proxy::in_shop(&yaml);
    let cluster = "outbound|80||both.shop.svc.cluster.local";
    assert_eq!(proxy.addresses(cluster), ["10.1.0.1:8080", "10.2.0.1:9090"]);
    let vm = &proxy.endpoints(cluster).localities[1];
    assert_eq!((vm.locality.zone.as_str(), vm.weight), ("z", Some(5)));
    let vm = &vm.endpoints[0];
    assert_eq!(vm.transport_metadata.get("tlsMode").map(|mode| mode.as_str()), Some("istio"));
    assert_eq!(vm.workload.as_ref().unwrap().name, "two");
    let tls = proxy.cluster(cluster).transport_matches[0].tls.as_ref().unwrap();
    let sans = &tls.common.validation.as_ref().unwrap().match_sans;
    assert!(sans.iter().any(|san| format!("{san:?}").contains("ns/shop/sa/vm")), "{sans:?}");
    let of_service = proxy.addresses("outbound|81||both-k8s.shop.svc.cluster.local");
    assert_eq!(of_service, ["10.1.0.1:7070", "10.2.0.1:9090"], "a Service selects WorkloadEntries too");
}

#[test]
fn what_is_exported_to_one_namespace_is_not_seen_from_another() {
    let yaml = entry(
        "own",
        "{hosts: [own.com], exportTo: [.], resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}], endpoints: [{address: 1.1.1.1}]}",
    );
    let snapshot = snapshot(&yaml);
    Proxy::of(&snapshot, &sidecar("shop", "10.1.0.9", "")).cluster("outbound|80||own.com");
    let other = Proxy::of(&snapshot, &sidecar("other", "10.1.0.9", ""));
    assert!(other.names(ResourceType::Cluster).iter().all(|name| !name.contains("own.com")));
}

#[test]
fn subject_alt_names_are_expected_in_certificates() {
    let yaml = entry(
        "ext",
        "{hosts: [ext.com], location: MESH_EXTERNAL, resolution: STATIC, subjectAltNames: [san.ext.com], \
         ports: [{number: 443, name: https, protocol: HTTPS}], endpoints: [{address: 1.1.1.1}]}",
    ) + "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: ext, namespace: shop}\nspec: {host: ext.com, trafficPolicy: {tls: {mode: SIMPLE}}}\n";
    let proxy = Proxy::in_shop(&yaml);
    let tls = proxy.cluster("outbound|443||ext.com").tls.as_ref().unwrap();
    let sans = &tls.common.validation.as_ref().unwrap().match_sans;
    assert!(format!("{sans:?}").contains("san.ext.com") && sans.len() == 1, "{sans:?}");
}

#[test]
fn hosts_without_an_address_get_one_for_those_who_ask_the_agent() {
    let ports = "ports: [{number: 5432, name: tcp, protocol: TCP}], endpoints: [{address: 1.1.1.1}]";
    let yaml = entry("db", &format!("{{hosts: [db.com], resolution: STATIC, {ports}}}"))
        + &entry("wild", &format!("{{hosts: ['*.db.com'], resolution: STATIC, {ports}}}"))
        + &entry("off", &format!("{{hosts: [off.com], resolution: STATIC, {ports}}}")).replace(
            "namespace: shop}",
            "namespace: shop, labels: {networking.istio.io/enable-autoallocate-ip: 'false'}}",
        );
    let snapshot = snapshot(&yaml);
    let proxy = Proxy::of(&snapshot, &with_dns("shop"));
    let table = names(&proxy);
    let (_, address) = table.iter().find(|(name, _)| name == "db.com").expect("an address");
    assert!(address.starts_with("240.240."), "{table:?}");
    assert!(table.iter().all(|(name, _)| !name.contains('*') && name != "off.com"), "{table:?}");
    proxy.listener(&format!("{address}_5432"));
    // Who resolves names elsewhere asks for other addresses.
    let elsewhere = Proxy::of(&snapshot, &sidecar("shop", "10.1.0.9", ""));
    assert!(names(&elsewhere).is_empty());
    elsewhere.listener("0.0.0.0_5432");
    // The mesh may say it for all.
    let all = with_mesh(&snapshot, "defaultConfig: {proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true'}}");
    assert_eq!(names(&Proxy::of(&all, &sidecar("shop", "10.1.0.9", ""))), table);
}

#[test]
fn headless_pods_have_names_of_their_own() {
    let stateful =
        pod("db-0", "10.1.0.5", "app: db").replace("spec: {", "spec: {subdomain: db, hostname: zero, ");
    let yaml =
        service("db", "None", "{port: 5432, name: tcp}") + &stateful + &pod("db-1", "10.1.0.6", "app: db");
    let proxy = Proxy::in_shop(&yaml);
    let table = names(&proxy);
    let find = |wanted: &str| table.iter().find(|(name, _)| name == wanted).map(|(_, ips)| ips.as_str());
    assert_eq!(find("db.shop.svc.cluster.local"), Some("10.1.0.5,10.1.0.6"));
    assert_eq!(find("zero.db.shop.svc.cluster.local"), Some("10.1.0.5"));
    assert_eq!(find("zero.db"), Some("10.1.0.5"));
    assert_eq!(find("db-1.db.shop.svc.cluster.local"), None, "it has no subdomain");
}

#[test]
fn names_are_resolved_by_the_proxy() {
    let listed = entry(
        "consul",
        "{hosts: [legacy.consul.local], resolution: DNS, location: MESH_EXTERNAL, ports: [{number: 8080, name: http, protocol: HTTP}], \
         endpoints: [{address: 10.0.0.100, ports: {http: 8081}}, {address: b.consul.local, weight: 4}]}",
    );
    let itself = entry(
        "api",
        "{hosts: [api.com], resolution: DNS_ROUND_ROBIN, ports: [{number: 443, name: tls, protocol: TLS, targetPort: 8443}]}",
    );
    let proxy = Proxy::in_shop(&(listed + &itself));
    let cluster = proxy.cluster("outbound|8080||legacy.consul.local");
    let ClusterDiscovery::StrictDns(found) = &cluster.discovery else { panic!("{:?}", cluster.discovery) };
    let text: Vec<_> =
        found.localities[0].endpoints.iter().map(|e| (e.address.to_string(), e.weight)).collect();
    let expected = [("10.0.0.100:8081".to_owned(), Some(1)), ("b.consul.local:8080".to_owned(), Some(4))];
    assert_eq!(text, expected);
    assert!(cluster.dns.respect_ttl);
    assert_eq!(cluster.dns.family, ir::dns::DnsFamily::V4Only);
    let cluster = proxy.cluster("outbound|443||api.com");
    let ClusterDiscovery::LogicalDns(found) = &cluster.discovery else { panic!("{:?}", cluster.discovery) };
    assert_eq!(found.localities[0].endpoints[0].address.to_string(), "api.com:8443");
    let endpoints = proxy.names(ResourceType::Endpoints);
    assert!(endpoints.is_empty(), "nobody would ask for them: {endpoints:?}");
}

#[test]
fn a_name_that_a_workload_entry_has_is_resolved_too() {
    let yaml = entry(
        "vms",
        "{hosts: [vms.com], resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}], workloadSelector: {labels: {app: vm}}}",
    );
    let with = Proxy::in_shop(&(yaml.clone() + &workload("vm", "{address: vm.corp, labels: {app: vm}}")));
    let ClusterDiscovery::StrictDns(found) = &with.cluster("outbound|80||vms.com").discovery else {
        panic!()
    };
    assert_eq!(found.localities[0].endpoints[0].address.to_string(), "vm.corp:80");
    let without = Proxy::in_shop(&yaml);
    let ClusterDiscovery::Static(nobody) = &without.cluster("outbound|80||vms.com").discovery else {
        panic!()
    };
    assert!(nobody.localities.is_empty(), "it lists its endpoints, and there is none");
}
