//! Fields that are accepted and do nothing, because of what is or is not written beside them.
//! Fields that Lateen itself does not honour are `LTN0002`.

use crate::analyzers::Analyzer;
use crate::finding::Report;
use crate::kind::Kind;
use crate::object::Object;
use crate::snapshot::Snapshot;
use crate::value::Val;

pub static ANALYZER: Analyzer = Analyzer {
    name: "lateen.WithoutEffect",
    description: "Finds fields that have no effect where they stand",
    codes: &["LTN0111"],
    inputs: &[
        Kind::VirtualService,
        Kind::DestinationRule,
        Kind::PeerAuthentication,
        Kind::Service,
        Kind::ServiceEntry,
        Kind::Telemetry,
        Kind::MeshConfig,
    ],
    by_default: true,
    by_file: false,
    run,
};

fn run(snapshot: &Snapshot, report: &mut Report) {
    for object in snapshot.of(Kind::VirtualService) {
        for rule in object.spec().get("http").items() {
            http_rule(object, rule, report);
        }
    }
    for object in snapshot.of(Kind::DestinationRule) {
        destination_rule(object, snapshot, report);
    }
    for object in snapshot.of(Kind::PeerAuthentication) {
        let ports = object.spec().get("portLevelMtls");
        if ports.exists() && object.spec().path("selector.matchLabels").entries().len() == 0 {
            report.add(
                "LTN0111",
                object,
                ports,
                &[&"portLevelMtls", &"it holds for selected workloads only"],
            );
        }
    }
    tracing(snapshot, report);
}

fn http_rule(object: &Object, rule: Val<'_>, report: &mut Report) {
    let mut say = |field: &str, reason: &str| {
        let at = rule.path(field);
        if at.exists() {
            report.add("LTN0111", object, at, &[&field, &reason]);
        }
    };
    for (answer, reason) in [
        ("redirect", "a redirect is answered by the proxy itself"),
        ("directResponse", "a direct response is answered by the proxy itself"),
    ] {
        if rule.get(answer).exists() {
            for field in ["timeout", "retries", "mirror", "mirrors"] {
                say(field, reason);
            }
        }
    }
    if rule.path("retries.attempts").int() == Some(0) {
        say("retries.perTryTimeout", "attempts is 0, so nothing is retried");
        say("retries.retryOn", "attempts is 0, so nothing is retried");
    }
    if !rule.get("mirror").exists() {
        say("mirrorPercentage", "there is no mirror beside it");
    }
}

fn destination_rule(object: &Object, snapshot: &Snapshot, report: &mut Report) {
    let spec = object.spec();
    let policy = spec.get("trafficPolicy");
    // Failover needs to know which endpoints fail; distribution does not.
    let locality = policy.path("loadBalancer.localityLbSetting");
    for field in ["failover", "failoverPriority"] {
        let at = locality.get(field);
        if at.exists() && !policy.get("outlierDetection").exists() {
            let name = format!("localityLbSetting.{field}");
            report.add("LTN0111", object, at, &[&name, &"failover needs outlierDetection beside it"]);
        }
    }
    let tls = policy.get("tls");
    if tls.get("mode").str() == "DISABLE" {
        for field in ["sni", "subjectAltNames", "caCertificates", "credentialName"] {
            if tls.get(field).exists() {
                report.add(
                    "LTN0111",
                    object,
                    tls.get(field),
                    &[&format!("tls.{field}"), &"tls.mode is DISABLE"],
                );
            }
        }
    }
    let ports = policy.get("portLevelSettings");
    if !ports.exists() {
        return;
    }
    let export_to = spec.get("exportTo").strings();
    let Some(entry) = snapshot.hosts().find(spec.get("host").str(), &object.namespace, &export_to) else {
        return;
    };
    for port in ports.items().map(|settings| settings.path("port.number")) {
        if port.int().is_some_and(|number| !entry.ports.contains(&number)) {
            let reason = format!("{} has no port {}", entry.object.full_name(), port.str());
            report.add("LTN0111", object, port, &[&"portLevelSettings", &reason]);
        }
    }
}

