//! Mesh facts from YAML files and folders, watched.
//!
//! [`FileSource`] is the [`source::Source`]. `watch` says where something has changed, `scan` which
//! files there are, `file` reads one and keeps the last good version of each object in it, `tree`
//! puts all files together. A change costs what it touches: only where an event can mean more than
//! the path it names (links, lost events) everything is looked at.

mod file;
mod poll;
mod scan;
mod stamp;
mod tree;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use source::{Outlet, Source, Update};
use tokio::time::Instant;

use poll::Poll;
use tree::{Look, Tree};
use watch::{Changed, Watch};

/// How often everything is looked at without being told of a change, beside the other work: the
/// safety net for file systems that do not tell.
const POLL: Duration = Duration::from_secs(2);

/// How long an object must be gone before it is believed. Editors and `cp` write a file anew by
/// emptying or removing it first.
pub(crate) const GRACE: Duration = Duration::from_millis(100);

/// Reads files and folders, and follows their changes.
#[derive(Clone, Debug)]
pub struct FileSource {
    roots: Vec<PathBuf>,
    mesh_config: Option<PathBuf>,
    poll: Duration,
}

impl FileSource {
    /// Files (of any name) and folders (searched for `.yaml`, `.yml` and `.json`, hidden ones left
    /// out), in order: of an object that is given twice the first counts. What does not exist yet is
    /// reported, and read once it does.
    pub fn new(roots: Vec<PathBuf>) -> Self {
        FileSource { roots, mesh_config: None, poll: POLL }
    }

    /// A file that holds a MeshConfig.
    pub fn mesh_config(mut self, file: Option<PathBuf>) -> Self {
        self.mesh_config = file;
        self
    }

    /// Hands every update to `tell`, until that says that nobody listens any more.
    async fn follow<F: Future<Output = bool>>(self, mut tell: impl FnMut(Update) -> F) -> Result<(), String> {
        let failed = |error: tokio::task::JoinError| format!("reading files failed: {error}");
        let mut watch = Watch::new(self.roots.iter().chain(&self.mesh_config).cloned().collect());
        let mut poll = Poll::new(self.roots.clone(), self.poll);
        let mut tree = Tree::new(self.roots, self.mesh_config);
        // Before the first look, so that nothing changes unseen in between.
        watch.refresh();
        let mut look = Look::Everything;
        loop {
            let (back, update, again) = tokio::task::spawn_blocking(move || {
                let (update, again) = tree.look(look, std::time::Instant::now());
                (tree, update, again)
            })
            .await
            .map_err(failed)?;
            tree = back;
            if let Some(update) = update
                && !tell(update).await
            {
                return Ok(());
            }
            let again = again.map(|after| Instant::now() + after);
            look = tokio::select! {
                changed = watch.wait_until(again) => changed.into(),
                fresh = poll.next() => Look::Against(Box::new(fresh.map_err(failed)?)),
            };
            // Folders may have come; watching one that is watched already costs nothing.
            watch.refresh();
            if watch.is_new() {
                look = Look::Everything;
            }
        }
    }
}

impl From<Changed> for Look {
    fn from(changed: Changed) -> Look {
        match changed {
            Changed::Anywhere => Look::Everything,
            Changed::At(paths) => Look::At(paths),
        }
    }
}

impl Source for FileSource {
    fn name(&self) -> &'static str {
        "files"
    }

    async fn run(self, outlet: Outlet) -> Result<(), String> {
        self.follow(|update| outlet.send(update)).await
    }
}

#[cfg(test)]
mod tests;
