//! What is read and does nothing yet is said by name: the list of it, kind by kind. Who gives a
//! field its effect takes it off the list here; a field may never go off it by itself.

use istio_api::{Kind, Parsed, codes, parse_stream};
use model::Level;

/// The paths below `spec` that are reported as having no effect; `=` stands for the object itself.
#[track_caller]
fn check(group: &str, kind: &str, spec: &str, expected: &[&str]) -> Parsed {
    let text = format!(
        "apiVersion: {group}.istio.io/v1beta1\nkind: {kind}\nmetadata: {{name: x, namespace: shop}}\nspec:\n  {}",
        spec.replace('\n', "\n  ")
    );
    let parsed = parse_stream("f.yaml", &text);
    let errors: Vec<String> =
        parsed.findings.iter().filter(|f| f.level == Level::Error).map(ToString::to_string).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{text}");
    let silent = parsed.findings.iter().filter(|f| f.code == codes::NO_EFFECT);
    let mut paths: Vec<&str> =
        silent.map(|f| f.field.trim_start_matches("spec").trim_start_matches('.')).collect();
    paths.sort_unstable();
    paths.dedup();
    let mut expected: Vec<&str> = expected.iter().map(|path| if *path == "=" { "" } else { path }).collect();
    expected.sort_unstable();
    assert_eq!(paths, expected, "{:#?}", parsed.findings);
    parsed
}

#[test]
fn of_virtual_services() {
    let spec = "hosts: [a.com]
http:
- match:
  - uri: {prefix: /}
    scheme: {exact: https}
    port: 80
    sourceLabels: {a: b}
    sourceNamespace: shop
    queryParams: {q: {exact: a}}
    withoutHeaders: {h: {}}
    statPrefix: s
  rewrite: {uri: /}
  mirrors: [{destination: {host: m}}]
  mirrorPercentage: {value: 10}
  mirrorPercent: 10
  corsPolicy: {allowOrigins: [{exact: a}]}
  headers: {request: {set: {a: b}}}
  retries: {attempts: 1, retryOn: retriable-headers, retryRemoteLocalities: true, retryIgnorePreviousHosts: true, backoff: 1s}
  route: [{destination: {host: a}, headers: {response: {remove: [a]}}}]
- match: [{uri: {exact: /a}}]
  redirect: {uri: /b}
- match: [{uri: {exact: /b}}]
  directResponse: {status: 200, body: {bytes: YQ==}}
- match: [{uri: {exact: /c}}]
  delegate: {name: d}
- mirror: {host: m}
  fault: {abort: {httpStatus: 500, percentage: {value: 1}}}
  route: [{destination: {host: a}}]
tls: [{match: [{sniHosts: [a.com]}], route: [{destination: {host: a}}]}]
tcp: [{match: [{port: 80}], route: [{destination: {host: a}}]}]";
    let parsed = check(
        "networking",
        "VirtualService",
        spec,
        &["http[0].retries.retryOn", "http[2].directResponse.body.bytes"],
    );
    let Kind::VirtualService(service) = &parsed.documents[0].body else { panic!() };
    assert!(service.http[0].matches[0].unsupported.is_empty());
    assert_eq!(service.http[1].redirect.as_ref().and_then(|r| r.uri.as_deref()), Some("/b"));
    assert_eq!(service.http[4].mirrors.len(), 1);
    assert_eq!(service.tls[0].matches[0].sni_hosts, ["a.com"]);
}

