//! Telemetry that goes to no provider (`telemetry.ProviderAnalyzer`), or to one that is deprecated
//! (`telemetry.LightstepAnalyzer`).

use std::collections::BTreeSet;

use super::Analyzer;
use crate::finding::Report;
use crate::kind::Kind;
use crate::snapshot::Snapshot;

pub static ANALYZER: Analyzer = Analyzer {
    name: "telemetry.ProviderAnalyzer",
    description: "Validates that providers in telemetry resource is valid",
    codes: &["IST0157"],
    inputs: &[Kind::Telemetry, Kind::MeshConfig],
    by_default: true,
    by_file: false,
    run: without_provider,
};

pub static LIGHTSTEP: Analyzer = Analyzer {
    name: "telemetry.LightstepAnalyzer",
    description: "Validates that lightstep provider is still used",
    codes: &["IST0002"],
    inputs: &[Kind::Telemetry, Kind::MeshConfig],
    by_default: true,
    by_file: false,
    run: lightstep,
};

fn without_provider(snapshot: &Snapshot, report: &mut Report) {
    if snapshot.mesh.get("defaultProviders.accessLogging").items().len() > 0 {
        return;
    }
    for telemetry in snapshot.of(Kind::Telemetry) {
        for log in telemetry.spec().get("accessLogging").items() {
            if !log.get("disabled").is_true() && log.get("providers").items().len() == 0 {
                report.add("IST0157", telemetry, log, &[telemetry.name(), &telemetry.namespace]);
            }
        }
    }
}

fn lightstep(snapshot: &Snapshot, report: &mut Report) {
    let providers = snapshot.mesh.providers().filter(|provider| provider.get("lightstep").exists());
    let names: BTreeSet<&str> = providers.map(|provider| provider.get("name").str()).collect();
    for telemetry in snapshot.of(Kind::Telemetry) {
        let tracing = telemetry.spec().get("tracing").items();
        for provider in tracing.flat_map(|tracing| tracing.get("providers").items()) {
            let name = provider.get("name").str();
            if names.contains(name) {
                let detail = format!(
                    "The Lightstep provider {name} is deprecated, please migrate to OpenTelemetry provider."
                );
                report.add("IST0002", telemetry, provider, &[&detail]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    fn telemetry(spec: &str, mesh: &str) -> String {
        format!(
            "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {{name: t}}\nspec:\n  {{{spec}}}\n---\n\
             apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nmetadata: {{name: o}}\nspec: {{meshConfig: {{{mesh}}}}}\n"
        )
    }

    #[test]
    fn access_logs_need_a_provider() {
        check(&ANALYZER, &telemetry("accessLogging: [{}]", ""), &["IST0157 Telemetry default/t:5"]);
        check(&ANALYZER, &telemetry("accessLogging: [{disabled: true}]", ""), &[]);
        check(&ANALYZER, &telemetry("accessLogging: [{providers: [{name: x}]}]", ""), &[]);
        check(
            &ANALYZER,
            &telemetry("accessLogging: [{}]", "defaultProviders: {accessLogging: [envoy]}"),
            &[],
        );
    }

    #[test]
    fn lightstep_is_deprecated() {
        let mesh = "extensionProviders: [{name: x, lightstep: {}}, {name: y, zipkin: {}}]";
        let found = telemetry("tracing: [{providers: [{name: x}]}]", mesh);
        check(&LIGHTSTEP, &found, &["IST0002 Telemetry default/t:5"]);
        check(&LIGHTSTEP, &telemetry("tracing: [{providers: [{name: y}]}]", mesh), &[]);
    }
}
