//! Mesh facts from YAML files and folders, watched.
//!
//! [`FileSource`] is the [`source::Source`]; [`scan`] finds files, `file` reads one and keeps the
//! last good version of each object in it, `tree` puts all files together.

mod file;
mod scan;
mod tree;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

use source::{Outlet, Source};
use tokio::time::Instant;

use tree::Tree;
use watch::Watch;

/// How often everything is looked at without being told of a change: the safety net for file
/// systems that do not tell.
const POLL: Duration = Duration::from_secs(2);

/// How long an object must be gone before it is believed. Editors and `cp` write a file anew by
/// emptying or removing it first.
pub(crate) const GRACE: Duration = Duration::from_millis(100);

/// Reads files and folders, and follows their changes.
#[derive(Clone, Debug, Default)]
pub struct FileSource {
    roots: Vec<PathBuf>,
    mesh_config: Option<PathBuf>,
}

impl FileSource {
    /// Files (of any name) and folders (searched for `.yaml`, `.yml` and `.json`, hidden ones left
    /// out), in order: of an object that is given twice the first counts. What does not exist yet is
    /// reported, and read once it does.
    pub fn new(roots: Vec<PathBuf>) -> Self {
        FileSource { roots, mesh_config: None }
    }

    /// A file that holds a MeshConfig.
    pub fn mesh_config(mut self, file: Option<PathBuf>) -> Self {
        self.mesh_config = file;
        self
    }
}

impl Source for FileSource {
    fn name(&self) -> &'static str {
        "files"
    }

    async fn run(self, outlet: Outlet) -> Result<(), String> {
        let mut watch = Watch::new(self.roots.iter().chain(&self.mesh_config).cloned().collect());
        // Before the first look, so that nothing changes unseen in between.
        watch.refresh();
        let mut tree = Tree::new(self.roots, self.mesh_config);
        loop {
            let (back, update, again) = tokio::task::spawn_blocking(move || {
                let (update, again) = tree.scan(std::time::Instant::now());
                (tree, update, again)
            })
            .await
            .map_err(|error| format!("reading files failed: {error}"))?;
            tree = back;
            if let Some(update) = update
                && !outlet.send(update).await
            {
                return Ok(());
            }
            // Folders may have come; watching one that is watched already costs nothing.
            watch.refresh();
            let again = again.map_or(POLL, |after| after.min(POLL));
            watch.wait_until(Instant::now() + again).await;
        }
    }
}
