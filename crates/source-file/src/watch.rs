//! Being told of changes by the operating system.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tracing::warn;

/// How long a file that is being written may be without its writer closing it.
const WRITING: Duration = Duration::from_millis(20);

/// Watches files and folders. Where that is not possible, waiting just takes its full time.
pub(crate) struct Watch {
    paths: Vec<PathBuf>,
    watcher: Option<RecommendedWatcher>,
    /// By path, which folder that was: one that is made anew must be watched anew.
    watched: BTreeMap<PathBuf, Option<(u64, u64)>>,
    /// Already warned about.
    refused: BTreeSet<PathBuf>,
    events: mpsc::UnboundedReceiver<Hint>,
    /// Without a watcher this keeps the channel open.
    _sender: mpsc::UnboundedSender<Hint>,
}

/// What an event means for reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hint {
    /// Something is as its writer wants it.
    Done,
    /// A writer has begun, and will close.
    Writing,
}

impl Watch {
    pub fn new(paths: Vec<PathBuf>) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let tell = sender.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error may mean lost events, so it counts as one. A send fails only at the end.
            let hint = event.map_or(Some(Hint::Done), |event| hint(&event.kind));
            let _ = hint.is_some_and(|hint| tell.send(hint).is_ok());
        });
        let watcher = watcher.inspect_err(|error| warn!("files are polled, not watched: {error}")).ok();
        let (watched, refused) = (BTreeMap::new(), BTreeSet::new());
        Watch { paths, watcher, watched, refused, events, _sender: sender }
    }

    /// Watches what should be watched now: folders with everything in them; of a file its folder,
    /// since editors put a new file in its place; of what does not exist the nearest folder that does.
    pub fn refresh(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        let wanted: BTreeMap<PathBuf, bool> = self.paths.iter().map(|path| target(path)).collect();
        let stale =
            |path: &PathBuf, id: &Option<(u64, u64)>| !wanted.contains_key(path) || identity(path) != *id;
        let gone: Vec<PathBuf> =
            self.watched.iter().filter(|(path, id)| stale(path, id)).map(|(path, _)| path.clone()).collect();
        for path in gone {
            // It fails for what is gone, which is then not watched either.
            let _ = watcher.unwatch(&path);
            self.watched.remove(&path);
        }
        for (path, recursive) in wanted {
            if self.watched.contains_key(&path) {
                continue;
            }
            let id = identity(&path);
            let mode = if recursive { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
            match watcher.watch(&path, mode) {
                Ok(()) => drop(self.watched.insert(path, id)),
                Err(error) => {
                    if self.refused.insert(path.clone()) {
                        warn!("{} is polled, not watched: {error}", path.display());
                    }
                }
            }
        }
    }

    /// Waits until something has changed, at the latest until `deadline`. A file that is being written
    /// gets a moment to be finished.
    pub async fn wait_until(&mut self, deadline: Instant) {
        let Ok(Some(mut latest)) = timeout_at(deadline, self.events.recv()).await else { return };
        let patience = Instant::now() + WRITING;
        loop {
            while let Ok(hint) = self.events.try_recv() {
                latest = hint;
            }
            if latest == Hint::Done {
                return;
            }
            match timeout_at(patience, self.events.recv()).await {
                Ok(Some(hint)) => latest = hint,
                Ok(None) | Err(_) => return,
            }
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// What to watch for a path, and whether with everything in it.
fn target(path: &Path) -> (PathBuf, bool) {
    if path.is_dir() {
        return (path.to_owned(), true);
    }
    let parents = path.ancestors().skip(1).map(|p| if p.as_os_str().is_empty() { Path::new(".") } else { p });
    let existing = parents.into_iter().find(|parent| parent.is_dir());
    (existing.unwrap_or(Path::new("/")).to_owned(), false)
}

/// `None` for events that change nothing, as our own reading causes them.
fn hint(kind: &EventKind) -> Option<Hint> {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Hint::Done),
        EventKind::Access(_) => None,
        EventKind::Modify(ModifyKind::Data(_)) => Some(Hint::Writing),
        _ => Some(Hint::Done),
    }
}
