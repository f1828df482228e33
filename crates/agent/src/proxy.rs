//! The data plane, as the agent sees it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use identity::SecretStore;
use lifecycle::DrainGuard;

use crate::AgentConfig;

/// What a proxy starts from.
#[derive(Clone)]
pub struct ProxyStart {
    pub config: Arc<AgentConfig>,
    pub bootstrap: Arc<ir::Bootstrap>,
    /// For a proxy in this process; another is served by SDS.
    pub secrets: SecretStore,
}

/// A data plane that can be run, and run again.
pub trait ProxyRunner: Send + Sync + 'static {
    /// The name it has for the control plane: `lateen` or `envoy`.
    fn user_agent(&self) -> &'static str;

    /// Whether it runs in this process and shares the secret store.
    fn in_process(&self) -> bool;

    /// Runs until it ends by itself (an error: it is started again), or has ended a drain: when
    /// `drain` begins it goes on serving and asks clients to go elsewhere, when `drain` is forced
    /// it ends at once. It holds the guard while it runs.
    fn run(
        &self,
        start: ProxyStart,
        drain: DrainGuard,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>>;
}
