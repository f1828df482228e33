//! Being told of changes by the operating system.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::warn;

use crate::stamp::{Inode, inode};

/// How long a file that is being written may be without its writer closing it.
const WRITING: Duration = Duration::from_millis(20);

/// Where something may have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    /// Events were lost, or mean more than the path they name.
    Anywhere,
    At(BTreeSet<PathBuf>),
}

/// Watches files and folders. Where that is not possible, waiting just takes its full time.
pub(crate) struct Watch {
    /// As given, and as events name them.
    paths: Vec<(PathBuf, PathBuf)>,
    watcher: Option<RecommendedWatcher>,
    /// By path, which folder that was: one that is made anew must be watched anew.
    watched: BTreeMap<PathBuf, Option<Inode>>,
    /// Already warned about.
    refused: BTreeSet<PathBuf>,
    events: mpsc::UnboundedReceiver<(Hint, Vec<PathBuf>)>,
    /// Without a watcher this keeps the channel open.
    _sender: mpsc::UnboundedSender<(Hint, Vec<PathBuf>)>,
    anywhere: bool,
    new: bool,
    /// Where to look, by given path.
    done: BTreeSet<PathBuf>,
    /// Files that their writers have not closed yet, and until when that is waited for.
    writing: BTreeMap<PathBuf, Instant>,
}

/// What an event means for reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hint {
    /// Something is as its writer wants it.
    Done,
    /// A writer has begun, and will close.
    Writing,
    /// Events were lost.
    Lost,
}

impl Watch {
    pub fn new(paths: Vec<PathBuf>) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let tell = sender.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let hint = match event {
                Ok(event) if event.need_rescan() => Some((Hint::Lost, Vec::new())),
                Ok(event) => hint(&event.kind).map(|hint| (hint, event.paths)),
                Err(_) => Some((Hint::Lost, Vec::new())),
            };
            // A send fails only at the end.
            let _ = hint.is_some_and(|hint| tell.send(hint).is_ok());
        });
        let watcher = watcher.inspect_err(|error| warn!("files are polled, not watched: {error}")).ok();
        let named = |path: PathBuf| {
            let absolute = std::path::absolute(&path).unwrap_or_else(|_| path.clone());
            (path, absolute)
        };
        Watch {
            paths: paths.into_iter().map(named).collect(),
            watcher,
            watched: BTreeMap::new(),
            refused: BTreeSet::new(),
            events,
            _sender: sender,
            anywhere: false,
            new: false,
            done: BTreeSet::new(),
            writing: BTreeMap::new(),
        }
    }

    /// Watches what should be watched now: folders with everything in them; of a file its folder,
    /// since editors put a new file in its place; of what does not exist the nearest folder that does.
    pub fn refresh(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        let mut wanted: BTreeMap<PathBuf, bool> = BTreeMap::new();
        for (path, recursive) in self.paths.iter().map(|(_, absolute)| target(absolute)) {
            *wanted.entry(path).or_default() |= recursive;
        }
        let stale = |path: &PathBuf, id: &Option<Inode>| !wanted.contains_key(path) || identity(path) != *id;
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
                Ok(()) => {
                    self.watched.insert(path, id);
                    self.new = true;
                }
                Err(error) => {
                    if self.refused.insert(path.clone()) {
                        warn!("{} is polled, not watched: {error}", path.display());
                    }
                }
            }
        }
    }

    /// Whether anything is watched only since the last question: what changed there before was not seen.
    pub fn is_new(&mut self) -> bool {
        std::mem::take(&mut self.new)
    }

    /// Waits until something has changed, at the latest until `deadline`, if there is one. A file that
    /// is being written gets a moment to be finished. Cancel safe.
    pub async fn wait_until(&mut self, deadline: Option<Instant>) -> Changed {
        loop {
            while let Ok((hint, paths)) = self.events.try_recv() {
                self.take(hint, &paths);
            }
            let now = Instant::now();
            let late = self.writing.iter().filter(|(_, until)| **until <= now);
            self.done.extend(late.map(|(path, _)| path.clone()));
            self.writing.retain(|_, until| *until > now);
            if let Some(changed) = self.changed() {
                return changed;
            }
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Changed::At(BTreeSet::new());
            }
            let received = match self.writing.values().copied().chain(deadline).min() {
                Some(until) => timeout_at(until, self.events.recv()).await.ok(),
                None => Some(self.events.recv().await),
            };
            match received {
                Some(Some((hint, paths))) => self.take(hint, &paths),
                // The sender lives as long as this.
                Some(None) => sleep_until(now + WRITING).await,
                None => {}
            }
        }
    }

    /// What is known to be finished by now, if that is something.
    fn changed(&mut self) -> Option<Changed> {
        let done = std::mem::take(&mut self.done);
        match std::mem::take(&mut self.anywhere) {
            true => Some(Changed::Anywhere),
            false => (!done.is_empty()).then_some(Changed::At(done)),
        }
    }

    fn take(&mut self, hint: Hint, paths: &[PathBuf]) {
        self.anywhere |= hint == Hint::Lost;
        for path in paths {
            for (given, absolute) in &self.paths {
                let Ok(rest) = path.strip_prefix(absolute) else {
                    // A folder above has come or gone.
                    self.anywhere |= absolute.starts_with(path);
                    continue;
                };
                let path = if rest.as_os_str().is_empty() { given.clone() } else { given.join(rest) };
                match hint {
                    Hint::Writing if self.done.contains(&path) => {}
                    Hint::Writing => {
                        self.writing.entry(path).or_insert_with(|| Instant::now() + WRITING);
                    }
                    Hint::Done | Hint::Lost => {
                        self.writing.remove(&path);
                        self.done.insert(path);
                    }
                }
            }
        }
    }
}

fn identity(path: &Path) -> Option<Inode> {
    Some(inode(&std::fs::metadata(path).ok()?))
}

/// What to watch for a path, and whether with everything in it.
fn target(path: &Path) -> (PathBuf, bool) {
    if path.is_dir() {
        return (path.to_owned(), true);
    }
    let existing = path.ancestors().skip(1).find(|parent| parent.is_dir());
    (existing.unwrap_or(Path::new("/")).to_owned(), false)
}

/// `None` for events that change nothing, as our own reading causes them.
fn hint(kind: &EventKind) -> Option<Hint> {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Hint::Done),
        EventKind::Access(_) => None,
        EventKind::Modify(ModifyKind::Data(_)) | EventKind::Create(CreateKind::File) => Some(Hint::Writing),
        _ => Some(Hint::Done),
    }
}
