//! Injection webhooks that overlap, or lead to no control plane (`webhook.Analyzer`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use model::Labels;

use super::Analyzer;
use crate::finding::{Report, list};
use crate::kind::Kind;
use crate::labels::selects;
use crate::object::Object;
use crate::snapshot::Snapshot;
use crate::value::Val;

pub static ANALYZER: Analyzer = Analyzer {
    name: "webhook.Analyzer",
    description: "Checks the validity of Istio webhooks",
    codes: &["IST0139"],
    inputs: &[Kind::MutatingWebhookConfiguration, Kind::Service],
    by_default: true,
    by_file: false,
    run,
};

const REVISION: &str = "istio.io/rev";

/// A webhook, and the configuration it is in.
struct Webhook<'a> {
    configuration: &'a Arc<Object>,
    value: Val<'a>,
    /// `CONFIGURATION/WEBHOOK`.
    name: String,
}

fn run(snapshot: &Snapshot, report: &mut Report) {
    let mut webhooks = Vec::new();
    let mut revisions = BTreeSet::new();
    for configuration in snapshot.of(Kind::MutatingWebhookConfiguration) {
        let hooks = configuration.root().get("webhooks").items();
        let named = revisions_of(configuration);
        if named.is_empty() && !hooks.clone().any(|hook| hook.get("name").str().ends_with("istio.io")) {
            continue;
        }
        revisions.extend(named);
        webhooks.extend(hooks.map(|value| Webhook {
            configuration,
            value,
            name: format!("{}/{}", configuration.full_name(), value.get("name").str()),
        }));
    }
    overlaps(&webhooks, &revisions, report);
    for webhook in &webhooks {
        let service = webhook.value.path("clientConfig.service");
        let (namespace, name) = (service.get("namespace").str(), service.get("name").str());
        if service.exists() && snapshot.find(Kind::Service, namespace, name).is_none() {
            let detail = format!(
                "Injector refers to a control plane service that does not exist: {namespace}/{name}."
            );
            report.add("IST0139", webhook.configuration, service, &[&detail]);
        }
    }
}

/// Tries every combination of labels that injection looks at; two webhooks for one combination
/// would inject a pod twice.
fn overlaps(webhooks: &[Webhook<'_>], revisions: &BTreeSet<&str>, report: &mut Report) {
    let mut found: BTreeMap<&str, (&Webhook<'_>, BTreeSet<String>)> = BTreeMap::new();
    for namespace in labels("istio-injection", ["enabled", "disabled"], revisions) {
        for pod in labels("sidecar.istio.io/inject", ["true", "false"], revisions) {
            let called: Vec<&Webhook<'_>> = webhooks
                .iter()
                .filter(|hook| selects(hook.value.get("namespaceSelector"), &namespace))
                .filter(|hook| selects(hook.value.get("objectSelector"), &pod))
                .collect();
            for hook in &called {
                let others: BTreeSet<&str> =
                    called.iter().map(|other| &*other.name).filter(|name| **name != *hook.name).collect();
                if !others.is_empty() {
                    let detail = list(others);
                    found.entry(&hook.name).or_insert((hook, BTreeSet::new())).1.insert(detail);
                }
            }
        }
    }
    for (hook, combinations) in found.into_values() {
        for others in combinations {
            let detail =
                format!("Webhook overlaps with others: {others}. This may cause injection to occur twice.");
            report.add("IST0139", hook.configuration, hook.value, &[&detail]);
        }
    }
}

/// No label, the label with either value, and each of these with each revision.
fn labels(key: &str, values: [&str; 2], revisions: &BTreeSet<&str>) -> Vec<Labels> {
    let plain = [None, Some(values[0]), Some(values[1])];
    let revisions: Vec<Option<&str>> =
        std::iter::once(None).chain(revisions.iter().map(|revision| Some(*revision))).collect();
    let all = revisions.iter().flat_map(|revision| plain.iter().map(move |value| (*value, *revision)));
    all.map(|(value, revision)| {
        value.map(|v| (key, v)).into_iter().chain(revision.map(|r| (REVISION, r))).collect()
    })
    .collect()
}

/// The revisions that a configuration is for, by its labels and selectors.
fn revisions_of(configuration: &Object) -> BTreeSet<&str> {
    let mut revisions: BTreeSet<&str> = configuration.label(REVISION).into_iter().collect();
    for hook in configuration.root().get("webhooks").items() {
        for selector in [hook.get("namespaceSelector"), hook.get("objectSelector")] {
            let labels = selector.get("matchLabels").entries();
            revisions.extend(labels.filter(|(e, _)| &*e.key == REVISION).map(|(_, value)| value.str()));
            let expressions = selector.get("matchExpressions").items();
            let about_revision = expressions.filter(|expression| expression.get("key").str() == REVISION);
            revisions.extend(about_revision.flat_map(|expression| expression.get("values").strings()));
        }
    }
    revisions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    fn webhook(name: &str, selector: &str, service: &str) -> String {
        format!(
            "apiVersion: admissionregistration.k8s.io/v1\nkind: MutatingWebhookConfiguration\nmetadata: {{name: {name}}}\n\
             webhooks:\n- name: {name}.istio.io\n  namespaceSelector: {{matchLabels: {{{selector}}}}}\n  \
             clientConfig: {{service: {{namespace: istio-system, name: {service}}}}}\n---\n"
        )
    }

    const SERVICE: &str =
        "apiVersion: v1\nkind: Service\nmetadata: {name: istiod, namespace: istio-system}\n";

    #[test]
    fn one_webhook_injects_a_pod() {
        let enabled = "istio-injection: enabled";
        let two = |a: &str, b: &str| webhook("a", a, "istiod") + &webhook("b", b, "istiod") + SERVICE;
        let both = ["IST0139 MutatingWebhookConfiguration a:5", "IST0139 MutatingWebhookConfiguration b:13"];
        check(&ANALYZER, &two(enabled, enabled), &both);
        check(&ANALYZER, &two(enabled, "istio.io/rev: one"), &both);
        check(&ANALYZER, &two("istio.io/rev: two", "istio.io/rev: one"), &[]);
        check(&ANALYZER, &(webhook("a", enabled, "istiod") + SERVICE), &[]);
    }

    #[test]
    fn the_control_plane_exists() {
        let text = webhook("a", "x: y", "other") + SERVICE;
        check(&ANALYZER, &text, &["IST0139 MutatingWebhookConfiguration a:7"]);
    }
}
