//! Telemetry.

use super::cel;
use super::common::{duration, selector, targets};
use crate::reader::Item;

pub(super) fn check(spec: &Item<'_>) {
    selector(spec, "selector", "matchLabels");
    targets(spec);
    let tracing = spec.each("tracing");
    if tracing.len() > 1 {
        spec.field_or_self("tracing").warn("multiple tracing is not currently supported");
    }
    tracing.iter().for_each(check_tracing);
    for logging in spec.each("accessLogging") {
        if let Some(expression) = logging.field("filter").and_then(|filter| filter.field("expression")) {
            expression.judge(cel::check(expression.text()));
        }
    }
    for metrics in spec.each("metrics") {
        duration(&metrics, "reportingInterval");
        metrics.each("overrides").iter().for_each(check_override);
    }
}

fn check_tracing(tracing: &Item<'_>) {
    if tracing.each("providers").len() > 1 {
        tracing.field_or_self("providers").warn("multiple providers is not currently supported");
    }
    for (name, tag) in tracing.each_entry("customTags") {
        if name.is_empty() {
            tag.invalid("the name of a tag must not be empty".into());
        }
    }
}

/// The schema refuses a value that does not go with the operation where it is named; without one
/// it is UPSERT, which needs a value too.
fn check_override(change: &Item<'_>) {
    for (name, tag) in change.each_entry("tagOverrides") {
        if name.is_empty() {
            tag.warn("the name of a tag is empty");
        }
        if !tag.has("operation") && !tag.has_some("value") {
            tag.invalid("needs a value, as the operation is UPSERT".into());
        }
    }
}
