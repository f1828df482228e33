//! Whatever the order of changes: the snapshot is the one that a fresh start would build, and a
//! delta touches every question whose answer differs.

use std::sync::Arc;

use istio_api::parse_stream;
use model::{Host, Labels};
use registry::{Change, Delta, Key, Settings, Snapshot, View};

/// Versions of objects that exclude each other within a group: `None` of them, or one.
fn groups() -> Vec<Vec<Change>> {
    let service = |name: &str, spec: &str| {
        format!("apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop}}\nspec: {spec}")
    };
    let istio = |group: &str, kind: &str, name: &str, spec: &str| {
        format!("apiVersion: {group}.istio.io/v1\nkind: {kind}\nmetadata: {name}\nspec: {spec}")
    };
    let pod = |name: &str, labels: &str, ip: &str, ready: bool| {
        let status = if ready { "True" } else { "False" };
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: shop, labels: {labels}}}\n\
             spec: {{containers: [{{name: c, ports: [{{name: web, containerPort: 8080}}]}}]}}\n\
             status: {{podIP: {ip}, conditions: [{{type: Ready, status: \"{status}\"}}]}}"
        )
    };
    let net = |kind: &str, name: &str, spec: &str| istio("networking", kind, name, spec);
    let to = "http: [{route: [{destination: {host: a}}]}]";
    let texts = vec![
        vec![
            service("a", "{selector: {app: a}, ports: [{port: 80, targetPort: web}]}"),
            service("a", "{selector: {app: a}, ports: [{port: 80, targetPort: 9}, {port: 81, name: x}]}"),
            service("a", "{selector: {app: b}, clusterIP: 10.9.9.9, ports: [{port: 82}]}"),
        ],
        vec![service("b", "{ports: [{port: 80}]}"), service("b", "{clusterIP: None, selector: {app: b}, ports: [{port: 81}]}")],
        vec![pod("p", "{app: a}", "10.0.0.1", true), pod("p", "{app: a}", "10.0.0.1", false), pod("p", "{app: b}", "10.0.0.2", true)],
        vec![pod("q", "{app: a}", "10.0.0.2", true), pod("q", "{app: a, v: w}", "10.0.0.1", true)],
        vec![
            net("VirtualService", "{name: v, namespace: shop}", &format!("{{hosts: [a], {to}}}")),
            net("VirtualService", "{name: v, namespace: shop}", &format!("{{hosts: ['*.local', x.com], exportTo: [.], {to}}}")),
            net("VirtualService", "{name: v, namespace: shop}", &format!("{{hosts: [a], gateways: [g], {to}}}")),
        ],
        vec![
            net("VirtualService", "{name: u, namespace: shop}", &format!("{{hosts: [a, x.com], gateways: [mesh, g], {to}}}")),
            net("VirtualService", "{name: u, namespace: shop, creationTimestamp: '2024-01-01T00:00:00Z'}", &format!("{{hosts: [a, '*'], gateways: [mesh], exportTo: [other], {to}}}")),
        ],
        vec![
            net("DestinationRule", "{name: d, namespace: shop}", "{host: a, subsets: [{name: v1}]}"),
            net("DestinationRule", "{name: d, namespace: shop}", "{host: '*.local', exportTo: [.], subsets: [{name: v1}]}"),
        ],
        vec![
            net("DestinationRule", "{name: c, namespace: shop}", "{host: a, subsets: [{name: v2}]}"),
            net("DestinationRule", "{name: c, namespace: shop}", "{host: a, workloadSelector: {matchLabels: {a: b}}}"),
        ],
        vec![net("DestinationRule", "{name: r, namespace: istio-system}", "{host: '*'}")],
        vec![
            net("ServiceEntry", "{name: s, namespace: other}", "{hosts: [x.com, a.shop.svc.cluster.local], resolution: STATIC, ports: [{number: 80, name: h}], endpoints: [{address: 1.1.1.1}]}"),
            net("ServiceEntry", "{name: s, namespace: other}", "{hosts: [x.com], resolution: STATIC, exportTo: [.], ports: [{number: 81, name: h}]}"),
            net("ServiceEntry", "{name: s, namespace: other}", "{hosts: [x.com], resolution: DNS, ports: [{number: 81, name: h}]}"),
        ],
        vec![net("ServiceEntry", "{name: t, namespace: shop}", "{hosts: [x.com], resolution: STATIC, ports: [{number: 80, name: h}], workloadSelector: {labels: {app: a}}}")],
        vec![net("Gateway", "{name: g, namespace: shop}", "{servers: [{port: {number: 80, name: h, protocol: HTTP}, hosts: ['*']}]}")],
        vec![
            istio("security", "PeerAuthentication", "{name: p, namespace: shop}", "{mtls: {mode: STRICT}}"),
            istio("security", "PeerAuthentication", "{name: p, namespace: shop}", "{mtls: {mode: BROKEN}}"),
        ],
        vec![istio("security", "AuthorizationPolicy", "{name: p, namespace: istio-system}", "{}")],
        vec![
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata: {mesh: 'rootNamespace: shop'}".to_owned(),
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata: {mesh: 'defaultDestinationRuleExportTo: [.]'}".to_owned(),
        ],
    ];
    let change = |text: &String| {
        let mut parsed = parse_stream("f", text);
        Change::Upsert(Arc::new(
            parsed.documents.pop().unwrap_or_else(|| panic!("{text}: {:?}", parsed.findings)),
        ))
    };
    texts.iter().map(|group| group.iter().map(change).collect()).collect()
}

/// Every question of a small universe: its key, its arguments and its answer as text.
fn answers(snapshot: &Snapshot) -> Vec<(Key, String, String)> {
    let view = View::new(snapshot);
    let mut all = Vec::new();
    let mut note = |arguments: &str, answer: String| {
        for key in view.take_keys() {
            all.push((key, arguments.to_owned(), answer.clone()));
        }
    };
    let hosts = ["a.shop.svc.cluster.local", "b.shop.svc.cluster.local", "x.com", "y.com", "*.local"];
    for host in hosts.map(Host::new) {
        for client in ["shop", "other", "third", "istio-system"] {
            let service = view.service(client, &host).cloned();
            note(client, format!("{service:?}"));
            note(client, format!("{:?}", view.virtual_service(client, &host)));
            let Some(service) = service else { continue };
            let arguments = format!("{client} {}", service.namespace);
            note(
                &arguments,
                format!("{:?} {:?}", view.endpoints(&service, 80), view.endpoints(&service, 81)),
            );
            note(&arguments, format!("{:?}", view.destination_rule(client, &service)));
        }
    }
    for namespace in ["shop", "other", "istio-system"] {
        note(namespace, format!("{:?}", view.services(namespace)));
        note(namespace, format!("{:?}", view.services_in(namespace)));
        note(namespace, format!("{:?}", view.mesh_virtual_services(namespace)));
        note(namespace, format!("{:?}", view.peer_authentications(namespace)));
        note(namespace, format!("{:?}", view.authorization_policies(namespace)));
        for port in [80, 81, 82] {
            note(namespace, format!("{:?}", view.services_on_port(namespace, port)));
            // What the services are is asked by itself: they are the arguments here.
            let services = view.services_on_port(namespace, port);
            view.take_keys();
            let hosts: Vec<&str> = services.iter().map(|service| service.host.as_str()).collect();
            let arguments = format!("{namespace} {port} {hosts:?}");
            let all = view.virtual_services_on_port(namespace, port, &services);
            let mut each: Vec<_> = hosts
                .iter()
                .flat_map(|host| view.apart().virtual_services_for(namespace, &Host::new(host)))
                .collect();
            each.sort_by_key(|config| {
                (config.created, config.object.name.clone(), config.object.namespace.clone())
            });
            each.dedup();
            assert_eq!(all, each);
            note(&arguments, format!("{all:?}"));
            let rule = |service| view.apart().destination_rule(namespace, service).cloned();
            let rules: Vec<_> = services.iter().map(|service| rule(service)).collect();
            view.record(&[Key::DestinationRulesOnPort(port)]);
            note(&arguments, format!("{rules:?}"));
        }
    }
    note("", format!("{:?}", view.gateways(&Labels::default())));
    note("", format!("{:?}", view.gateway_virtual_services("shop", "g")));
    for ip in ["10.0.0.1", "10.0.0.2"] {
        note("", format!("{:?}", view.workload_at(ip.parse().expect("address"))));
    }
    for name in ["p", "q"] {
        note("", format!("{:?}", view.workload("shop", name)));
    }
    all
}

/// A generator that is the same every time (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }
}

#[test]
fn steps_lead_where_a_fresh_start_leads_and_deltas_name_them() {
    let groups = groups();
    let mut dice = Dice(0x1a7ee_u64);
    for _ in 0..40 {
        let mut snapshot = Snapshot::new(Settings::default());
        let mut present: Vec<Option<usize>> = vec![None; groups.len()];
        for _ in 0..25 {
            let mut batch = Vec::new();
            for _ in 0..=dice.roll(3) {
                let group = dice.roll(groups.len());
                let version = dice.roll(groups[group].len() + 1);
                present[group] = (version < groups[group].len()).then_some(version);
                batch.push(match present[group] {
                    Some(version) => groups[group][version].clone(),
                    None => match &groups[group][0] {
                        Change::Upsert(document) => Change::Remove(document.object.clone()),
                        _ => unreachable!("only objects"),
                    },
                });
            }
            let (next, delta) = snapshot.apply(batch);
            check_delta(&snapshot, &next, &delta);
            snapshot = next;
        }
        let all: Vec<Change> =
            present.iter().zip(&groups).filter_map(|(v, group)| v.map(|v| group[v].clone())).collect();
        let fresh = Snapshot::new(Settings::default()).apply(all).0;
        for (step, start) in answers(&snapshot).into_iter().zip(answers(&fresh)) {
            assert_eq!(step, start);
        }
    }
}

#[track_caller]
fn check_delta(before: &Snapshot, after: &Snapshot, delta: &Delta) {
    let old = answers(before);
    for (key, arguments, answer) in answers(after) {
        // A question that another answer leads to may be asked of one of them only.
        let same = old.iter().find(|(k, a, _)| *k == key && *a == arguments);
        if same.is_some_and(|(_, _, before)| *before != answer) {
            assert!(delta.touches(&key), "{key:?} is not touched by {delta:?}");
        }
    }
}
