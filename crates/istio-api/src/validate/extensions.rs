//! WasmPlugin and TrafficExtension. Nearly all of it is in their schemas.

use super::common::{selector, targets};
use crate::reader::Item;

pub(super) fn wasm_plugin(spec: &Item<'_>) {
    selector(spec, "selector", "matchLabels");
    targets(spec);
    check_environment(spec);
}

pub(super) fn traffic_extension(spec: &Item<'_>) {
    selector(spec, "selector", "matchLabels");
    targets(spec);
    if let Some(wasm) = spec.field("wasm") {
        check_environment(&wasm);
    }
}

/// A variable of the proxy's own has no value here, however it is written.
fn check_environment(plugin: &Item<'_>) {
    for variable in plugin.field("vmConfig").iter().flat_map(|config| config.each("env")) {
        let from = variable.field_choice("valueFrom", &["INLINE", "HOST"]);
        if from == "HOST" && variable.field_text("valueFrom") != "HOST" && variable.has_some("value") {
            variable.invalid("value may only be set when valueFrom is INLINE".into());
        }
    }
}
