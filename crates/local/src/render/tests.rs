//! Pods from templates.

use super::*;
use crate::images::Images;
use crate::workload::groups;

const TEXT: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: shop}
data: {mode: fast, a.conf: hello}
---
apiVersion: v1
kind: Secret
metadata: {name: key, namespace: shop}
stringData: {password: geheim}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec:
  serviceAccountName: web
  volumes:
  - {name: scratch, emptyDir: {}}
  - {name: conf, configMap: {name: settings, items: [{key: a.conf, path: etc/a.conf}]}}
  - {name: key, secret: {secretName: key}}
  containers:
  - name: web
    command: [serve, '--mode=$(MODE)', '$$(MODE)', $(NONE)]
    workingDir: /srv
    env:
    - {name: MODE, valueFrom: {configMapKeyRef: {name: settings, key: mode}}}
    - {name: BOTH, value: '$(MODE)-$(IP)'}
    - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
    - {name: APP, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['app']\"}}}
    - {name: PASSWORD, valueFrom: {secretKeyRef: {name: key, key: password}}}
    - {name: MAYBE, valueFrom: {secretKeyRef: {name: none, key: x, optional: true}}}
    ports: [{name: http, containerPort: 9080}]
    readinessProbe: {httpGet: {path: /health, port: http}, periodSeconds: 1}
    volumeMounts:
    - {name: scratch, mountPath: /tmp}
    - {name: conf, mountPath: /srv/conf, subPath: etc, readOnly: true}
";

fn plan(text: &str) -> (PodPlan, istio_api::Parsed) {
    let parsed = istio_api::parse_stream("test.yaml", text);
    let (found, problems) = groups(parsed.documents.iter(), &Images::default());
    assert!(problems.is_empty(), "{problems:?}");
    let plan = PodPlan {
        namespace: "shop".into(),
        name: "web".into(),
        workload: "web".into(),
        address: Ipv4Addr::new(10, 1, 0, 2),
        host: Ipv4Addr::new(10, 1, 0, 1),
        template: found[0].template.clone(),
        folder: "/r/pods/web".into(),
        logs: "/r/logs".into(),
    };
    (plan, parsed)
}

fn lookup(parsed: &istio_api::Parsed) -> impl Fn(&str, &str, &str) -> Option<Kind> {
    move |kind, namespace, name| {
        let mut found =
            parsed.documents.iter().filter(|d| *d.object.kind == *kind && *d.object.name == *name);
        found.find(|d| *d.object.namespace == *namespace).map(|d| d.body.clone())
    }
}

#[test]
fn a_container_gets_what_it_declares() {
    let (plan, parsed) = plan(TEXT);
    let planned = plan.applications(&lookup(&parsed)).unwrap();
    let spec = &planned[0].spec;
    assert_eq!(spec.command, ["serve", "--mode=fast", "$(MODE)", "$(NONE)"]);
    let env = |name: &str| spec.env.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    assert_eq!(env("BOTH"), Some("fast-$(IP)"), "a later variable is not known yet");
    assert_eq!([env("IP"), env("APP"), env("PASSWORD")], [Some("10.1.0.2"), Some("web"), Some("geheim")]);
    assert_eq!(env("MAYBE"), None);
    assert_eq!((spec.uid, spec.working_dir.as_deref()), (NOBODY, Some("/srv")));
    let mount = |target: &str| spec.mounts.iter().find(|m| m.target == Path::new(target)).unwrap();
    assert_eq!(mount("/srv/conf").source, Path::new("/r/pods/web/volumes/conf/etc"));
    assert!(mount("/srv/conf").read_only && !mount("/tmp").read_only);
    assert!(
        !spec.mounts.iter().any(|m| m.target.starts_with("/var/run/secrets")),
        "the token is the proxy's"
    );
    let check = Check::Http { address: plan.address, port: 9080, path: "/health".into(), headers: vec![] };
    assert_eq!(planned[0].probe.as_ref().unwrap().check, check);
}

#[test]
fn volumes_have_the_keys_as_files() {
    let (plan, parsed) = plan(TEXT);
    let volumes = plan.volumes(&lookup(&parsed)).unwrap();
    assert_eq!(volumes["scratch"], None);
    let files = |name: &str| volumes[name].as_ref().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(files("conf"), [PathBuf::from("etc/a.conf")]);
    assert_eq!(files("key"), [PathBuf::from("password")]);
}

#[test]
fn what_is_missing_is_named() {
    #[track_caller]
    fn check(from: &str, to: &str, expected: &str) {
        let text = TEXT.replace(from, to);
        assert_ne!(text, TEXT);
        let (plan, parsed) = plan(&text);
        let lookup = lookup(&parsed);
        let error = plan.applications(&lookup).err().or_else(|| plan.volumes(&lookup).err()).unwrap();
        assert!(error.contains(expected), "{error}");
    }
    check("key: mode}", "key: other}", "no key other in ConfigMap shop/settings");
    check("status.podIP", "status.phase", "no field status.phase");
    check("port: http}", "port: web}", "no port web");
    check("{name: scratch, mountPath", "{name: scratchy, mountPath", "no volume scratchy");
    check("configMap: {name: settings", "configMap: {name: gone", "no ConfigMap shop/gone");
    check("path: etc/a.conf", "path: ../a.conf", "not inside");
    check("httpGet: {path: /health, port: http}", "grpc: {port: 1}", "grpc is not supported");
}

#[test]
fn the_proxy_has_the_token_and_its_user() {
    let (plan, _) = plan(TEXT);
    let agent =
        AgentCommand { arguments: vec!["agent".into()], env: vec![("A".into(), "b".into())], files: vec![] };
    let proxy = plan.proxy(agent).unwrap().spec;
    assert_eq!((proxy.uid, proxy.gid), (1337, 1337));
    assert_eq!(proxy.command, [BINARY, "agent"]);
    assert!(proxy.mounts.iter().any(|m| m.target == Path::new("/var/run/secrets/tokens") && m.read_only));
    assert!(proxy.env.contains(&("A".into(), "b".into())));
}