#[test]
fn of_destination_rules() {
    let policy = "loadBalancer:
    simple: ROUND_ROBIN
    localityLbSetting: {enabled: true}
    warmup: {duration: 1s}
    warmupDurationSecs: 1s
  connectionPool: {tcp: {maxConnections: 1}}
  outlierDetection: {interval: 1s, outlierDetectionHttpErrorCodes: [500]}
  tls: {mode: SIMPLE, caCertificates: /ca, insecureSkipVerify: false}";
    let spec = format!(
        "host: a\nworkloadSelector: {{matchLabels: {{a: b}}}}\ntrafficPolicy:\n  {policy}\n  tunnel: {{protocol: POST, targetHost: a.com, targetPort: 80}}\n  \
         retryBudget: {{percent: 10, budgetInterval: 1s}}\n  portLevelSettings:\n  - port: {{number: 80}}\n    loadBalancer: {{consistentHash: {{useSourceIp: true}}}}\n    \
         connectionPool: {{http: {{maxRetries: 1}}}}\n    outlierDetection: {{interval: 1s}}\nsubsets:\n- name: v1\n  trafficPolicy: {{proxyProtocol: {{version: V2}}, \
         loadBalancer: {{zoneAwareLbSetting: {{enabled: true}}, backendUtilization: {{}}}}}}"
    );
    let parsed = check(
        "networking",
        "DestinationRule",
        &spec,
        &[
            "trafficPolicy.outlierDetection.outlierDetectionHttpErrorCodes",
            "trafficPolicy.tunnel",
            "subsets[0].trafficPolicy.loadBalancer.zoneAwareLbSetting",
            "subsets[0].trafficPolicy.loadBalancer.backendUtilization",
        ],
    );
    let Kind::DestinationRule(rule) = &parsed.documents[0].body else { panic!() };
    let policy = rule.traffic_policy.as_ref().expect("policy");
    let pool = policy.connection_pool.as_ref().and_then(|pool| pool.tcp.as_ref()).expect("pool");
    assert_eq!(pool.max_connections, Some(1));
    assert!(rule.workload_selector.is_some());
}

/// Wherever the rule says it.
#[test]
fn of_secrets_at_sidecars() {
    let tls = "tls: {mode: SIMPLE, credentialName: c}";
    let spec = format!(
        "host: a\nworkloadSelector: {{matchLabels: {{a: b}}}}\ntrafficPolicy: {{{tls}, portLevelSettings: [{{port: {{number: 80}}, {tls}}}]}}\n\
         subsets: [{{name: v1, trafficPolicy: {{{tls}}}}}]"
    );
    let expected = [
        "trafficPolicy.tls.credentialName",
        "trafficPolicy.portLevelSettings[0].tls.credentialName",
        "subsets[0].trafficPolicy.tls.credentialName",
    ];
    check("networking", "DestinationRule", &spec, &expected);
}

#[test]
fn of_gateways_and_service_entries() {
    let spec = "servers:\n- {port: {number: 80, name: a, protocol: HTTP}, hosts: ['*'], defaultEndpoint: 'unix:///a'}\n\
                - {port: {number: 0, name: b, protocol: HTTP}, hosts: ['*'], bind: 'unix:///a'}";
    check("networking", "Gateway", spec, &["servers[0].defaultEndpoint", "servers[1].bind"]);
    let spec = "hosts: [a.com]\nresolution: STATIC\naddresses: [10.0.0.0/8]\nports: [{number: 80, name: a}]\n\
                endpoints: [{address: 'unix:///a'}]";
    check("networking", "ServiceEntry", spec, &[]);
    let spec = "hosts: ['*.a.com']\nresolution: DYNAMIC_DNS\nports: [{number: 80, name: a, protocol: HTTP}]";
    check("networking", "ServiceEntry", spec, &[]);
}

#[test]
fn of_authorization_policies() {
    let source = "{ipBlocks: [10.0.0.1], notIpBlocks: [10.0.0.1], remoteIpBlocks: [10.0.0.1], notRemoteIpBlocks: [10.0.0.1], \
                  requestPrincipals: [a], notRequestPrincipals: [a], trustDomains: [a], notTrustDomains: [a], principals: [a]}";
    let spec = format!(
        "rules:\n- from: [{{source: {source}}}]\n  to: [{{operation: {{paths: ['/{{*}}'], ports: ['80']}}}}]\n  \
         when: [{{key: source.ip, values: [10.0.0.1]}}]"
    );
    let at = |name: &str| format!("rules[0].from[0].source.{name}");
    let mut expected: Vec<String> =
        ["ipBlocks", "notIpBlocks", "remoteIpBlocks", "notRemoteIpBlocks", "requestPrincipals"]
            .map(at)
            .into();
    expected.extend(["notRequestPrincipals", "trustDomains", "notTrustDomains"].map(at));
    expected.extend(["rules[0].to[0].operation.paths", "rules[0].when"].map(str::to_owned));
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    check("security", "AuthorizationPolicy", &spec, &expected);
    check("security", "AuthorizationPolicy", "action: AUDIT", &["action"]);
    let spec = "targetRefs: [{kind: Service, name: a}]";
    check("security", "AuthorizationPolicy", spec, &["targetRefs"]);
}

