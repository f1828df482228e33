//! Which pods a text asks for.

use super::*;

fn read(text: &str) -> (Vec<Group>, Vec<String>) {
    let parsed = istio_api::parse_stream("test.yaml", text);
    let (groups, problems) = groups(parsed.documents.iter(), &Images::default());
    (groups, problems.into_iter().map(|problem| format!("{}: {}", problem.object, problem.message)).collect())
}

fn deployment(metadata: &str, spec: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web, namespace: shop}}\nspec:\n  replicas: 2\n  \
         selector: {{matchLabels: {{app: web}}}}\n  template:\n    metadata: {{labels: {{app: web{metadata}}}\n    \
         spec: {{{spec}}}\n"
    )
}

const CONTAINER: &str = "containers: [{name: c, command: [a, b], args: [c]}]";

#[test]
fn a_deployment_is_a_group_with_a_sidecar() {
    let (groups, problems) = read(&deployment("}", CONTAINER));
    assert_eq!(problems, [""; 0]);
    let group = &groups[0];
    assert_eq!((group.key.kind, group.key.name.as_str(), group.replicas), ("Deployment", "web", 2));
    assert_eq!(group.template.role, Role::Sidecar { capture: true });
    assert_eq!(group.template.commands, [("c".into(), vec!["a".into(), "b".into(), "c".into()])]);
    assert_eq!(group.hash.len(), 10);
    let (again, _) = read(&deployment("}", CONTAINER));
    assert_eq!(group.hash, again[0].hash);
    let (other, _) = read(&deployment(", x: y}", CONTAINER));
    assert_ne!(group.hash, other[0].hash);
}

#[test]
fn injection_follows_istios_words() {
    let role = |metadata: &str| read(&deployment(metadata, CONTAINER)).0.first().map(|g| g.template.role);
    assert_eq!(role(", sidecar.istio.io/inject: 'false'}"), Some(Role::Plain));
    assert_eq!(role("}, annotations: {sidecar.istio.io/inject: 'false'}"), Some(Role::Plain));
    assert_eq!(role("}, annotations: {inject.istio.io/templates: gateway}"), Some(Role::Gateway));
    let none = Some(Role::Sidecar { capture: false });
    assert_eq!(role("}, annotations: {sidecar.istio.io/interceptionMode: NONE}"), none);
    let namespace =
        "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {istio-injection: disabled}}";
    let (groups, _) = read(&format!("{}{namespace}", deployment("}", CONTAINER)));
    assert_eq!(groups[0].template.role, Role::Plain);
}

#[test]
fn what_cannot_run_is_named() {
    #[track_caller]
    fn check(metadata: &str, spec: &str, runs: bool, expected: &str) {
        let (groups, problems) = read(&deployment(metadata, spec));
        assert_eq!(groups.len(), usize::from(runs), "{problems:?}");
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{problems:?}");
        assert!(problems[0].starts_with("Deployment shop/web: "), "{problems:?}");
    }
    check("}", "containers: [{name: c, image: 'kong/httpbin:1'}]", false, "container c is not started");
    let two = "containers: [{name: c, image: x}, {name: d, command: [d]}]";
    check("}", two, true, "nothing stands in for x");
    check("}", &format!("hostNetwork: true, {CONTAINER}"), false, "hostNetwork");
    check("}", &format!("securityContext: {{runAsUser: 1337}}, {CONTAINER}"), false, "1337");
    check("}", "containers: [{name: c, command: [a], securityContext: {runAsUser: 0}}]", false, "not root");
    let bad = "}, annotations: {traffic.sidecar.istio.io/excludeInboundPorts: web}";
    check(bad, CONTAINER, false, "excludeInboundPorts");
    check("}, annotations: {sidecar.istio.io/interceptionMode: TPROXY}", CONTAINER, false, "TPROXY");
}
