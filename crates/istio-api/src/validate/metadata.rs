//! Annotations that are judged with every object, and names that are.

use super::About;
use crate::reader::Item;

const DRY_RUN: &str = "istio.io/dry-run";

/// Annotations that nobody but Istio itself may set, or that ask for refusal.
const REFUSED: [&str; 3] = [
    "internal.istio.io/webhook-always-reject",
    "internal.istio.io/parent-namespace",
    "internal.istio.io/parents",
];

pub(super) fn check(document: &Item<'_>, kind: &str, spec: &Item<'_>, about: &About<'_>) {
    let metadata = document.field_or_self("metadata");
    for (key, item) in metadata.each_entry("annotations") {
        if REFUSED.contains(&key) {
            item.invalid(format!("the annotation {key} is not for users"));
        }
    }
    let Some(value) = about.annotations.get(DRY_RUN) else { return };
    let at = metadata.each_entry("annotations").into_iter().find(|(key, _)| *key == DRY_RUN);
    let Some((_, at)) = at else { return };
    let action = spec.field_choice("action", &["ALLOW", "DENY", "AUDIT", "CUSTOM"]);
    if kind != "AuthorizationPolicy" {
        at.invalid(format!("{DRY_RUN} is for AuthorizationPolicy only"));
    } else if !matches!(action, "ALLOW" | "DENY") {
        at.invalid(format!("{DRY_RUN} is possible with the actions ALLOW and DENY, not {action}"));
    } else if !is_bool(value) {
        at.invalid(format!("{value:?} is neither true nor false"));
    }
}

/// As Go's `strconv.ParseBool` reads it.
fn is_bool(text: &str) -> bool {
    matches!(text, "1" | "t" | "T" | "TRUE" | "true" | "True" | "0" | "f" | "F" | "FALSE" | "false" | "False")
}
