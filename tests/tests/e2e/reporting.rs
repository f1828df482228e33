//! What is wrong is said by name and place, and costs only its owner.

use std::time::Duration;

use lateen_tests::{Sidecar, apply_text, delete, echo, get, with_access_log};
use testkit::{eventually, root};

#[test]
fn broken_input_is_reported_and_harms_nobody() {
    if !root("reporting: broken input") {
        return;
    }
    let mesh = echo(&Sidecar::Lateen, &["--mesh-config", &with_access_log()]);
    let fine = |what: &str| {
        eventually(what, Duration::from_secs(5), || match get(&mesh, "/", &[]).status {
            200 => Ok(()),
            other => Err(format!("status {other}")),
        });
    };
    fine("at first");
    mesh.apply("broken.yaml", "apiVersion: v1\nkind: Service\nmetadata:\n  name: [unclosed\n");
    let line = mesh.wait_for_output("broken.yaml:", Duration::from_secs(5));
    assert!(line.contains("broken.yaml:4:") || line.contains("broken.yaml:5:"), "no line and column: {line}");
    mesh.apply(
        "unknown.yaml",
        "apiVersion: networking.istio.io/v1\nkind: VirtualServise\nmetadata:\n  name: x\n",
    );
    let line = mesh.wait_for_output("VirtualServise", Duration::from_secs(5));
    assert!(line.contains("unknown.yaml:"), "{line}");
    apply_text(
        &mesh,
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: nowhere\nspec:\n  hosts: [echo]\n  \
         http:\n  - match: [{uri: {prefix: /nowhere}}]\n    route: [{destination: {host: no-such-host}}]\n  \
         - route: [{destination: {host: echo}}]\n",
    );
    let line = mesh.wait_for_output("no-such-host", Duration::from_secs(5));
    assert!(line.contains("nowhere") && line.contains("spec.http[0]"), "{line}");
    fine("with all of that");

    // The last good version stays while a file is broken, and what is good again takes effect.
    let policy = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata:\n  name: deny\nspec:\n  \
        selector: {matchLabels: {app: echo}}\n  action: DENY\n  rules: [{to: [{operation: {paths: [/denied]}}]}]\n";
    mesh.apply("policy.yaml", policy);
    let denied = |what: &str, expected: u16| {
        eventually(what, Duration::from_secs(5), || match get(&mesh, "/denied", &[]).status {
            found if found == expected => Ok(()),
            found => Err(format!("status {found}")),
        });
    };
    denied("the policy is in effect", 403);
    mesh.apply("policy.yaml", &policy.replace("action: DENY", "action: [DENY"));
    mesh.wait_for_output("policy.yaml:", Duration::from_secs(5));
    denied("the last good version stays", 403);
    mesh.apply("policy.yaml", &policy.replace("/denied", "/other"));
    denied("the mended file takes effect", 200);
    delete(&mesh, &["broken.yaml".into(), "unknown.yaml".into()]);
    fine("at last");
}

#[test]
fn the_access_log_tells_what_happened() {
    if !root("reporting: access log") {
        return;
    }
    let mesh = echo(&Sidecar::Lateen, &["--mesh-config", &with_access_log()]);
    apply_text(
        &mesh,
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata:\n  name: deny\nspec:\n  \
         selector: {matchLabels: {app: echo}}\n  action: DENY\n  rules: [{to: [{operation: {paths: [/denied]}}]}]\n",
    );
    apply_text(
        &mesh,
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata:\n  name: dead\nspec:\n  hosts: [dead.external]\n  \
         resolution: STATIC\n  ports: [{number: 81, name: http, protocol: HTTP}]\n  endpoints: [{address: 127.0.0.1}]\n",
    );
    apply_text(
        &mesh,
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: front\nspec:\n  hosts: [\"*\"]\n  \
         gateways: [gateway]\n  http:\n  - match: [{uri: {prefix: /dead}}]\n    \
         retries: {attempts: 2, retryOn: connect-failure}\n    \
         route: [{destination: {host: dead.external, port: {number: 81}}}]\n  \
         - match: [{uri: {prefix: /status}}]\n    retries: {attempts: 2, retryOn: 5xx}\n    \
         route: [{destination: {host: echo, port: {number: 8080}}}]\n  \
         - route: [{destination: {host: echo, port: {number: 8080}}}]\n",
    );
    let ask = |path: &str, expected: u16| {
        eventually(path, Duration::from_secs(10), || match get(&mesh, path, &[]).status {
            found if found == expected => Ok(()),
            found => Err(format!("status {found}")),
        });
    };
    ask("/denied", 403);
    ask("/dead", 503);
    ask("/status?status=503", 503);
    let log = |pod: &str, path: &str, flag: &str| {
        eventually(&format!("{path} with {flag} in the log of {pod}"), Duration::from_secs(5), || {
            // Which of several pods it meets is the balancer's choice: ask until it is this one.
            get(&mesh, path, &[]);
            let output =
                mesh.command(&["logs", &mesh.pod(pod).name, "--proxy"]).output().expect("lateen logs");
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let found = text.lines().any(|line| line.contains(path) && line.contains(flag));
            if found { Ok(()) } else { Err(text) }
        });
    };
    log("echo-v", "/denied", "rbac_access_denied_matched_policy");
    log("istio-ingressgateway", "/dead", "URX,UF");
    log("istio-ingressgateway", "/status", " URX ");
}
