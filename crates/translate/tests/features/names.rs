use ir::{NameTable, Resource, ResourceType};

use crate::common::{Proxy, pod, service, sidecar, snapshot};

#[track_caller]
fn table(yaml: &str, namespace: &str) -> NameTable {
    let proxy = Proxy::of(&snapshot(yaml), &sidecar(namespace, "10.1.0.9", ""));
    match proxy.0.get(ResourceType::NameTable, "") {
        Some(Resource::NameTable(table)) => (**table).clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn services_are_known_by_all_their_names() {
    let yaml = service("web", "10.0.0.1", "{port: 80, name: http}");
    let found = table(&yaml, "shop");
    for name in ["web.shop.svc.cluster.local", "web.shop.svc", "web.shop", "web"] {
        assert_eq!(found.table[name].ips, ["10.0.0.1".parse::<std::net::IpAddr>().unwrap()], "{name}");
    }
    let entry = &found.table["web.shop.svc.cluster.local"];
    assert_eq!((entry.registry.as_str(), entry.shortname.as_str()), ("Kubernetes", "web"));
    assert!(!table(&yaml, "other").table.contains_key("web"));
}

#[test]
fn headless_services_are_their_ready_pods() {
    let unready = pod("db-1", "10.1.0.2", "app: db").replace("\"True\"", "\"False\"");
    let yaml =
        service("db", "None", "{port: 5432, name: tcp}") + &pod("db-0", "10.1.0.1", "app: db") + &unready;
    let found = table(&yaml, "shop");
    assert_eq!(found.table["db"].ips, ["10.1.0.1".parse::<std::net::IpAddr>().unwrap()]);
}