/// Settings for spans that go nowhere: neither an address in `tracing` nor a provider.
fn tracing(snapshot: &Snapshot, report: &mut Report) {
    const PROVIDERS: [&str; 6] =
        ["zipkin", "lightstep", "datadog", "stackdriver", "openCensusAgent", "skywalking"];
    let mesh = &snapshot.mesh;
    let is_traced = mesh.get("defaultProviders.tracing").items().len() > 0
        || mesh
            .providers()
            .any(|p| p.get("opentelemetry").exists() || PROVIDERS.iter().any(|name| p.get(name).exists()));
    for source in &mesh.sources {
        let tracing = source.root().path("defaultConfig.tracing");
        let has_address = PROVIDERS.iter().any(|name| tracing.get(name).exists());
        let settings =
            ["sampling", "customTags", "maxPathTagLength"].into_iter().filter(|f| tracing.get(f).exists());
        let settings: Vec<&str> = settings.collect();
        // A Telemetry names its provider, or gets a finding of its own.
        let has_telemetry = snapshot.of(Kind::Telemetry).iter().any(|t| t.spec().get("tracing").exists());
        if let (false, false, false, Some(object)) =
            (settings.is_empty(), is_traced || has_address, has_telemetry, &source.object)
        {
            let what = format!("defaultConfig.tracing ({})", settings.join(", "));
            let reason = "enableTracing has no provider that spans go to; add one to extensionProviders and a Telemetry \
                          that names it";
            report.add("LTN0111", object, tracing, &[&what, &reason]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, messages};

    fn route(rule: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: r}}\nspec:\n  hosts: [a]\n  \
             http: [{{{rule}}}]\n"
        )
    }

    fn rule(policy: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: d}}\nspec:\n  host: a\n  \
             trafficPolicy: {{{policy}}}\n---\n\
             apiVersion: v1\nkind: Service\nmetadata: {{name: a}}\nspec: {{ports: [{{port: 80}}]}}\n"
        )
    }

    #[test]
    fn fields_of_rules_that_do_nothing_are_found() {
        let at = ["LTN0111 VirtualService default/r:6"];
        check(&ANALYZER, &route("redirect: {uri: /}, timeout: 1s"), &at);
        check(&ANALYZER, &route("redirect: {uri: /}, corsPolicy: {}"), &[]);
        check(&ANALYZER, &route("retries: {attempts: 0, perTryTimeout: 1s}"), &at);
        check(&ANALYZER, &route("retries: {attempts: 1, perTryTimeout: 1s}"), &[]);
        check(&ANALYZER, &route("mirrorPercentage: {value: 5}"), &at);
        check(&ANALYZER, &route("mirrorPercentage: {value: 5}, mirror: {host: b}"), &[]);
    }

    #[test]
    fn policies_that_do_nothing_are_found() {
        let at = ["LTN0111 DestinationRule default/d:6"];
        let locality = "loadBalancer: {localityLbSetting: {failover: [{from: a, to: b}]}}";
        check(&ANALYZER, &rule(locality), &at);
        check(&ANALYZER, &rule(&format!("{locality}, outlierDetection: {{}}")), &[]);
        check(&ANALYZER, &rule("tls: {mode: DISABLE, sni: x}"), &at);
        check(&ANALYZER, &rule("tls: {mode: SIMPLE, sni: x}"), &[]);
        check(&ANALYZER, &rule("portLevelSettings: [{port: {number: 81}}]"), &at);
        check(&ANALYZER, &rule("portLevelSettings: [{port: {number: 80}}]"), &[]);
        let peer = |selector: &str| {
            format!(
                "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {{name: p}}\nspec:\n  {selector}\n  \
                 portLevelMtls: {{80: {{mode: DISABLE}}}}\n"
            )
        };
        check(&ANALYZER, &peer(""), &["LTN0111 PeerAuthentication default/p:6"]);
        check(&ANALYZER, &peer("selector: {matchLabels: {a: b}}"), &[]);
    }

    #[test]
    fn spans_go_somewhere() {
        let operator = |mesh: &str| {
            format!(
                "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec:\n  meshConfig: {{enableTracing: true, {mesh}}}\n"
            )
        };
        let found = messages(&ANALYZER, &operator("defaultConfig: {tracing: {sampling: 10}}"));
        assert!(found.len() == 1 && found[0].contains("enableTracing has no provider"), "{found:?}");
        let zipkin = operator("defaultConfig: {tracing: {sampling: 10, zipkin: {address: 'z:1'}}}");
        check(&ANALYZER, &zipkin, &[]);
        let provider =
            "extensionProviders: [{name: o, opentelemetry: {}}], defaultConfig: {tracing: {sampling: 10}}";
        check(&ANALYZER, &operator(provider), &[]);
        check(&ANALYZER, &operator("defaultConfig: {}"), &[]);
    }
}