#[test]
fn of_sidecars() {
    let spec = "ingress: [{port: {number: 80, name: a, protocol: HTTP}, defaultEndpoint: 'unix:///a', bind: 10.0.0.1}]
egress: [{port: {number: 81, name: b, protocol: HTTP_PROXY}, hosts: ['./*']}, {bind: 'unix:///c', hosts: ['./*']}]";
    check("networking", "Sidecar", spec, &["egress[1].bind"]);
    let pool = "{tcp: {maxConnections: 1}, http: {maxRetries: 1, h2UpgradePolicy: UPGRADE, http2KeepAlive: {interval: 1s, timeout: 1s}}}";
    let spec = format!(
        "inboundConnectionPool: {pool}\ningress: [{{port: {{number: 80, name: a, protocol: HTTP}}, \
         defaultEndpoint: '127.0.0.1:80', connectionPool: {pool}}}]"
    );
    let of = |path: &str| ["h2UpgradePolicy", "http2KeepAlive"].map(|name| format!("{path}.http.{name}"));
    let expected = [of("inboundConnectionPool"), of("ingress[0].connectionPool")].concat();
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    check("networking", "Sidecar", &spec, &expected);
    let spec = "outboundTrafficPolicy: {mode: 1, egressProxy: {host: a.b, port: {number: 1}}}";
    let parsed = check("networking", "Sidecar", spec, &[]);
    let Kind::Sidecar(sidecar) = &parsed.documents[0].body else { panic!() };
    let policy = sidecar.outbound_traffic_policy.as_ref().expect("policy");
    assert_eq!(policy.mode, Some(istio_api::networking::sidecar::OutboundMode::AllowAny));
}

#[test]
fn of_workload_groups_and_proxy_configs() {
    check("networking", "WorkloadGroup", "template: {}\nprobe: {httpGet: {port: 80}}", &["probe"]);
    check("networking", "ProxyConfig", "concurrency: null\nimage: {imageType: debug}", &["image.imageType"]);
}

#[test]
fn of_the_mesh() {
    let silent = |text: &str| -> Vec<String> {
        let parsed = istio_api::parse_mesh_config("m.yaml", text);
        assert!(!parsed.broken, "{:?}", parsed.findings);
        let silent = parsed.findings.iter().filter(|finding| finding.code == codes::NO_EFFECT);
        silent.map(|finding| finding.field.to_string()).collect()
    };
    let policy = |mode: &str, tls: &str| format!("outboundTrafficPolicy: {{mode: {mode}, tls: {{{tls}}}}}");
    assert_eq!(silent(&policy("ALLOW_ANY_DYNAMIC_DNS", "mode: SIMPLE, sni: a.com")), [""; 0]);
    let secret = policy("ALLOW_ANY_DYNAMIC_DNS", "mode: SIMPLE, credentialName: c");
    assert_eq!(silent(&secret), ["outboundTrafficPolicy.tls.credentialName"]);
    assert_eq!(silent(&policy("ALLOW_ANY", "mode: SIMPLE")), ["outboundTrafficPolicy.tls"]);
    assert_eq!(silent("proxyHttpPort: 15002"), [""; 0]);
    assert_eq!(
        istio_api::parse_mesh_config("m.yaml", "proxyHttpPort: 15002").config.proxy_http_port,
        Some(15002)
    );
}

