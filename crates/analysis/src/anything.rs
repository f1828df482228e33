//! Whatever the input is: findings or a clear error, never a crash, and no finding points outside
//! of the file.

use std::sync::Arc;

use proptest::prelude::*;

use crate::analyzers;
use crate::file::{File, Reading};
use crate::format::{Format, Input, Style, render};
use crate::run::analyze;
use crate::snapshot::{Settings, Snapshot};

/// Analyzes a text with every analyzer, and checks what must hold of the findings.
fn check(text: &str) {
    let file = File::read("f.yaml", text, &Reading::default());
    let all: Vec<_> = analyzers::all().collect();
    let findings = analyze(&Snapshot::new(vec![Arc::new(file)], Settings::default()), &all);
    // A carriage return alone ends a line too (YAML 1.2, section 5.4).
    let lines = text.replace("\r\n", "\n").replace('\r', "\n");
    let lines: Vec<usize> = lines.split('\n').map(|line| line.chars().count()).collect();
    for finding in &findings {
        assert_ne!(finding.code, "IST0001", "{} for {text:?}", finding.message);
        let Some(place) = finding.place.as_ref().filter(|place| &*place.file == "f.yaml") else { continue };
        let width = lines.get(place.line as usize - 1);
        let inside = width.is_some_and(|width| (1..=width + 1).contains(&(place.column as usize)));
        assert!(inside, "{place} is outside of {text:?}: {}", finding.message);
    }
    for (_, format) in Format::ALL {
        let files = ["f.yaml".to_owned()];
        let failure = model::Level::Error;
        let style = Style { color: true, explain: true };
        render(format, &Input { findings: &findings, files: &files, failure, version: "1", style });
    }
}

/// Objects of all kinds, to be damaged.
pub(crate) const OBJECTS: &str = "\
apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: r\nspec:\n  hosts: [a]\n  gateways: [g]\n  http:\n  \
- match: [{uri: {prefix: /a}, headers: {x: {exact: y}}}]\n    retries: {attempts: 2, perTryTimeout: 2s}\n    timeout: 1s\n    fault: \
{delay: {percent: 5, fixedDelay: 1s}}\n    route:\n    - destination: {host: a, subset: s, port: {number: 80}}\n      weight: 90\n---\n\
apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: d}\nspec:\n  host: a\n  trafficPolicy: {tls: {mode: SIMPLE}, \
portLevelSettings: [{port: {number: 80}}], loadBalancer: {simple: LEAST_CONN}}\n  subsets: [{name: s, labels: {v: '1'}}]\n---\n\
apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g}\nspec:\n  selector: {app: a}\n  servers: [{port: {number: 80, name: http, \
protocol: HTTP}, hosts: ['*'], tls: {mode: SIMPLE, credentialName: c}}]\n---\n\
apiVersion: v1\nkind: Service\nmetadata: {name: a, annotations: {networking.istio.io/exportTo: '.'}}\nspec: {selector: {app: a}, ports: [{port: 80, \
targetPort: x, name: web}]}\n---\n\
apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {app: a}, annotations: {sidecar.istio.io/inject: 'true', proxy.istio.io/config: '{a: b}'}}\n\
spec: {containers: [{name: istio-proxy, image: auto, env: [{name: X, value: 'http://a/'}], livenessProbe: {httpGet: {port: 80}}}]}\n---\n\
apiVersion: v1\nkind: Secret\nmetadata: {name: c}\ndata: {tls.crt: eA==, tls.key: eA==}\n---\n\
apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: z}\nspec: {rules: [{from: [{source: {namespaces: ['n*'], principals: \
[a/ns/b/sa/c]}}], to: [{operation: {ports: ['80'], methods: [GET]}}]}]}\n---\n\
apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: m}\nspec: {mtls: {mode: STRICT}, portLevelMtls: {80: {mode: DISABLE}}}\n---\n\
apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec:\n  meshConfig:\n    accessLogFormat: |\n      %REQ(A)% %NOPE% %%\n    defaultConfig: \
{tracing: {sampling: 1}}\n---\n\
groups: [{name: g, rules: [{alert: A, expr: 'pilot_gone > 0', annotations: {r: istioctl x analyze}}]}]\n";

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_give_findings_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        check(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn damaged_objects_give_findings_or_an_error(
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), "[ -~\n\u{e4}]{0,6}"), 1..6),
    ) {
        let mut text: Vec<char> = OBJECTS.chars().collect();
        for (at, length, put) in cuts {
            let start = at.index(text.len());
            let end = (start + length.index(12)).min(text.len());
            text.splice(start..end, put.chars());
        }
        check(&text.into_iter().collect::<String>());
    }
}

#[test]
fn undamaged_objects_are_analyzed_too() {
    check(OBJECTS);
    check("");
    check("\u{feff}a: b");
}
