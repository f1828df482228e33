//! What discovery relies on: equal inputs give equal versions, and a unit only changes when
//! something changed that it asked for.

use std::collections::BTreeMap;

use model::Node;
use proptest::prelude::*;
use registry::{Change, Snapshot};
use stdx::Digest;
use translate::{Unit, View, build, plan, scope, translate_all};

use crate::common::{pod, router, service, sidecar, snapshot};

/// Documents that can come and go.
fn documents() -> Vec<String> {
    let policy = |kind: &str, group: &str, name: &str, spec: &str| {
        format!(
            "---\napiVersion: {group}.istio.io/v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: shop}}\nspec: {{{spec}}}\n"
        )
    };
    let routes =
        "hosts: [web], gateways: [mesh, gw], http: [{route: [{destination: {host: web, subset: v1}}]}]";
    let server = "{port: {number: 80, name: http, protocol: HTTP}, hosts: [\"*\"]}";
    vec![
        service("web", "10.0.0.1", "{port: 80, name: http}"),
        service("api", "10.0.0.2", "{port: 80, name: grpc}, {port: 9000, name: x}"),
        service("db", "None", "{port: 3306, name: tcp}"),
        pod("web", "10.1.0.1", "app: web, version: v1"),
        pod("api", "10.1.0.2", "app: api, version: v1"),
        pod("db", "10.1.0.3", "app: db"),
        policy("VirtualService", "networking", "web", routes),
        policy(
            "DestinationRule",
            "networking",
            "web",
            "host: web, subsets: [{name: v1, labels: {version: v1}}]",
        ),
        policy(
            "Gateway",
            "networking",
            "gw",
            &format!("selector: {{istio: ingressgateway}}, servers: [{server}]"),
        ),
        policy("PeerAuthentication", "security", "strict", "mtls: {mode: STRICT}"),
        policy(
            "AuthorizationPolicy",
            "security",
            "deny",
            "action: DENY, rules: [{to: [{operation: {paths: [/x]}}]}]",
        ),
    ]
}

fn nodes() -> [Node; 3] {
    [
        sidecar("shop", "10.1.0.1", "app=web,version=v1"),
        sidecar("other", "10.1.0.7", ""),
        router("istio-system", "10.1.0.8", "istio=ingressgateway"),
    ]
}

fn versions(snapshot: &Snapshot, node: &Node) -> Vec<(String, Digest)> {
    translate_all(snapshot, node).iter().map(|r| (format!("{} {}", r.ty(), r.name()), r.version())).collect()
}

fn all_but(missing: &[usize]) -> Snapshot {
    let kept = documents().into_iter().enumerate().filter(|(i, _)| !missing.contains(i)).map(|(_, d)| d);
    snapshot(&kept.collect::<String>())
}

/// Applies or removes one document.
fn toggled(before: &Snapshot, index: usize, present: bool) -> (Snapshot, registry::Delta) {
    let parsed = istio_api::parse_stream("mesh.yaml", &documents()[index]);
    let change = |document: istio_api::Document| match present {
        true => Change::Upsert(std::sync::Arc::new(document)),
        false => Change::Remove(document.object),
    };
    before.apply(parsed.documents.into_iter().map(change).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// In whatever order documents came and went.
    #[test]
    fn equal_meshes_have_equal_versions(steps in prop::collection::vec(0usize..11, 0..20)) {
        let mut present = vec![true; documents().len()];
        let mut current = all_but(&[]);
        for index in steps {
            present[index] = !present[index];
            current = toggled(&current, index, present[index]).0;
        }
        let missing: Vec<usize> = (0..present.len()).filter(|i| !present[*i]).collect();
        let fresh = all_but(&missing);
        for node in nodes() {
            prop_assert_eq!(versions(&current, &node), versions(&fresh, &node));
        }
    }

    /// A cache by what was asked gives what translating anew gives.
    #[test]
    fn what_no_change_touches_stays_the_same(steps in prop::collection::vec(0usize..11, 1..12)) {
        let mut present = vec![true; documents().len()];
        let mut current = all_but(&[]);
        let mut cache: BTreeMap<(String, Unit), (std::collections::BTreeSet<registry::Key>, translate::Built)> = BTreeMap::new();
        for index in steps {
            present[index] = !present[index];
            let (next, delta) = toggled(&current, index, present[index]);
            cache.retain(|_, (keys, _)| !keys.iter().any(|key| delta.touches(key)));
            for node in nodes() {
                for unit in plan(&View::new(&next), &node).units {
                    let view = View::new(&next);
                    let fresh = build(&view, &node, &unit);
                    let key = (format!("{:?}", scope(&view, &node, &unit)), unit.clone());
                    if let Some((_, cached)) = cache.get(&key) {
                        prop_assert_eq!(cached, &fresh, "{} after document {}", unit, index);
                    }
                    cache.insert(key, (view.take_keys(), fresh));
                }
            }
            current = next;
        }
    }
}

#[test]
fn a_plan_names_what_is_built() {
    let mesh = all_but(&[]);
    for node in nodes() {
        let view = View::new(&mesh);
        for unit in plan(&view, &node).units {
            for resource in build(&view, &node, &unit).resources {
                assert_eq!(resource.ty(), unit.ty(), "{unit}");
                if let ir::Resource::Endpoints(assignment) = &resource {
                    assert_eq!(Unit::of_cluster(&assignment.cluster_name), Some(unit.clone()));
                }
            }
        }
    }
}

#[test]
fn proxies_of_a_namespace_share_what_is_not_about_them() {
    let (a, b) = (sidecar("shop", "10.1.0.1", "app=web"), sidecar("shop", "10.1.0.2", "app=api"));
    let mesh = all_but(&[]);
    let scope = |node: &model::Node, unit: &Unit| scope(&View::new(&mesh), node, unit);
    let shared = |unit: &Unit| scope(&a, unit) == scope(&b, unit);
    assert!(
        shared(&Unit::Clusters("x".into())) && shared(&Unit::Routes { port: 80 }) && shared(&Unit::NameTable)
    );
    assert!(shared(&Unit::VirtualOutbound) && !shared(&Unit::VirtualInbound));
    let other = sidecar("other", "10.1.0.3", "");
    assert_ne!(scope(&a, &Unit::NameTable), scope(&other, &Unit::NameTable));
    assert_eq!(scope(&a, &Unit::VirtualOutbound), scope(&other, &Unit::VirtualOutbound));
}
