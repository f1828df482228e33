//! What discovery relies on: equal inputs give equal versions, and a unit only changes when
//! something changed that it asked for.

use std::collections::BTreeMap;

use model::Node;
use proptest::prelude::*;
use registry::{Change, Snapshot};
use stdx::Digest;
use translate::{Again, Memo, Unit, View, build, build_again, build_in, plan, scope, translate_all};

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

/// Documents that share one port's routes, and get into each other's way there.
fn crowd() -> Vec<String> {
    let object = |kind: &str, name: &str, namespace: &str, spec: &str| {
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: {kind}\n\
             metadata: {{name: {name}, namespace: {namespace}}}\nspec: {{{spec}}}\n"
        )
    };
    let rules = |name: &str, spec: &str| object("VirtualService", name, "shop", spec);
    let entry = |name: &str, hosts: &str| {
        let spec = format!(
            "hosts: [{hosts}], ports: [{{number: 80, name: http, protocol: HTTP}}, {{number: 81, name: http-b, protocol: HTTP}}], resolution: DNS"
        );
        object("ServiceEntry", name, "shop", &spec)
    };
    let sticky = "trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-user}}}";
    vec![
        service("web", "10.0.0.1", "{port: 80, name: http}"),
        service("web", "10.0.0.9", "{port: 80, name: http}, {port: 81, name: http-b}"),
        service("api", "10.0.0.2", "{port: 80, name: grpc}, {port: 81, name: http-b}"),
        service("none", "None", "{port: 80, name: http}"),
        entry("short", "web.shop, api.shop.svc, other.com"),
        entry("wide", "'*.com'"),
        rules("web", "hosts: [web], http: [{route: [{destination: {host: api}}]}]"),
        rules("a-web", "hosts: [web, else.com], http: [{timeout: 1s, route: [{destination: {host: web}}]}]"),
        rules("wild", "hosts: ['*.shop.svc.cluster.local'], http: [{route: [{destination: {host: api}}]}]"),
        rules("wilder", "hosts: ['*.local', '*.com'], http: [{route: [{destination: {host: none}}]}]"),
        rules("root", "hosts: [api], http: [{delegate: {name: leaf, namespace: shop}}]"),
        rules("leaf", "http: [{match: [{uri: {prefix: /x}}], route: [{destination: {host: web}}]}]"),
        object("DestinationRule", "web", "shop", &format!("host: web, {sticky}")),
        object("DestinationRule", "all", "istio-system", &format!("host: '*.local', {sticky}")),
        object("Sidecar", "default", "other", "egress: [{hosts: [shop/api.shop.svc.cluster.local, ./*]}]"),
        "---\napiVersion: v1\nkind: Service\nmetadata: {name: alias, namespace: other}\n\
         spec: {type: ExternalName, externalName: web.shop.svc.cluster.local}\n"
            .into(),
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\n\
         data: {mesh: 'outboundTrafficPolicy: {mode: REGISTRY_ONLY}'}\n"
            .into(),
    ]
}

/// Brings documents in and out, one at each step, and holds each table that is made again against one made
/// anew.
fn toggle(documents: &[String], steps: &[usize]) -> Result<(), TestCaseError> {
    let mut present = vec![false; documents.len()];
    let mut current = snapshot("");
    let mut memos: BTreeMap<(String, Unit), (Memo, registry::Delta)> = BTreeMap::new();
    for index in steps.iter().map(|step| step % documents.len()) {
        present[index] = !present[index];
        let parsed = istio_api::parse_stream("mesh.yaml", &documents[index]);
        let change = |document: istio_api::Document| match present[index] {
            true => Change::Upsert(std::sync::Arc::new(document)),
            false => Change::Remove(document.object),
        };
        let (next, delta) = current.apply(parsed.documents.into_iter().map(change).collect());
        memos.values_mut().for_each(|(_, since)| since.extend(&delta));
        for node in nodes() {
            for unit in plan(&View::new(&next), &node).units {
                let Unit::Routes { .. } = unit else { continue };
                let view = View::new(&next);
                let scope = scope(&view, &node, &unit);
                let _ = view.take_keys();
                let fresh = (build_in(&view, &scope, &unit), view.take_keys());
                let (memo, since) = memos.entry((format!("{scope:?}"), unit.clone())).or_default();
                let again = Again { memo, delta: Some(since) };
                let built = (build_again(&view, &scope, &unit, again), view.take_keys());
                prop_assert_eq!(&built, &fresh, "{} of {} after document {}", unit, node.name, index);
                *since = registry::Delta::default();
            }
        }
        current = next;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// A table that is made again of what was made before is the table made anew, and depends on the same.
    #[test]
    fn tables_made_again_are_as_made_anew(steps in prop::collection::vec(0usize..17, 1..40)) {
        toggle(&crowd(), &steps)?;
    }

    /// Likewise where nothing is a wildcard and no domain is wanted twice: there single hosts are made again.
    #[test]
    fn hosts_made_again_are_as_made_anew(steps in prop::collection::vec(0usize..64, 1..40)) {
        let plain = |document: &String| !document.contains('*') && !document.contains("name: short");
        let mut documents: Vec<String> = crowd().into_iter().filter(plain).collect();
        let rules = |name: &str, spec: &str| format!(
            "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n\
             metadata: {{name: {name}, namespace: shop}}\nspec: {{{spec}}}\n"
        );
        documents.extend([
            rules("b", "hosts: [api], http: [{timeout: 2s, route: [{destination: {host: api}}]}]"),
            rules("c", "hosts: [api, web, far.com], http: [{timeout: 3s, route: [{destination: {host: web}}]}]"),
            rules("c", "hosts: [none, far.com], http: [{timeout: 4s, route: [{destination: {host: api}}]}]"),
            rules("d", "hosts: [web], exportTo: ['.'], http: [{timeout: 5s, route: [{destination: {host: web}}]}]"),
            rules("e", "hosts: [web], tcp: [{route: [{destination: {host: web}}]}]"),
        ]);
        toggle(&documents, &steps)?;
    }
}

/// What a change does not concern is the same, not only equal: nobody needs to look into it again.
#[test]
fn a_table_made_again_shares_its_hosts_with_the_one_before() {
    let documents = crowd();
    let mesh = snapshot(&[&documents[0], &documents[2], &documents[3]].map(String::as_str).concat());
    let (node, unit) = (&nodes()[0], Unit::Routes { port: 80 });
    let view = View::new(&mesh);
    let scope = scope(&view, node, &unit);
    let mut memo = Memo::default();
    let hosts = |built: translate::Built| match &built.resources[0] {
        ir::Resource::Route(config) => config.virtual_hosts.clone(),
        other => panic!("{other:?}"),
    };
    let before = hosts(build_again(&view, &scope, &unit, Again { memo: &mut memo, delta: None }));
    let parsed = istio_api::parse_stream("mesh.yaml", &documents[6]).documents;
    let change = parsed.into_iter().map(|it| Change::Upsert(std::sync::Arc::new(it))).collect();
    let (next, delta) = mesh.apply(change);
    let again = Again { memo: &mut memo, delta: Some(&delta) };
    let after = hosts(build_again(&View::new(&next), &scope, &unit, again));
    let kept: Vec<&str> = after
        .iter()
        .filter(|host| before.iter().any(|other| std::sync::Arc::ptr_eq(host, other)))
        .map(|host| host.name.as_str())
        .collect();
    assert_eq!(kept, ["api.shop.svc.cluster.local:80", "none.shop.svc.cluster.local:80"]);
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
