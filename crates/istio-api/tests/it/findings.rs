//! What is said about wrong, unknown and ineffective configuration, and what stays of it.

use istio_api::networking::{HeaderMatch, LoadBalancer};
use istio_api::security::{Action, MtlsMode};
use istio_api::{Kind, Parsed, StringMatch, parse_stream};

/// Findings as lines; what is expected is a list of parts of them, in order.
#[track_caller]
fn check(text: &str, expected: &[&str]) -> Parsed {
    let parsed = parse_stream("f.yaml", text);
    let lines: Vec<String> = parsed.findings.iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, part) in lines.iter().zip(expected) {
        assert!(line.contains(part), "{line}\nhas no {part:?}");
    }
    parsed
}

fn object(kind: &str, spec: &str) -> String {
    let group = match kind {
        "PeerAuthentication" | "AuthorizationPolicy" => "security",
        _ => "networking",
    };
    let spec = spec.replace('\n', "\n  ");
    format!(
        "apiVersion: {group}.istio.io/v1\nkind: {kind}\nmetadata: {{name: x, namespace: shop}}\nspec:\n  {spec}"
    )
}

const ROUTE: &str = "route: [{destination: {host: reviews}}]";

#[test]
fn a_broken_document_costs_only_itself() {
    let text = "kind: Namespace\napiVersion: v1\nmetadata: {name: a}\n---\nkind: [\n---\n\
                kind: Namespace\napiVersion: v1\nmetadata: {name: b}\n";
    let parsed = check(text, &["f.yaml:5:7: Error [LTN0001] unclosed bracket"]);
    let names: Vec<&str> = parsed.documents.iter().map(|d| d.object.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert!(parsed.incomplete);
}

#[test]
fn what_is_no_object_of_ours_is_named() {
    check("a: 1", &["f.yaml:1:1: Warning [LTN0006] has neither apiVersion nor kind"]);
    check("- a", &["Error [LTN0001] must be a Kubernetes object, not a list"]);
    check("kind: Pod", &["Error [IST0106] apiVersion is required"]);
    check("apiVersion: v1\nkind: Service\nmetadata: {}", &["Error [IST0106] metadata: name is required"]);
    check(
        "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}",
        &["Info [LTN0006] (Job j) the kind Job (batch/v1)"],
    );
    let policy = "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {name: s}\nspec: {}";
    check(policy, &["Warning [LTN0004] (Telemetry default/s) the kind Telemetry has no effect yet"]);
    let route = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}";
    check(route, &["Warning [LTN0004] (HTTPRoute r)"]);
    let typo = "apiVersion: networking.istio.io/v1\nkind: VirtualServices\nmetadata: {name: s}";
    check(
        typo,
        &[
            "Error [LTN0005] (VirtualServices s) networking.istio.io/v1 has no kind VirtualServices; did you mean VirtualService?",
        ],
    );
    let version = "apiVersion: networking.istio.io/v2\nkind: Gateway\nmetadata: {name: s}";
    check(version, &["Gateway is not served in networking.istio.io/v2 (versions: v1, v1alpha3, v1beta1)"]);
}

