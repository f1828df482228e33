//! Memory that only a change of configuration needs is given back once there is none.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::proxy::State;

/// How long configuration has to be unchanged.
const QUIET: Duration = Duration::from_secs(10);

/// After the first configuration and after every later burst, releases what decoding and compiling
/// left behind. Never ends.
pub async fn keep(state: Arc<State>) {
    let (mut seen, mut tidied) = (0, 0);
    loop {
        tokio::time::sleep(QUIET).await;
        let (changes, ready) = {
            let manager = state.manager.lock();
            (manager.changes, manager.config.is_ready())
        };
        let quiet = std::mem::replace(&mut seen, changes) == changes;
        if !ready || !quiet || tidied == changes || state.draining.load(Ordering::Relaxed) {
            continue;
        }
        tidied = changes;
        match net::memory::release_clean_pages() {
            Ok(bytes) => tracing::debug!(kib = bytes >> 10, "released pages of the binary"),
            Err(error) => tracing::debug!(%error, "pages of the binary stay"),
        }
    }
}