/// Settings in an annotation are reported like those of the mesh.
#[test]
fn of_annotations() {
    let settings = "{concurrency: 1, holdApplicationUntilProxyStarts: true, interceptionMode: TPROXY, connectionSettings: {listenerConnectionLimit: 3}}";
    let metadata = format!("{{labels: {{app: a}}, annotations: {{proxy.istio.io/config: '{settings}'}}}}");
    let found = |text: String| -> Vec<String> {
        let parsed = parse_stream("f.yaml", &text);
        let silent =
            parsed.findings.iter().filter(|f| f.code == codes::NO_EFFECT && f.level == Level::Warning);
        let mut fields: Vec<String> = silent.map(|finding| finding.field.to_string()).collect();
        fields.sort();
        fields
    };
    let expected = |at: &str| {
        ["connectionSettings.listenerConnectionLimit", "interceptionMode"]
            .map(|name| format!("{at}annotations.proxy.istio.io/config.{name}"))
    };
    let spec = "{containers: [{name: a, image: a}]}";
    let pod = format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: x, {}\nspec: {spec}", &metadata[1..]);
    assert_eq!(found(pod), expected("metadata."));
    let deployment = format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: x}}\nspec: {{selector: {{matchLabels: {{app: a}}}}, \
         template: {{metadata: {metadata}, spec: {spec}}}}}"
    );
    assert_eq!(found(deployment), expected("spec.template.metadata."));
}

/// Of these nothing has an effect, which is said once.
#[test]
fn of_whole_kinds() {
    for (group, kind, version, spec) in [
        ("networking", "EnvoyFilter", "v1alpha3", "{}"),
        ("security", "RequestAuthentication", "v1", "{jwtRules: [{issuer: a, jwks_uri: 'https://a'}]}"),
        ("telemetry", "Telemetry", "v1alpha1", "{tracing: [{randomSamplingPercentage: 0.5}]}"),
        ("extensions", "WasmPlugin", "v1alpha1", "{url: a.com/x}"),
        ("extensions", "TrafficExtension", "v1alpha1", "{lua: {inlineCode: x}}"),
    ] {
        let text = format!(
            "apiVersion: {group}.istio.io/{version}\nkind: {kind}\nmetadata: {{name: x}}\nspec: {spec}"
        );
        let parsed = parse_stream("f.yaml", &text);
        let said = parsed.findings.iter().filter(|f| f.code == codes::KIND_NO_EFFECT).count();
        let others = parsed.findings.iter().filter(|f| f.level == Level::Error || f.code == codes::NO_EFFECT);
        assert_eq!((said, others.count()), (1, 0), "{:#?}", parsed.findings);
        assert!(!parsed.documents[0].broken && parsed.documents[0].body.is_istio(), "{kind}");
    }
}

/// Istio's leniency: numbers for names, snake_case, wrappers that are null.
#[test]
fn values_are_read_as_istio_reads_them() {
    let text = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: x}\nspec: {mtls: {mode: 3}}";
    let parsed = parse_stream("f.yaml", text);
    let Kind::PeerAuthentication(policy) = &parsed.documents[0].body else { panic!() };
    assert_eq!(policy.mode, Some(istio_api::security::MtlsMode::Strict), "{:#?}", parsed.findings);
    let text = "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: x}\nspec:\n  \
                jwt_rules: [{issuer: a, jwks_uri: 'https://a', forward_original_token: true, timeout: 1m30s, presence: REQUIRED}]";
    let parsed = parse_stream("f.yaml", text);
    let Kind::RequestAuthentication(policy) = &parsed.documents[0].body else { panic!() };
    let rule = &policy.jwt_rules[0];
    assert_eq!(rule.jwks_uri.as_deref(), Some("https://a"));
    assert!(rule.forward_original_token);
    assert_eq!(rule.timeout, Some(std::time::Duration::from_secs(90)));
    assert_eq!(
        rule.presence.map(istio_api::security::request_authentication::Presence::name),
        Some("REQUIRED")
    );
}