#[test]
fn lists_and_json_are_read_and_doubles_are_named() {
    let item = |name: &str| {
        format!(r#"{{"apiVersion": "v1", "kind": "Namespace", "metadata": {{"name": "{name}"}}}}"#)
    };
    let list = format!(
        r#"{{"apiVersion": "v1", "kind": "List", "items": [{}, {}, {}]}}"#,
        item("a"),
        item("b"),
        item("a")
    );
    let parsed =
        check(&list, &["Error [LTN0008] (Namespace a) is given twice; the one at f.yaml:1:48 counts"]);
    assert_eq!(parsed.documents.len(), 2);
}

#[test]
fn unknown_fields_refuse_the_object_and_known_ones_without_effect_do_not() {
    let text = object("VirtualService", &format!("hosts: [reviews]\nhttp:\n- timeot: 5s\n  {ROUTE}"));
    let parsed = check(
        &text,
        &["f.yaml:7:5: Error [LTN0003] (VirtualService shop/x) spec.http[0].timeot: \
        unknown field \"timeot\"; did you mean timeout?"],
    );
    assert!(parsed.documents[0].broken);
    let text = object(
        "VirtualService",
        &format!(
            "hosts: [reviews]\nhttp:\n- retries: {{attempts: 1, retryOn: retriable-headers}}\n  {ROUTE}"
        ),
    );
    let parsed = check(
        &text,
        &[
            "f.yaml:7:37: Warning [LTN0002] (VirtualService shop/x) spec.http[0].retries.retryOn: retriable-headers has no effect yet",
        ],
    );
    assert!(!parsed.documents[0].broken);
    let text = object("VirtualService", &format!("hosts: [reviews]\nhttp:\n- {ROUTE}\nunexpected: 1"));
    check(&text, &["spec.unexpected: unknown field"]);
}

#[test]
fn snake_case_names_the_same_fields() {
    let retries = "retries: {attempts: 2, per_try_timeout: 2s, retry_on: '5xx,503'}";
    let parsed =
        check(&object("VirtualService", &format!("hosts: [reviews]\nhttp:\n- {retries}\n  {ROUTE}")), &[]);
    let Kind::VirtualService(vs) = &parsed.documents[0].body else { panic!() };
    let retries = vs.http[0].retries.as_ref().expect("retries");
    assert_eq!(retries.per_try_timeout, Some(std::time::Duration::from_secs(2)));
    assert_eq!(retries.retry_on.as_deref(), Some("5xx,503"));
    let both = "retries: {attempts: 2, perTryTimeout: 2s, per_try_timeout: 2s}";
    check(
        &object("VirtualService", &format!("hosts: [reviews]\nhttp:\n- {both}\n  {ROUTE}")),
        &["given twice"],
    );
}

#[test]
fn conditions_that_cannot_be_evaluated_are_visible() {
    let spec = format!(
        "hosts: [reviews]\nhttp:\n- match:\n  - {{uri: {{prefix: /a}}, queryParams: {{q: {{exact: a}}}}}}\n  \
         - {{headers: {{End-User: {{exact: jason}}, x: {{}}}}, methud: {{exact: GET}}}}\n  {ROUTE}"
    );
    let parsed = check(
        &object("VirtualService", &spec),
        &["spec.http[0].match[1].methud: unknown field \"methud\"; did you mean method?"],
    );
    assert!(!parsed.documents[0].broken, "the conditions are narrowed instead");
    let Kind::VirtualService(vs) = &parsed.documents[0].body else { panic!() };
    let matches = &vs.http[0].matches;
    assert!(matches[0].unsupported.is_empty());
    assert_eq!(matches[1].unsupported, ["spec.http[0].match[1].methud"]);
    assert_eq!(matches[0].uri, Some(StringMatch::Prefix("/a".into())));
    assert_eq!(matches[1].headers.get("x"), Some(&HeaderMatch::Present));
    let jason = HeaderMatch::Value(StringMatch::Exact("jason".into()));
    assert_eq!(matches[1].headers.get("end-user"), Some(&jason));
}

#[test]
fn policies_keep_what_they_select_when_they_are_broken() {
    let spec = "selector: {matchLabels: {app: a}}\nmtls: {mode: STRICKT}";
    let parsed = check(
        &object("PeerAuthentication", spec),
        &[
            "f.yaml:6:16: Error [IST0106] (PeerAuthentication shop/x) spec.mtls.mode: \"STRICKT\" is none of UNSET, DISABLE",
        ],
    );
    let Kind::PeerAuthentication(policy) = &parsed.documents[0].body else { panic!() };
    assert!(policy.broken && parsed.documents[0].broken);
    assert_eq!(policy.selector.as_ref().and_then(|s| s.get("app")), Some("a"));

    // A selector that cannot be read selects the whole namespace.
    let parsed = check(
        &object("PeerAuthentication", "selector: {matchLabels: {app: 1}}\nmtls: {mode: DISABLE}"),
        &["must be a string: write \"1\" in quotes"],
    );
    let Kind::PeerAuthentication(policy) = &parsed.documents[0].body else { panic!() };
    assert!(policy.broken && policy.selector.is_none());

    // Also when there is no content at all to be read.
    let text = object("AuthorizationPolicy", "").replace("spec:\n  ", "spec: [1]");
    let parsed = check(&text, &["spec: must be an object, not a list"]);
    let Kind::AuthorizationPolicy(policy) = &parsed.documents[0].body else { panic!() };
    assert!(policy.broken && policy.selector.is_none());

    let parsed = check(&object("PeerAuthentication", "mtls: {mode: STRICT}"), &[]);
    let Kind::PeerAuthentication(policy) = &parsed.documents[0].body else { panic!() };
    assert_eq!((policy.mode, policy.broken), (Some(MtlsMode::Strict), false));
}

#[test]
fn authorization_rules_say_what_of_them_is_not_understood() {
    let spec = "action: DENY\nrules:\n- from:\n  - source: {namespaces: [a], ipBlocks: [10.0.0.0/8]}\n  \
                - source: {principal: [x], namespaces: [b]}\n  to:\n  - operation: {paths: ['/x/{*}'], methods: [GET]}\n  \
                when:\n  - {key: source.ip, values: [1.2.3.4]}";
    let parsed = check(
        &object("AuthorizationPolicy", spec),
        &[
            "spec.rules[0].from[1].source.principal: unknown field",
            "spec.rules[0]: uses only attributes of HTTP",
            "spec.rules[0].from[0].source.ipBlocks: this condition",
            "spec.rules[0].to[0].operation.paths: this condition",
            "spec.rules[0].when: this condition",
        ],
    );
    let Kind::AuthorizationPolicy(policy) = &parsed.documents[0].body else { panic!() };
    let rule = &policy.rules[0];
    assert!(!policy.broken);
    assert_eq!(policy.action, Action::Deny);
    assert_eq!(rule.unsupported, ["spec.rules[0].when"]);
    assert_eq!(rule.from[0].unsupported, ["spec.rules[0].from[0].source.ipBlocks"]);
    assert_eq!(rule.from[1].unsupported, ["spec.rules[0].from[1].source.principal"]);
    assert_eq!(rule.to[0].unsupported, ["spec.rules[0].to[0].operation.paths"]);
    assert!(rule.to[0].paths.is_empty());
    assert_eq!(rule.to[0].methods, ["GET"]);
}

#[test]
fn single_values_are_judged() {
    for (kind, spec, part) in [
        (
            "VirtualService",
            "hosts: ['*']\nhttp: [{route: [{destination: {host: a}}]}]",
            "spec.hosts[0]: the host * is only possible at gateways",
        ),
        (
            "VirtualService",
            "hosts: [a]\nhttp: [{route: [{destination: {host: a, port: {number: 70000}}}]}]",
            "from 1 to 65535",
        ),
        (
            "VirtualService",
            "hosts: [a]\nhttp: [{timeout: 5, route: [{destination: {host: a}}]}]",
            "write \"5\" in quotes",
        ),
        (
            "VirtualService",
            "hosts: [a]\nhttp: [{timeout: 1us, route: [{destination: {host: a}}]}]",
            "at least 1ms",
        ),
        (
            "VirtualService",
            "hosts: [a]\nhttp: [{timeout: soon, route: [{destination: {host: a}}]}]",
            "must be a duration",
        ),
        (
            "VirtualService",
            "hosts: [a]\nhttp: [{route: [{destination: {host: a}, weight: \"90\"}]}]",
            "an integer, not a string",
        ),
        ("VirtualService", "hosts: [a]\nhttp: [{route: [{weight: 1}]}]", "destination is required"),
        ("VirtualService", "hosts: [a]\nhttp: [{}]", "needs route, redirect"),
        (
            "VirtualService",
            "hosts: [a]\nhttp: [{match: [{uri: {exact: /, prefix: /}}], route: [{destination: {host: a}}]}]",
            "only one of exact, prefix can be set",
        ),
        ("DestinationRule", "host: a\nsubsets: [{name: v_1}]", "no DNS label"),
        ("DestinationRule", "host: a\nsubsets: [{name: v1}, {name: v1}]", "the subset v1 is given twice"),
        (
            "DestinationRule",
            "host: a\ntrafficPolicy: {loadBalancer: {simple: RANDOMLY}}",
            "is none of UNSPECIFIED",
        ),
        (
            "Gateway",
            "servers: [{port: {number: 80, name: http, protocol: HTTPX}, hosts: ['*']}]",
            "is no protocol",
        ),
        (
            "ServiceEntry",
            "hosts: [a.com]\nresolution: STATIC\nports: [{number: 80, name: http}]\nendpoints: [{address: b.com}]",
            "\"b.com\" is no IP address",
        ),
        ("AuthorizationPolicy", "rules: [{to: [{operation: {ports: ['x']}}]}]", "\"x\" is no port"),
        ("AuthorizationPolicy", "action: DENY", "DENY without rules never applies"),
    ] {
        let parsed = parse_stream("f.yaml", &object(kind, spec));
        let lines: Vec<String> = parsed.findings.iter().map(ToString::to_string).collect();
        assert!(lines.iter().any(|line| line.contains("Error") && line.contains(part)), "{spec}: {lines:#?}");
        assert!(parsed.documents[0].broken, "{spec}");
    }
}

#[test]
fn what_a_gateway_cannot_serve_opens_no_port() {
    let spec = "servers:\n- {port: {number: 443, name: https, protocol: HTTPS}, hosts: ['*'], tls: {mode: SIMPLE, credentialName: c}}\n\
                - {port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}\n\
                - {port: {number: 81, name: http2, protocol: HTTP}, hosts: ['*'], tls: {httpsRedirect: true}}\n\
                - {port: {number: 0, name: socket, protocol: TCP}, bind: 'unix:///a', hosts: ['*']}";
    let parsed = parse_stream("f.yaml", &object("Gateway", spec));
    let Kind::Gateway(gateway) = &parsed.documents[0].body else { panic!() };
    let closed: Vec<bool> = gateway.servers.iter().map(|s| !s.unsupported.is_empty()).collect();
    assert_eq!(closed, [false, false, false, true], "{:#?}", parsed.findings);
    assert!(!parsed.documents[0].broken);
}

#[test]
fn faults_take_percentages_in_both_forms() {
    let spec =
        |fault: &str| object("VirtualService", &format!("hosts: [a]\nhttp:\n- fault: {fault}\n  {ROUTE}"));
    let percent = |fault: &str, expected: &[&str]| {
        let parsed = check(&spec(fault), expected);
        let Kind::VirtualService(vs) = &parsed.documents[0].body else { panic!() };
        vs.http[0].fault.clone().and_then(|f| f.delay).map(|d| d.percentage.millionths())
    };
    assert_eq!(percent("{delay: {fixedDelay: 7s, percentage: {value: 0.1}}}", &[]), Some(1000));
    assert_eq!(percent("{delay: {fixedDelay: 7s, percent: 10}}", &["IST0002"]), Some(100_000));
    assert_eq!(percent("{delay: {fixedDelay: 7s}}", &["applies to no request"]), Some(0));
    check(
        &spec("{delay: {fixedDelay: 7s, percentage: {value: 101}}}"),
        &["must be 0, or from 0.0001 to 100"],
    );
    check(&spec("{abort: {httpStatus: 100, percentage: {value: 1}}}"), &["from 200 to 599"]);
    check(&spec("{abort: {percentage: {value: 1}}}"), &["names no error, so it does nothing"]);
    check(&spec("{}"), &["needs delay or abort"]);
}

#[test]
fn traffic_policies_are_read_with_their_ports() {
    let spec = "host: a\ntrafficPolicy:\n  loadBalancer: {simple: LEAST_CONN}\n  connectionPool: {tcp: {maxConnections: 1}}\n  portLevelSettings:\n  \
                - {port: {number: 80}, tls: {mode: SIMPLE, sni: a.com, credentialName: c}}";
    let parsed = check(&object("DestinationRule", spec), &[]);
    let Kind::DestinationRule(rule) = &parsed.documents[0].body else { panic!() };
    let policy = rule.traffic_policy.as_ref().expect("policy");
    assert_eq!(policy.load_balancer, Some(LoadBalancer::LeastRequest));
    let tls = policy.ports[0].tls.as_ref().expect("tls");
    assert_eq!(tls.sni.as_deref(), Some("a.com"));
    assert_eq!(tls.credential_name.as_deref(), Some("c"));
}

#[test]
fn a_mesh_configuration_in_a_config_map_is_read_with_places() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio, namespace: istio-system}\ndata:\n  mesh: |\n    \
                accessLogFile: /dev/stdout\n    enableAutoMtls: nope\n    trustDomian: x\n";
    let parsed = check(
        text,
        &[
            "f.yaml:7:17: Error [IST0106] (ConfigMap istio-system/istio) data.mesh.enableAutoMtls: must be true or false",
            "f.yaml:8:1: Error [LTN0003] (ConfigMap istio-system/istio) data.mesh.trustDomian: unknown field \"trustDomian\"; did you mean trustDomain?",
        ],
    );
    let Kind::ConfigMap(map) = &parsed.documents[0].body else { panic!() };
    assert_eq!(map.mesh.as_ref().map(|m| m.access_log_file.as_str()), Some("/dev/stdout"));
    assert!(parsed.documents[0].broken);
}
