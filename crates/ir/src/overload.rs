//! `envoy.config.overload.v3.OverloadManager`, as far as Lateen honours it.

use std::time::Duration;

/// What is watched, and what is done about it. See
/// <https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/operations/overload_manager/overload_manager>.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Overload {
    /// How often memory is looked at; `None` is 1 s.
    pub refresh_interval: Option<Duration>,
    /// `envoy.resource_monitors.fixed_heap`, bytes of memory that is no file's.
    pub max_heap_bytes: Option<u64>,
    /// `envoy.resource_monitors.global_downstream_max_connections`: those of all listeners
    /// together. Connections to the admin server do not count.
    pub max_connections: Option<u64>,
    /// What the heap's pressure sets off, each action once.
    pub actions: Vec<OverloadRule>,
}

/// An action and when it is on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OverloadRule {
    pub action: OverloadAction,
    /// The share of the maximum from which on it is on, in millionths.
    pub threshold: u32,
}

/// What is done when memory runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OverloadAction {
    /// Requests are answered with 503.
    StopAcceptingRequests,
    /// Connections wait in the kernel's queue.
    StopAcceptingConnections,
    /// Memory that is free goes back to the kernel.
    ShrinkHeap,
}

impl OverloadAction {
    pub const ALL: [OverloadAction; 3] = [
        OverloadAction::StopAcceptingRequests,
        OverloadAction::StopAcceptingConnections,
        OverloadAction::ShrinkHeap,
    ];

    /// Envoy's name.
    pub fn name(self) -> &'static str {
        match self {
            OverloadAction::StopAcceptingRequests => "envoy.overload_actions.stop_accepting_requests",
            OverloadAction::StopAcceptingConnections => "envoy.overload_actions.stop_accepting_connections",
            OverloadAction::ShrinkHeap => "envoy.overload_actions.shrink_heap",
        }
    }
}
