//! Patches that depend on the order of EnvoyFilters, and operations that are ignored
//! (`envoyfilter.EnvoyPatchAnalyzer`).

use std::collections::HashSet;

use super::Analyzer;
use crate::finding::Report;
use crate::kind::Kind;
use crate::snapshot::Snapshot;
use crate::value::Val;

pub static ANALYZER: Analyzer = Analyzer {
    name: "envoyfilter.EnvoyPatchAnalyzer",
    description: "Checks an envoyFilters",
    codes: &["IST0151", "IST0152", "IST0153", "IST0154", "IST0155"],
    inputs: &[Kind::EnvoyFilter],
    by_default: true,
    by_file: false,
    run,
};

fn run(snapshot: &Snapshot, report: &mut Report) {
    // What patches for certain proxy versions add, by name: it is not there for other versions.
    let mut versioned: HashSet<&str> = HashSet::new();
    for filter in snapshot.of(Kind::EnvoyFilter) {
        let has_priority = filter.spec().get("priority").int().unwrap_or_default() != 0;
        for config in filter.spec().get("configPatches").items() {
            let patch = config.get("patch");
            if !patch.exists() {
                break;
            }
            let name = name(config);
            match problem(config) {
                Some(Problem::Ignored(code)) => {
                    report.add(code, filter, config, &[]);
                }
                Some(Problem::Relative) if !has_priority => {
                    let code = if versioned.contains(name) { "IST0155" } else { "IST0151" };
                    report.add(code, filter, config, &[]);
                }
                _ => {}
            }
            if !config.path("match.proxy").get("proxyVersion").str().is_empty() {
                versioned.insert(name);
            }
        }
    }
}

enum Problem {
    Ignored(&'static str),
    Relative,
}

fn problem(config: Val<'_>) -> Option<Problem> {
    let to = config.get("applyTo").str();
    let is_route = matches!(to, "ROUTE_CONFIGURATION" | "HTTP_ROUTE");
    match config.path("patch.operation").str() {
        "ADD" if is_route => Some(Problem::Ignored("IST0153")),
        "REMOVE" if is_route => Some(Problem::Ignored("IST0154")),
        "REPLACE" if !matches!(to, "NETWORK_FILTER" | "HTTP_FILTER" | "VIRTUAL_HOST") => {
            Some(Problem::Ignored("IST0152"))
        }
        "REMOVE" | "REPLACE" | "INSERT_BEFORE" | "INSERT_AFTER" => Some(Problem::Relative),
        _ => None,
    }
}

/// What a patch is about: the name in its value, else that of the filter it matches.
fn name(config: Val<'_>) -> &str {
    let value = config.path("patch.value");
    match value.get("name") {
        name if name.exists() => name.str(),
        _ if value.entries().len() == 0 => "",
        _ => config.path("match.listener.filterChain.filter.name").str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    fn filter(priority: &str, patches: &[(&str, &str)]) -> String {
        let mut text = format!(
            "apiVersion: networking.istio.io/v1alpha3\nkind: EnvoyFilter\nmetadata: {{name: a}}\nspec:\n  {priority}\n  \
             configPatches:\n"
        );
        for (to, operation) in patches {
            text += &format!(
                "  - {{applyTo: {to}, match: {{proxy: {{proxyVersion: '^1'}}}}, \
                 patch: {{operation: {operation}, value: {{name: f}}}}}}\n"
            );
        }
        text
    }

    #[test]
    fn relative_patches_need_a_priority() {
        let found = |op| filter("", &[("HTTP_FILTER", op)]);
        check(&ANALYZER, &found("INSERT_BEFORE"), &["IST0151 EnvoyFilter default/a:7"]);
        check(&ANALYZER, &found("INSERT_FIRST"), &[]);
        check(&ANALYZER, &filter("priority: 1", &[("HTTP_FILTER", "INSERT_BEFORE")]), &[]);
        let twice = filter("", &[("HTTP_FILTER", "INSERT_FIRST"), ("HTTP_FILTER", "INSERT_AFTER")]);
        check(&ANALYZER, &twice, &["IST0155 EnvoyFilter default/a:8"]);
    }

    #[test]
    fn some_operations_are_ignored() {
        check(&ANALYZER, &filter("", &[("CLUSTER", "REPLACE")]), &["IST0152 EnvoyFilter default/a:7"]);
        check(&ANALYZER, &filter("", &[("HTTP_ROUTE", "ADD")]), &["IST0153 EnvoyFilter default/a:7"]);
        check(
            &ANALYZER,
            &filter("", &[("ROUTE_CONFIGURATION", "REMOVE")]),
            &["IST0154 EnvoyFilter default/a:7"],
        );
        check(&ANALYZER, &filter("", &[("VIRTUAL_HOST", "ADD")]), &[]);
    }
}
