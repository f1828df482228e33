//! Memory that only a change of configuration needs is given back once there is none.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use crate::proxy::State;

/// How long configuration has to be unchanged until what was freed goes back. Longer than a worker
/// waits: what that takes is dropped, too.
const QUIET: Duration = Duration::from_secs(2);
/// How often pages of the binary are dropped at most. The first requests after that map them again,
/// which is nothing once, but not after every change of a mesh that always changes.
const PAGES: Duration = Duration::from_secs(60);

/// After the first configuration and after every later burst, releases what decoding and compiling
/// left behind. Never ends.
pub async fn keep(state: Arc<State>) {
    let mut changes = state.manager.lock().changes.subscribe();
    // What came before anybody could listen counts, too.
    changes.mark_changed();
    let (mut dirty, mut next) = (false, Instant::now());
    loop {
        tokio::select! {
            changed = changes.changed() => {
                if changed.is_err() {
                    return;
                }
                while let Ok(Ok(())) = tokio::time::timeout(QUIET, changes.changed()).await {}
                net::memory::collect();
                dirty = true;
            }
            () = tokio::time::sleep_until(next), if dirty => {}
        }
        if Instant::now() < next {
            continue;
        }
        if !state.manager.lock().config.is_ready() || state.draining.load(Ordering::Relaxed) {
            next = Instant::now() + QUIET;
            continue;
        }
        (dirty, next) = (false, Instant::now() + PAGES);
        match net::memory::release_clean_pages() {
            Ok(bytes) => tracing::debug!(kib = bytes >> 10, "released pages of the binary"),
            Err(error) => tracing::debug!(%error, "pages of the binary stay"),
        }
    }
}
