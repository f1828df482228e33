//! WasmPlugin: <https://istio.io/latest/docs/reference/config/proxy_extensions/wasm-plugin/>.

use model::Str;

use crate::schema::macros::{choice, message};
use crate::schema::rules::{INLINE_VALUE, SELECTOR_OR_TARGET, SHA256, WASM_URL};
use crate::schema::{choice as one_of, free, int32, list, object, text};
use crate::selector::{Selector, TargetReference, TrafficSelector};
use crate::value::Free;

message! {
    /// A filter in WebAssembly.
    pub struct WasmPlugin {
        "selector" selector: Option<Selector> = object(&Selector::MESSAGE),
        "targetRef" target_ref: Option<TargetReference> = object(&TargetReference::MESSAGE),
        "targetRefs" target_refs: Vec<TargetReference> = list(&object(&TargetReference::MESSAGE)).max(16),
        /// With the scheme oci (the default), file, http or https.
        "url" url: Str = text().min(1).rules(WASM_URL).required(),
        "sha256" sha256: Option<Str> = text().pattern(&SHA256),
        "imagePullPolicy" image_pull_policy: Option<PullPolicy> = one_of(PullPolicy::NAMES),
        "imagePullSecret" image_pull_secret: Option<Str> = text().min(1).max(253),
        "verificationKey" verification_key: Option<Str> = text(),
        "pluginConfig" plugin_config: Option<Free> = free(),
        "pluginName" plugin_name: Option<Str> = text().min(1).max(256),
        "phase" phase: Option<PluginPhase> = one_of(PluginPhase::NAMES),
        /// Higher ones come first within a phase.
        "priority" priority: Option<i32> = int32().nullable(),
        "failStrategy" fail_strategy: Option<FailStrategy> = one_of(FailStrategy::NAMES),
        "vmConfig" vm_config: Option<VmConfig> = object(&VmConfig::MESSAGE),
        "match" matches: Vec<TrafficSelector> = list(&object(&TrafficSelector::MESSAGE)),
        "type" plugin_type: Option<PluginType> = one_of(PluginType::NAMES),
    }
    rules SELECTOR_OR_TARGET;
}

message! {
    /// What the plugin's virtual machine sees.
    pub struct VmConfig {
        "env" env: Vec<EnvVar> = list(&object(&EnvVar::MESSAGE).rules(INLINE_VALUE)).max(256).key("name"),
    }
}

message! {
    /// An environment variable.
    pub struct EnvVar {
        "name" name: Str = text().min(1).max(256).required(),
        "valueFrom" value_from: Option<EnvSource> = one_of(EnvSource::NAMES),
        "value" value: Option<Str> = text().max(2048),
    }
}

choice! {
    /// Where a variable's value comes from.
    pub enum EnvSource {
        "INLINE" Inline,
        /// The proxy's own variable of that name.
        "HOST" Host,
    }
}

choice! {
    /// Which kind of filter it is.
    pub enum PluginType {
        "UNSPECIFIED_PLUGIN_TYPE" Unspecified,
        "HTTP" Http,
        "NETWORK" Network,
    }
}

choice! {
    /// Where in the chain it stands: before authentication, authorization or statistics.
    pub enum PluginPhase {
        /// At the end.
        "UNSPECIFIED_PHASE" Unspecified,
        "AUTHN" Authn,
        "AUTHZ" Authz,
        "STATS" Stats,
    }
}

choice! {
    /// When an image is fetched.
    pub enum PullPolicy {
        "UNSPECIFIED_POLICY" Unspecified,
        "IfNotPresent" IfNotPresent,
        "Always" Always,
    }
}

choice! {
    /// What becomes of requests when the plugin fails.
    pub enum FailStrategy {
        "FAIL_CLOSE" FailClose,
        "FAIL_OPEN" FailOpen,
        "FAIL_RELOAD" FailReload,
    }
}
