//! Looking at everything now and then.

use std::path::PathBuf;
use std::time::Duration;

use tokio::task::{JoinError, JoinHandle};
use tokio::time::sleep_until;

use crate::scan::Index;

/// A walk may take this part of the time: with very many files it comes less often.
const PART: u32 = 50;

/// Walks over all files beside the other work, so that no change waits for it. What has changed
/// since a walk passed looks like a difference, and is looked at once more.
pub(crate) struct Poll {
    roots: Vec<PathBuf>,
    every: Duration,
    at: tokio::time::Instant,
    walk: Option<JoinHandle<(Index, Duration)>>,
}

impl Poll {
    pub fn new(roots: Vec<PathBuf>, every: Duration) -> Self {
        Poll { roots, every, at: tokio::time::Instant::now() + every, walk: None }
    }

    /// What a walk has found, when it is time for the next one. Cancel safe.
    pub async fn next(&mut self) -> Result<Index, JoinError> {
        if self.walk.is_none() {
            sleep_until(self.at).await;
        }
        let roots = &self.roots;
        let walk = self.walk.get_or_insert_with(|| {
            let roots = roots.clone();
            tokio::task::spawn_blocking(move || Index::scan_beside(&roots))
        });
        let found = walk.await;
        self.walk = None;
        let (index, took) = found?;
        self.at = tokio::time::Instant::now() + self.every.max(took * PART);
        Ok(index)
    }
}
