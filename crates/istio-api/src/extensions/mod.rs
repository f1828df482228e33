//! `extensions.istio.io`: <https://istio.io/latest/docs/reference/config/proxy_extensions/>.

pub mod traffic_extension;
pub mod wasm_plugin;

pub use traffic_extension::{ExecutionPhase, Lua, TrafficExtension, Wasm};
pub use wasm_plugin::{
    EnvSource, EnvVar, FailStrategy, PluginPhase, PluginType, PullPolicy, VmConfig, WasmPlugin,
};
