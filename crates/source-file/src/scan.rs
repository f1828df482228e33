//! Which files there are.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Folders are followed this deep; symbolic links could make them endless.
const MAX_DEPTH: usize = 32;

/// A file that was found, in the order in which files count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub path: PathBuf,
    pub stamp: Stamp,
}

/// What tells one version of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub fn of(metadata: &Metadata) -> Self {
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// How long ago the last change was; nothing if it was in the future.
    pub fn age(&self, now: SystemTime) -> Duration {
        let (seconds, nanos) = self.changed;
        let since = Duration::new(seconds.unsigned_abs(), u32::try_from(nanos).unwrap_or(0));
        now.duration_since(UNIX_EPOCH + since).unwrap_or_default()
    }
}

/// What could not be looked at.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub path: PathBuf,
    pub error: io::Error,
}

/// All files of a list of files and folders: in the order of the list, within a folder by path. A
/// file that is reached twice counts where it is reached first.
pub(crate) fn scan(roots: &[PathBuf]) -> (Vec<Found>, Vec<Unreadable>) {
    let mut walk = Walk::default();
    for root in roots {
        match fs::metadata(root) {
            Ok(metadata) if metadata.is_dir() => walk.folder(root, 0),
            Ok(metadata) => walk.file(root.clone(), &metadata),
            Err(error) => walk.unreadable.push(Unreadable { path: root.clone(), error }),
        }
    }
    (walk.found, walk.unreadable)
}

#[derive(Default)]
struct Walk {
    found: Vec<Found>,
    unreadable: Vec<Unreadable>,
    seen: BTreeSet<(u64, u64)>,
}

impl Walk {
    fn file(&mut self, path: PathBuf, metadata: &Metadata) {
        if self.seen.insert((metadata.dev(), metadata.ino())) {
            self.found.push(Found { path, stamp: Stamp::of(metadata) });
        }
    }

    fn folder(&mut self, folder: &Path, depth: usize) {
        let mut paths: Vec<PathBuf> = match fs::read_dir(folder) {
            Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).collect(),
            // Gone between listing and looking: that is a removal like any other.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                self.unreadable.push(Unreadable { path: folder.to_owned(), error });
                return;
            }
        };
        paths.sort();
        for path in paths.into_iter().filter(|path| !is_hidden(path)) {
            // Follows links, as Kubernetes mounts ConfigMaps; dangling ones are no files.
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if metadata.is_dir() {
                if depth < MAX_DEPTH && self.seen.insert((metadata.dev(), metadata.ino())) {
                    self.folder(&path, depth + 1);
                }
            } else if metadata.is_file() && is_configuration(&path) {
                self.file(path, &metadata);
            }
        }
    }
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn is_configuration(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ext| ["yaml", "yml", "json"].iter().any(|known| ext.eq_ignore_ascii_case(known)))
}
