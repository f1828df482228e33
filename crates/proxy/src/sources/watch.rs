//! Being told that files have changed: by events, and by looking now and then.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// How often everything is looked at, for file systems without events.
const POLL: Duration = Duration::from_secs(5);
/// A burst of events is one change.
const SETTLE: Duration = Duration::from_millis(5);
/// How long a file that was made may be without a first write; a link never has one.
const CREATED: Duration = Duration::from_millis(50);
/// How long a file that is being written may be without a further write or its writer's closing it. Half
/// of a list of clusters is a list of clusters: it must not be read before.
const WRITING: Duration = Duration::from_secs(10);
/// Links are followed up to this depth.
const MAX_LINKS: usize = 8;

/// What tells one version of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    inode: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// `None`: there is no such file. Links are followed.
    pub fn of(path: &Path) -> Option<Stamp> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Stamp {
            inode: inode(&metadata),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

fn inode(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// What an event means for reading.
enum Hint {
    /// Something is as its writer wants it.
    Done,
    /// A writer may have begun.
    Created,
    /// A writer is at work, and will close.
    Writing,
}

/// Watches the folders of files. Where that is not possible, they are only looked at now and then.
pub struct Watch {
    watcher: Option<RecommendedWatcher>,
    /// By path, which folder that was: one that is made anew must be watched anew.
    folders: BTreeMap<PathBuf, (u64, u64)>,
    events: mpsc::UnboundedReceiver<(Hint, Vec<PathBuf>)>,
    /// Without a watcher this keeps the channel open.
    _sender: mpsc::UnboundedSender<(Hint, Vec<PathBuf>)>,
    /// Files that their writers have not closed yet, and until when that is waited for.
    writing: HashMap<PathBuf, Instant>,
    next_poll: Instant,
    dirty: bool,
}

impl Watch {
    pub fn new() -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let tell = sender.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let (hint, paths) = match event {
                Ok(event) => (hint(&event), event.paths),
                Err(_) => (Some(Hint::Done), Vec::new()),
            };
            if let Some(hint) = hint {
                // A send fails only at the end.
                let _ = tell.send((hint, paths));
            }
        });
        let watcher = watcher.inspect_err(|error| tracing::warn!("files are polled, not watched: {error}"));
        Watch {
            watcher: watcher.ok(),
            folders: BTreeMap::new(),
            events,
            _sender: sender,
            writing: HashMap::new(),
            next_poll: Instant::now() + POLL,
            dirty: false,
        }
    }

    /// Watches what has to be watched for these files, and nothing else.
    pub fn follow(&mut self, files: impl Iterator<Item = PathBuf>, folders: impl Iterator<Item = PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        let mut wanted: BTreeSet<PathBuf> = folders.collect();
        files.for_each(|file| folders_of(&file, &mut wanted));
        let identity = |path: &Path| std::fs::metadata(path).ok().map(|it| inode(&it));
        let wanted: BTreeMap<PathBuf, (u64, u64)> =
            wanted.into_iter().filter_map(|path| Some((path.clone(), identity(&path)?))).collect();
        let stale = |(path, id): &(&PathBuf, &(u64, u64))| wanted.get(*path) != Some(*id);
        let gone: Vec<PathBuf> = self.folders.iter().filter(stale).map(|(path, _)| path.clone()).collect();
        for path in gone {
            // It fails for what is gone, which is then not watched either.
            let _ = watcher.unwatch(&path);
            self.folders.remove(&path);
        }
        for (path, id) in wanted {
            if self.folders.contains_key(&path) {
                continue;
            }
            match watcher.watch(&path, RecursiveMode::NonRecursive) {
                // What changed there before was not seen.
                Ok(()) => self.dirty = true,
                Err(error) => tracing::warn!("{} is polled, not watched: {error}", path.display()),
            }
            self.folders.insert(path, id);
        }
    }

    /// Waits until files may have changed. Cancelling loses nothing.
    pub async fn changed(&mut self) {
        loop {
            if self.dirty {
                sleep_until(Instant::now() + SETTLE).await;
                while let Ok((hint, paths)) = self.events.try_recv() {
                    self.take(&hint, paths);
                }
                self.dirty = false;
                return;
            }
            let unclosed = self.writing.values().min().copied();
            let wake = unclosed.map_or(self.next_poll, |until| until.min(self.next_poll));
            tokio::select! {
                Some((hint, paths)) = self.events.recv() => self.take(&hint, paths),
                () = sleep_until(wake) => {
                    let now = Instant::now();
                    self.writing.retain(|_, until| *until > now);
                    if now >= self.next_poll {
                        self.next_poll = now + POLL;
                    }
                    return;
                }
            }
        }
    }

    /// Whether somebody is writing a file: it is not to be read now.
    pub fn is_being_written(&self, path: &Path) -> bool {
        let is = |path: &Path| self.writing.contains_key(path);
        !self.writing.is_empty() && (is(path) || std::fs::canonicalize(path).is_ok_and(|path| is(&path)))
    }

    fn take(&mut self, hint: &Hint, paths: Vec<PathBuf>) {
        let now = Instant::now();
        for path in paths {
            match hint {
                Hint::Done => {
                    self.writing.remove(&path);
                }
                Hint::Created => {
                    self.writing.entry(path).or_insert(now + CREATED);
                }
                Hint::Writing => {
                    self.writing.insert(path, now + WRITING);
                }
            }
        }
        self.dirty |= matches!(hint, Hint::Done);
    }
}

/// `None` for events that change nothing, as our own reading causes them.
fn hint(event: &Event) -> Option<Hint> {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Hint::Done),
        EventKind::Access(_) => None,
        EventKind::Modify(ModifyKind::Data(_)) => Some(Hint::Writing),
        EventKind::Create(CreateKind::File) => Some(Hint::Created),
        _ => Some(Hint::Done),
    }
}

/// The folders in which something may happen that makes `file` another one: its own, and those of every
/// link on the way to it. (Kubernetes changes what `..data` points to.)
fn folders_of(file: &Path, folders: &mut BTreeSet<PathBuf>) {
    let mut file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    for _ in 0..MAX_LINKS {
        let existing = file.ancestors().skip(1).find(|parent| parent.is_dir());
        folders.extend(existing.map(Path::to_owned));
        let link = file.ancestors().find(|path| path.is_symlink()).map(Path::to_owned);
        let Some((link, target)) = link.and_then(|link| Some((link.clone(), std::fs::read_link(link).ok()?)))
        else {
            return;
        };
        let parent = link.parent().unwrap_or(Path::new("/"));
        folders.insert(parent.to_owned());
        let rest = file.strip_prefix(&link).unwrap_or(Path::new("")).to_owned();
        let to = parent.join(target);
        file = if rest.as_os_str().is_empty() { to } else { to.join(rest) };
    }
}
