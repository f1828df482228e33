//! TrafficExtension:
//! <https://istio.io/latest/docs/reference/config/proxy_extensions/traffic_extension/>.

use model::Str;

use super::wasm_plugin::{FailStrategy, PluginType, PullPolicy, VmConfig};
use crate::schema::macros::{choice, message};
use crate::schema::rules::{SHA256, TRAFFIC_EXTENSION, WASM_URL};
use crate::schema::{choice as one_of, free, int32, list, object, text};
use crate::selector::{Selector, TargetReference, TrafficSelector};
use crate::value::Free;

message! {
    /// A filter in WebAssembly or Lua.
    pub struct TrafficExtension {
        "selector" selector: Option<Selector> = object(&Selector::MESSAGE),
        "targetRefs" target_refs: Vec<TargetReference> = list(&object(&TargetReference::MESSAGE)).max(16),
        "phase" phase: Option<ExecutionPhase> = one_of(ExecutionPhase::NAMES),
        /// Higher ones come first within a phase.
        "priority" priority: Option<i32> = int32().nullable(),
        "match" matches: Vec<TrafficSelector> = list(&object(&TrafficSelector::MESSAGE)),
        "wasm" wasm: Option<Wasm> = object(&Wasm::MESSAGE),
        "lua" lua: Option<Lua> = object(&Lua::MESSAGE),
    }
    one_of ["wasm", "lua"];
    rules TRAFFIC_EXTENSION;
}

message! {
    /// A filter in Lua.
    pub struct Lua {
        /// The program, at most 64 KiB.
        "inlineCode" inline_code: Str = text().min(1).max(65536).required(),
    }
}

message! {
    /// A filter in WebAssembly.
    pub struct Wasm {
        /// With the scheme oci (the default), file, http or https.
        "url" url: Str = text().min(1).rules(WASM_URL).required(),
        "sha256" sha256: Option<Str> = text().pattern(&SHA256),
        "imagePullPolicy" image_pull_policy: Option<PullPolicy> = one_of(PullPolicy::NAMES),
        "imagePullSecret" image_pull_secret: Option<Str> = text().min(1).max(253),
        "verificationKey" verification_key: Option<Str> = text(),
        "pluginConfig" plugin_config: Option<Free> = free(),
        "pluginName" plugin_name: Option<Str> = text().min(1).max(256),
        "failStrategy" fail_strategy: Option<FailStrategy> = one_of(FailStrategy::NAMES),
        "vmConfig" vm_config: Option<VmConfig> = object(&VmConfig::MESSAGE),
        "type" plugin_type: Option<PluginType> = one_of(PluginType::NAMES),
    }
}

choice! {
    /// Where in the chain it stands: before authentication, authorization or statistics.
    pub enum ExecutionPhase {
        /// At the end.
        "UNSPECIFIED" Unspecified,
        "AUTHN" Authn,
        "AUTHZ" Authz,
        "STATS" Stats,
    }
}
