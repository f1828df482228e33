//! Whatever is in a file: findings or a clear error, never a crash, and no finding points outside
//! of the file. The fuzz target `validate` asks the same of more inputs.

use istio_api::{Parsed, parse_stream, validate_bytes};
use proptest::prelude::*;

#[track_caller]
fn check(bytes: &[u8]) -> Parsed {
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n").replace('\r', "\n");
    let lines: Vec<usize> = text.split('\n').map(|line| line.chars().count()).collect();
    let parsed = validate_bytes("any.yaml", bytes);
    for finding in &parsed.findings {
        let place = finding.place.as_ref().expect("a place");
        let line = lines.get(place.line as usize - 1).unwrap_or_else(|| panic!("{finding}\n{text}"));
        assert!(place.column >= 1 && place.column as usize <= line + 1, "{finding}\n{text}");
        assert!(!finding.message.is_empty());
    }
    parsed
}

/// Kinds with their groups, as far as a generator needs them.
const KINDS: [(&str, &str); 15] = [
    ("networking", "VirtualService"),
    ("networking", "DestinationRule"),
    ("networking", "Gateway"),
    ("networking", "ServiceEntry"),
    ("networking", "Sidecar"),
    ("networking", "WorkloadEntry"),
    ("networking", "WorkloadGroup"),
    ("networking", "ProxyConfig"),
    ("networking", "EnvoyFilter"),
    ("security", "AuthorizationPolicy"),
    ("security", "PeerAuthentication"),
    ("security", "RequestAuthentication"),
    ("telemetry", "Telemetry"),
    ("extensions", "WasmPlugin"),
    ("extensions", "TrafficExtension"),
];

/// Texts that rules look at.
const TEXTS: &[&str] = &[
    "",
    "*",
    "a.b",
    "10.0.0.0/8",
    "unix://",
    "outbound_.80_._.a",
    "%REQ(",
    "a++",
    "-1",
    "1h",
    "mesh",
    "é",
    "@request.auth.claims[a]",
    "configmap://",
    "{**}/x",
    "HTTP",
    "NONE",
    "DNS",
    "SIMPLE",
    "http://[",
];

/// A value of some form, with names and texts that rules look at.
fn value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        (-2i64..70000).prop_map(Into::into),
        any::<f64>().prop_map(|v| serde_json::json!(v)),
        proptest::sample::select(TEXTS).prop_map(Into::into),
        ".{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            proptest::collection::vec((key(), inner), 0..6)
                .prop_map(|entries| serde_json::Value::Object(entries.into_iter().collect())),
        ]
    })
}

/// Names of fields of all kinds.
const NAMES: &str = "hosts host http tls tcp match route destination port number name weight headers request set uri \
    prefix regex exact redirect retries attempts fault delay abort percentage value mirror mirrors \
    corsPolicy trafficPolicy subsets labels loadBalancer consistentHash maglev tableSize \
    localityLbSetting distribute from to servers mode cipherSuites endpoints address addresses ports \
    resolution egress ingress bind defaultEndpoint template probe httpGet configPatches applyTo \
    patch rules source operation when key values action jwtRules jwks jwksUri metrics overrides \
    tagOverrides tracing customTags accessLogging filter expression selector matchLabels targetRefs \
    kind url vmConfig env lua inlineCode exportTo sni_hosts sniHosts gateways timeout portLevelMtls \
    mtls";

/// A name that some kind knows, or any other.
fn key() -> impl Strategy<Value = String> {
    prop_oneof![9 => proptest::sample::select(NAMES.split(' ').collect::<Vec<_>>()).prop_map(str::to_owned), 1 => "[ -~]{0,8}"]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn bytes_of_any_kind(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        check(&bytes);
    }

    #[test]
    fn texts_in_the_characters_of_yaml(text in "[-:#\\[\\]{}&*|>'\"?!%@,\n\t\r a-c0-9é]{0,200}") {
        check(text.as_bytes());
    }

    #[test]
    fn objects_of_every_kind_with_any_content(
        (group, kind) in proptest::sample::select(&KINDS[..]),
        spec in value(),
    ) {
        let version = if kind == "EnvoyFilter" { "v1alpha3" } else { "v1beta1" };
        let object = serde_json::json!({
            "apiVersion": format!("{group}.istio.io/{version}"), "kind": kind, "metadata": {"name": "x"}, "spec": spec,
        });
        let text = serde_json::to_string_pretty(&object).expect("JSON");
        let strict = check(text.as_bytes());
        // What is wrong for the one who asks is wrong for the mesh.
        let run = parse_stream("any.yaml", &text);
        prop_assert_eq!(strict.findings, run.findings);
    }
}
