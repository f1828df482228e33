//! Snapshots of small meshes: what is asked, what is answered, and what a change touches.

use std::sync::Arc;

use istio_api::parse_stream;
use istio_api::security::MtlsMode;
use model::{Labels, ObjectRef};
use registry::{Change, Delta, Key, Settings, Snapshot, findings};

fn changes(text: &str) -> Vec<Change> {
    let parsed = parse_stream("mesh.yaml", text);
    parsed.documents.into_iter().map(|document| Change::Upsert(Arc::new(document))).collect()
}

fn empty() -> Snapshot {
    let service_block = Some("10.96.0.0/16".parse().expect("block"));
    Snapshot::new(Settings { service_block, ..Settings::default() })
}

fn mesh(text: &str) -> Snapshot {
    empty().apply(changes(text)).0
}

fn remove(kind: &str, namespace: &str, name: &str) -> Vec<Change> {
    vec![Change::Remove(ObjectRef::new(kind, namespace, name))]
}

fn service(name: &str, more: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  \
         selector: {{app: {name}}}\n  ports: [{{name: http, port: 80, targetPort: web}}]\n  {more}\n---\n"
    )
}

fn pod(name: &str, app: &str, ip: &str, ready: bool) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n  namespace: shop\n  \
         labels: {{app: {app}, version: v1, security.istio.io/tlsMode: istio}}\nspec:\n  serviceAccountName: {app}\n  \
         containers: [{{name: main, ports: [{{name: web, containerPort: 8080}}]}}]\nstatus:\n  podIP: {ip}\n  \
         conditions: [{{type: Ready, status: \"{}\"}}]\n---\n",
        if ready { "True" } else { "False" }
    )
}

fn istio(group: &str, kind: &str, name: &str, spec: &str) -> String {
    let (namespace, name) = name.split_once('/').unwrap_or(("shop", name));
    format!(
        "apiVersion: {group}.istio.io/v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n---\n"
    )
}

fn virtual_service(name: &str, spec: &str) -> String {
    istio("networking", "VirtualService", name, spec)
}

fn keys(delta: &Delta) -> Vec<String> {
    delta.keys().map(|key| format!("{key:?}")).collect()
}

#[test]
fn endpoints_are_selected_pods_at_named_ports() {
    let text = service("reviews", "")
        + &pod("r2", "reviews", "10.1.0.2", false)
        + &pod("r1", "reviews", "10.1.0.1", true)
        + &pod("d1", "details", "10.1.0.3", true);
    let snapshot = mesh(&text);
    let view = snapshot.view();
    let host = view.resolve("reviews", "shop");
    let service = view.service("other", &host).expect("service");
    let endpoints = view.endpoints(service, 80);
    let found: Vec<String> = endpoints
        .iter()
        .map(|e| format!("{}:{} {} {}", e.address, e.port, e.ready, e.workload.mtls))
        .collect();
    assert_eq!(found, ["10.1.0.1:8080 true true", "10.1.0.2:8080 false true"]);
    assert!(view.endpoints(service, 81).is_empty());
    let workload = view.workload_at("10.1.0.1".parse().unwrap()).expect("workload");
    assert_eq!(workload.identity("cluster.local").to_string(), "spiffe://cluster.local/ns/shop/sa/reviews");
    assert_eq!((workload.canonical_name.as_str(), workload.canonical_revision.as_str()), ("reviews", "v1"));
}

#[test]
fn a_delta_names_what_is_different_and_nothing_else() {
    let base = service("reviews", "") + &service("details", "") + &pod("r1", "reviews", "10.1.0.1", true);
    let snapshot = mesh(&base);
    let step = |text: &str| snapshot.apply(changes(text)).1;

    assert!(step(&base).is_empty(), "the same again");
    assert!(step(&format!("# moved\n\n{base}")).is_empty(), "the same elsewhere in the file");

    let delta = step(&pod("r1", "reviews", "10.1.0.1", false));
    assert_eq!(
        keys(&delta),
        [
            r#"Endpoints("reviews.shop.svc.cluster.local")"#,
            r#"Workload("shop", "r1")"#,
            "WorkloadAt(10.1.0.1)"
        ]
    );
    let delta = step(&pod("x1", "other", "10.1.0.9", true));
    assert_eq!(keys(&delta), [r#"Workload("shop", "x1")"#, "WorkloadAt(10.1.0.9)"]);

    let delta = step(&service("reviews", "publishNotReadyAddresses: true"));
    assert!(delta.touches(&Key::Services) && delta.touches(&Key::ServicesOnPort(80)));
    assert!(delta.touches(&Key::ServicesIn("shop".into())));
    assert!(delta.touches(&Key::Service("reviews.shop.svc.cluster.local".into())));
    assert!(!delta.touches(&Key::Service("details.shop.svc.cluster.local".into())));
    assert!(!delta.touches(&Key::Endpoints("reviews.shop.svc.cluster.local".into())), "they are the same");
    assert!(!delta.touches(&Key::ServicesOnPort(81)));

    let delta = snapshot.apply(remove("Service", "shop", "details")).1;
    assert!(delta.touches(&Key::Endpoints("details.shop.svc.cluster.local".into())));
    let delta =
        step(&virtual_service("v", "{hosts: [reviews], http: [{route: [{destination: {host: reviews}}]}]}"));
    let named = r#"VirtualService("reviews.shop.svc.cluster.local")"#;
    assert_eq!(keys(&delta), ["MeshVirtualServices", named, "VirtualServicesOnPort(80)"]);
    let delta = step(&istio("security", "PeerAuthentication", "p", "{mtls: {mode: STRICT}}"));
    assert_eq!(keys(&delta), [r#"PeerAuthentications("shop")"#]);
}

#[test]
fn going_back_leaves_nothing_behind() {
    let extra = service("reviews", "")
        + &pod("r1", "reviews", "10.1.0.1", true)
        + &virtual_service(
            "v",
            "{hosts: [reviews, '*.com'], http: [{route: [{destination: {host: reviews}}]}]}",
        )
        + &istio("networking", "DestinationRule", "d", "{host: reviews, subsets: [{name: v1}]}")
        + &istio(
            "networking",
            "ServiceEntry",
            "e",
            "{hosts: [a.com], resolution: STATIC, ports: [{number: 80, name: http}]}",
        );
    let one = empty().apply(changes(&extra)).0;
    let gone = one.objects().map(|d| Change::Remove(d.object.clone())).collect();
    let (back, delta) = one.apply(gone);
    assert_eq!(format!("{back:?}").replace("{}", ""), format!("{:?}", empty()).replace("{}", ""));
    assert!(delta.touches(&Key::VirtualService("x.com".into())));
    assert!(delta.touches(&Key::DestinationRule("reviews.shop.svc.cluster.local".into())));
}

#[test]
fn addresses_are_stable_given_ones_are_kept_and_headless_have_none() {
    let address = |snapshot: &Snapshot, name: &str| {
        let view = snapshot.view();
        let service = view.service("shop", &view.resolve(name, "shop")).expect("service");
        service.addresses.first().map(ToString::to_string)
    };
    let all = mesh(
        &(service("a", "")
            + &service("b", "")
            + &service("c", "clusterIP: None")
            + &service("d", "clusterIP: 10.96.9.9")),
    );
    let (a, b) = (address(&all, "a"), address(&all, "b"));
    assert!(a.as_ref().is_some_and(|a| a.starts_with("10.96.")) && a != b, "{a:?} {b:?}");
    assert_eq!(address(&all, "c"), None);
    assert_eq!(address(&all, "d").as_deref(), Some("10.96.9.9"));
    let (fewer, _) = all.apply(remove("Service", "shop", "b"));
    assert_eq!(address(&fewer, "a"), a);
    let again = fewer.apply(changes(&service("b", ""))).0;
    assert_eq!(address(&again, "b"), b);
    assert_eq!(address(&mesh(&service("a", "")), "a"), a);

    // An address that somebody was given is never given out.
    let taken = mesh(&service("x", &format!("clusterIP: {}", a.as_deref().unwrap_or_default())));
    let next = taken.apply(changes(&service("a", ""))).0;
    assert_ne!(address(&next, "a"), a);
}

#[test]
fn service_entries_list_or_select_their_endpoints() {
    let spec = "{hosts: [db.example.com], location: MESH_INTERNAL, resolution: STATIC, addresses: [10.9.0.1, 10.8.0.0/16], \
         ports: [{number: 5432, name: tcp, protocol: TCP, targetPort: 5433}], \
         endpoints: [{address: 10.0.0.7, ports: {tcp: 7000}, weight: 3, locality: r/z}, {address: 10.0.0.6}]}";
    let selecting = "{hosts: [pods.example.com], resolution: STATIC, location: MESH_INTERNAL, \
         ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}], workloadSelector: {labels: {app: reviews}}}";
    let dns = "{hosts: [dns.example.com], resolution: DNS, ports: [{number: 80, name: http}]}";
    let snapshot = mesh(
        &(istio("networking", "ServiceEntry", "db", spec)
            + &istio("networking", "ServiceEntry", "pods", selecting)
            + &istio("networking", "ServiceEntry", "dns", dns)
            + &pod("r1", "reviews", "10.1.0.1", true)),
    );
    let view = snapshot.view();
    let db = view.service("shop", &"db.example.com".into()).expect("service");
    assert!(!db.external);
    assert_eq!(db.addresses.len(), 1, "blocks are no addresses");
    let list = |host: &str, port| {
        let service = view.service("shop", &host.into()).expect("service");
        let endpoints = view.endpoints(service, port);
        endpoints
            .iter()
            .map(|e| format!("{}:{} x{} {}", e.address, e.port, e.weight, e.workload.locality.zone))
            .collect::<Vec<_>>()
    };
    assert_eq!(list("db.example.com", 5432), ["10.0.0.6:5433 x1 ", "10.0.0.7:7000 x3 z"]);
    assert_eq!(list("pods.example.com", 80), ["10.1.0.1:8080 x1 "]);
    assert_eq!(db.blocks, [("10.8.0.0".parse().unwrap(), 16)]);
    let dns = view.service("shop", &"dns.example.com".into()).expect("service");
    assert_eq!(dns.resolution, registry::Resolution::Dns { logical: false });
    assert!(!dns.lists_endpoints() && dns.allocated.is_some(), "{dns:?}");
}

#[test]
fn destination_rules_are_looked_up_in_order_and_merged() {
    let rule = |name: &str, spec: &str| istio("networking", "DestinationRule", name, spec);
    let text = service("reviews", "")
        + &rule(
            "shop/b",
            "{host: reviews, subsets: [{name: v1, labels: {version: b}}, {name: v2}], trafficPolicy: {loadBalancer: {simple: RANDOM}}}",
        )
        + &rule(
            "shop/a",
            "{host: reviews.shop.svc.cluster.local, subsets: [{name: v1, labels: {version: a}}]}",
        )
        + &rule("client/own", "{host: '*.shop.svc.cluster.local', exportTo: [.]}")
        + &rule("istio-system/all", "{host: '*.local'}")
        + &rule("elsewhere/x", "{host: reviews.shop.svc.cluster.local}");
    let snapshot = mesh(&text);
    let view = snapshot.view();
    let service = view.service("shop", &view.resolve("reviews", "shop")).expect("service");
    let found = |client: &str| view.destination_rule(client, service).expect("rule").clone();
    assert_eq!(found("client").object.name, "own");
    let merged = found("third");
    assert_eq!(merged.object.name, "a", "the first by name of equally old ones");
    assert_eq!(merged.subset("v1").and_then(|s| s.subset.labels.get("version")), Some("a"));
    assert_eq!(merged.subset("v2").map(|s| s.object.name.to_string()).as_deref(), Some("b"));
    assert_eq!(merged.traffic_policy.as_ref().map(|(_, by)| by.name.to_string()).as_deref(), Some("b"));
    assert_eq!(found("istio-system").object.name, "a", "mesh-wide defaults do not hide the service's own");
    let without = snapshot
        .apply(remove("DestinationRule", "shop", "a"))
        .0
        .apply(remove("DestinationRule", "shop", "b"))
        .0;
    let view = without.view();
    let service = view.service("shop", &view.resolve("reviews", "shop")).expect("service");
    assert_eq!(view.destination_rule("third", service).expect("rule").object.name, "all");
}

#[test]
fn virtual_services_win_by_the_most_specific_host_then_by_age() {
    let to = "http: [{route: [{destination: {host: reviews}}]}]";
    let text = service("reviews", "")
        + &virtual_service("any", &format!("{{hosts: ['*.svc.cluster.local'], {to}}}"))
        + &virtual_service("one", &format!("{{hosts: [reviews], {to}}}"))
        + &virtual_service("private", &format!("{{hosts: [hidden], exportTo: [.], {to}}}"))
        + &virtual_service("gw", &format!("{{hosts: ['*'], gateways: [front, other/back], {to}}}"))
        + &virtual_service("both", &format!("{{hosts: [x.com], gateways: [mesh, front], {to}}}"));
    let snapshot = mesh(&text);
    let view = snapshot.view();
    let name = |client: &str, host: &str| {
        let host = view.resolve(host, "shop");
        view.virtual_service(client, &host).map(|config| config.object.name.to_string())
    };
    assert_eq!(name("a", "reviews").as_deref(), Some("one"));
    assert_eq!(name("a", "details").as_deref(), Some("any"));
    assert_eq!(name("a", "hidden").as_deref(), Some("any"));
    assert_eq!(name("shop", "hidden").as_deref(), Some("private"));
    assert_eq!(name("a", "x.com").as_deref(), Some("both"));
    assert_eq!(name("a", "y.com"), None);
    let on = |namespace: &str, gateway: &str| {
        let found = view.gateway_virtual_services(namespace, gateway);
        found.iter().map(|config| config.object.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(on("shop", "front"), ["both", "gw"]);
    assert_eq!(on("other", "back"), ["gw"]);
    assert!(on("other", "front").is_empty());
}

#[test]
fn peer_authentication_is_inherited_and_closes_when_broken() {
    let policy = |name: &str, spec: &str| istio("security", "PeerAuthentication", name, spec);
    let of = |text: &str, app: &str| {
        mesh(text).view().mtls("shop", &[("app", app)].into_iter().collect::<Labels>())
    };
    assert_eq!(of("", "a").mode, MtlsMode::Permissive);
    let root = policy("istio-system/default", "{mtls: {mode: STRICT}}");
    assert_eq!(of(&root, "a").mode, MtlsMode::Strict);
    let namespace = root.clone() + &policy("default", "{mtls: {mode: DISABLE}}");
    assert_eq!(of(&namespace, "a").mode, MtlsMode::Disable);
    let workload = namespace.clone()
        + &policy(
            "a",
            "{selector: {matchLabels: {app: a}}, mtls: {mode: UNSET}, portLevelMtls: {80: {mode: STRICT}, 81: {}}}",
        );
    let found = of(&workload, "a");
    assert_eq!(
        (found.mode, found.on_port(80), found.on_port(81)),
        (MtlsMode::Disable, MtlsMode::Strict, MtlsMode::Disable)
    );
    assert_eq!(of(&workload, "b").on_port(80), MtlsMode::Disable);
    let broken = workload + &policy("z", "{selector: {matchLabels: {app: a}}, mtls: {mode: OPEN}}");
    assert_eq!((of(&broken, "a").mode, of(&broken, "b").mode), (MtlsMode::Strict, MtlsMode::Disable));
}

#[test]
fn authorization_policies_are_those_to_be_enforced() {
    let policy = |name: &str, spec: &str| istio("security", "AuthorizationPolicy", name, spec);
    let text = policy("istio-system/root", "{selector: {matchLabels: {app: a}}}")
        + &policy("mine", "{rules: [{}]}")
        + &policy("other", "{selector: {matchLabels: {app: b}}}")
        + &policy("audit", "{action: AUDIT, rules: [{}]}")
        + &policy("attached", "{targetRef: {kind: Service, name: a}}")
        + &policy("dry", "{rules: [{}]}")
            .replace("metadata: {", "metadata: {annotations: {istio.io/dry-run: 'true'}, ")
        + &policy("broken", "{action: AUDITT, rules: [{}]}");
    let snapshot = mesh(&text);
    let view = snapshot.view();
    let found = view.authorization("shop", &[("app", "a")].into_iter().collect::<Labels>());
    let names: Vec<String> = found.iter().map(|config| config.object.name.to_string()).collect();
    assert_eq!(names, ["root", "broken", "mine"]);
    let asked = view.take_keys();
    assert!(asked.contains(&Key::AuthorizationPolicies("shop".into())));
    assert!(asked.contains(&Key::AuthorizationPolicies("istio-system".into())));
}

#[test]
fn broken_objects_do_not_take_effect_unless_they_deny() {
    let snapshot = mesh(&virtual_service("v", "{hosts: [reviews], http: [{}]}"));
    assert_eq!(snapshot.objects().count(), 0);
}

#[test]
fn a_mesh_configuration_changes_everything() {
    let base = mesh(&service("reviews", ""));
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n\
               data: {mesh: 'defaultServiceExportTo: [.]'}";
    let (next, delta) = base.apply(changes(map));
    assert_eq!(delta, Delta::everything());
    let view = next.view();
    let host = view.resolve("reviews", "shop");
    assert!(view.service("other", &host).is_none() && view.service("shop", &host).is_some());
    let file = istio_api::MeshConfig { root_namespace: "mesh".into(), ..Default::default() };
    let (next, _) = next.apply(vec![Change::MeshConfig(Some(Arc::new(file)))]);
    assert_eq!(next.view().mesh().root_namespace, "mesh");
    assert!(next.view().service("other", &host).is_some(), "a file goes before the ConfigMap");
    let (_, delta) = next.apply(changes(map));
    assert!(delta.is_empty());
}

#[test]
fn references_and_conflicts_are_found() {
    let route = |to: &str| format!("http: [{{route: [{{destination: {to}}}]}}]");
    let text = service("reviews", "")
        + &istio("networking", "DestinationRule", "dr", "{host: reviews, subsets: [{name: v1}]}")
        + &istio("networking", "DestinationRule", "lost", "{host: nobody}")
        + &istio(
            "networking",
            "ServiceEntry",
            "se",
            "{hosts: [dns.com], resolution: DNS, ports: [{number: 80, name: http}]}",
        )
        + &virtual_service(
            "a-good",
            &format!("{{hosts: [reviews], {}}}", route("{host: reviews, subset: v1, port: {number: 80}}")),
        )
        + &virtual_service("b-host", &format!("{{hosts: [b], {}}}", route("{host: nobody}")))
        + &virtual_service("c-subset", &format!("{{hosts: [c], {}}}", route("{host: reviews, subset: v9}")))
        + &virtual_service(
            "d-port",
            &format!("{{hosts: [d], {}}}", route("{host: reviews, port: {number: 81}}")),
        )
        + &virtual_service(
            "e-gateway",
            &format!("{{hosts: [e], gateways: [gone], {}}}", route("{host: reviews}")),
        )
        + &virtual_service("f-double", &format!("{{hosts: [x.com, reviews], {}}}", route("{host: reviews}")))
        + &virtual_service("g-dns", &format!("{{hosts: [g], {}}}", route("{host: dns.com}")));
    let found = findings(&mesh(&text));
    let lines: Vec<String> = found
        .iter()
        .map(|f| {
            let text = f.to_string();
            text.split_once(": ").map(|(_, rest)| rest.to_owned()).unwrap_or(text)
        })
        .collect();
    let expected = [
        "Error [IST0101] (VirtualService shop/b-host) spec.http[0].route[0].destination.host: Referenced host not found: \"nobody\"",
        "Error [IST0101] (VirtualService shop/c-subset) spec.http[0].route[0].destination.subset: Referenced host+subset in destinationrule not found: \"reviews+v9\"",
        "Error [IST0101] (VirtualService shop/d-port) spec.http[0].route[0].destination.port.number: Referenced host:port not found: \"reviews:81\"",
        "Error [IST0101] (VirtualService shop/e-gateway) spec.gateways[0]: Referenced gateway not found: \"gone\"",
        "Error [IST0109] (VirtualService shop/f-double) spec.hosts[1]: The VirtualServices shop/a-good,shop/f-double",
        "Warning [IST0101] (DestinationRule shop/lost) spec.host: Referenced host not found: \"nobody\"",
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, part) in lines.iter().zip(expected) {
        assert!(line.starts_with(part), "{line}\n{part}");
    }
    assert!(found.iter().all(|f| f.place.as_ref().is_some_and(|place| place.line > 1)));
}
