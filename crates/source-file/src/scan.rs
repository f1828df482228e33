//! Which files there are: all of them, or those at a few places.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io;
use std::ops::Bound;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::stamp::{Inode, Stamp, inode};

/// Folders are followed this deep; symbolic links could make them endless.
const MAX_DEPTH: usize = 32;

/// A walk beside the other work rests after so many files, for so long: on a machine with one core a change
/// waits for the files between two rests, not for all of them.
const AT_ONCE: u32 = 64;
const REST: Duration = Duration::from_millis(1);

/// By path, in the order of its bytes: to compare paths part by part costs more than to look at the files.
type ByPath<T> = BTreeMap<OsString, T>;

/// A file that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub path: PathBuf,
    /// Which of the roots it was found below. Files count in the order of roots, and then of paths.
    pub root: usize,
    pub stamp: Stamp,
}

/// All files of a list of files and folders. A file that is reached twice counts where it is reached
/// first.
#[derive(Debug, Default)]
pub(crate) struct Index {
    roots: Vec<PathBuf>,
    files: ByPath<(usize, Stamp)>,
    folders: ByPath<Inode>,
    seen: HashSet<Inode>,
    /// Roots in which something may be reached by another path than the one an event names.
    linked: BTreeSet<usize>,
    /// Something was reached twice, or a root is below another: what comes or goes in one place can matter in another.
    shadowed: bool,
    /// What could not be looked at, and why.
    pub unreadable: BTreeMap<PathBuf, String>,
    walk: Option<Walk>,
}

/// A walk that rests.
#[derive(Debug, Default)]
struct Walk {
    files: u32,
    rested: Duration,
}

impl Walk {
    fn step(&mut self) {
        self.files += 1;
        if self.files.is_multiple_of(AT_ONCE) {
            let begun = Instant::now();
            std::thread::sleep(REST);
            self.rested += begun.elapsed();
        }
    }
}

/// What a look at some places has brought.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// Files that were there before and are not any more.
    pub gone: Vec<PathBuf>,
    /// Files that are there, new, changed or as before.
    pub found: Vec<Found>,
    /// Folders that were not known before. Whether their watch came in time is not known.
    pub folders: Vec<PathBuf>,
}

impl Index {
    /// Looks at everything.
    pub fn scan(roots: &[PathBuf]) -> Index {
        Index::default().of(roots)
    }

    /// As [`scan`](Self::scan), with rests. And how long it took without them.
    pub fn scan_beside(roots: &[PathBuf]) -> (Index, Duration) {
        let begun = Instant::now();
        let mut index = Index { walk: Some(Walk::default()), ..Index::default() }.of(roots);
        let rested = index.walk.take().unwrap_or_default().rested;
        (index, begun.elapsed().saturating_sub(rested))
    }

    fn of(self, roots: &[PathBuf]) -> Index {
        let within = |(number, root): (usize, &PathBuf)| {
            roots.iter().enumerate().any(|(other, above)| other != number && root.starts_with(above))
        };
        let shadowed = roots.iter().enumerate().any(within);
        let mut index = Index { roots: roots.to_vec(), shadowed, ..self };
        (0..roots.len()).for_each(|root| index.add_root(root));
        index
    }

    pub fn contains(&self, path: &Path) -> bool {
        self.files.contains_key(key(path))
    }

    /// All files, and the folders that `before` does not have.
    pub fn since(&self, before: &Index) -> News {
        let folders = different(&self.folders, &before.folders);
        News {
            gone: Vec::new(),
            found: self.below(None),
            folders: folders.filter(|path| self.folders.contains_key(key(path))).collect(),
        }
    }

    /// Where this differs from a `fresh` one; `None`: too much does.
    pub fn differences(&self, fresh: &Index) -> Option<BTreeSet<PathBuf>> {
        let shape = |index: &Index| {
            (index.shadowed, index.linked.clone(), index.unreadable.keys().cloned().collect())
        };
        let shapes: [(bool, BTreeSet<usize>, Vec<PathBuf>); 2] = [shape(self), shape(fresh)];
        if shapes[0] != shapes[1] || self.folders != fresh.folders {
            return None;
        }
        Some(different(&self.files, &fresh.files).collect())
    }

    /// Looks at some places again, each a file or a folder with everything in it. `None`: only a look
    /// at everything can say what is there now; this index only remembers then what there was.
    pub fn look(&mut self, paths: &BTreeSet<PathBuf>) -> Option<News> {
        if self.shadowed {
            return None;
        }
        let mut targets: BTreeMap<PathBuf, usize> = BTreeMap::new();
        for path in paths {
            if let Some((root, target)) = self.target(path)? {
                targets.insert(target, root);
            }
        }
        // What is below another target is looked at with it.
        let above = |path: &Path| path.ancestors().skip(1).any(|folder| targets.contains_key(folder));
        let tops: Vec<(PathBuf, usize)> = targets
            .iter()
            .filter(|(path, _)| !above(path))
            .map(|(path, root)| (path.clone(), *root))
            .collect();
        // First all go and then all come, so that what was moved is not taken for a second one.
        let (mut gone, mut known) = (BTreeSet::new(), BTreeMap::new());
        for (target, _) in &tops {
            self.remove(target, &mut gone, &mut known);
        }
        let mut news = News::default();
        for (target, root) in tops {
            self.add(root, &target);
            if self.shadowed {
                return None;
            }
            news.found.extend(self.below(Some(&target)));
            let new = self.folders.get(key(&target)).is_some_and(|inode| known.get(&target) != Some(inode));
            news.folders.extend(new.then_some(target));
        }
        news.gone = gone.into_iter().filter(|path| !self.contains(path)).collect();
        Some(news)
    }

    /// What to look at for a path that an event names: of a new folder the topmost. Inside: `None`,
    /// if it means nothing here; outside: `None`, if it could mean anything.
    #[expect(clippy::option_option, reason = "both are explained, and are for one caller")]
    fn target(&self, path: &Path) -> Option<Option<(usize, PathBuf)>> {
        let below = self.roots.iter().enumerate().find(|(_, root)| path.starts_with(root));
        let Some((number, root)) = below else { return Some(None) };
        // A hidden folder may be what a link somewhere else leads to.
        if path.ancestors().skip(1).take_while(|folder| *folder != root).any(is_hidden) && path != root {
            return None;
        }
        if path == root || self.linked.contains(&number) {
            return Some(Some((number, root.clone())));
        }
        if is_hidden(path) {
            return Some(None);
        }
        let unknown = |folder: &&Path| *folder != root && !self.folders.contains_key(key(folder));
        let target = path.ancestors().skip(1).take_while(unknown).last().unwrap_or(path);
        match fs::symlink_metadata(target) {
            // What a link brings is for its whole root to say, from now on.
            Ok(metadata) if metadata.is_symlink() => Some(Some((number, root.clone()))),
            Ok(metadata) if metadata.is_file() && metadata.nlink() > 1 => None,
            _ => Some(Some((number, target.to_owned()))),
        }
    }

    /// Forgets everything at and below a path.
    fn remove(
        &mut self,
        target: &Path,
        files: &mut BTreeSet<PathBuf>,
        folders: &mut BTreeMap<PathBuf, Inode>,
    ) {
        for path in keys_below(&self.files, target) {
            if let Some((_, stamp)) = self.files.remove(&path) {
                self.seen.remove(&stamp.inode());
            }
            files.insert(path.into());
        }
        for path in keys_below(&self.folders, target) {
            if let Some(inode) = self.folders.remove(&path) {
                self.seen.remove(&inode);
                folders.insert(path.into(), inode);
            }
        }
        self.unreadable.retain(|path, _| !path.starts_with(target));
        if let Some(root) = self.roots.iter().position(|root| root == target) {
            self.linked.remove(&root);
        }
    }

    /// The files at and below a path, or all.
    fn below(&self, target: Option<&Path>) -> Vec<Found> {
        let found = |(path, (root, stamp)): (&OsString, &(usize, Stamp))| Found {
            path: path.into(),
            root: *root,
            stamp: *stamp,
        };
        match target {
            None => self.files.iter().map(found).collect(),
            Some(target) => below(&self.files, target).map(found).collect(),
        }
    }

    fn add_root(&mut self, root: usize) {
        let Some(path) = self.roots.get(root).cloned() else { return };
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => self.folder(root, &path, &metadata, 0),
            Ok(metadata) => self.file(root, path, &metadata),
            Err(error) => drop(self.unreadable.insert(path, error.to_string())),
        }
    }

    /// Adds what is at a path, as a look at everything would.
    fn add(&mut self, root: usize, target: &Path) {
        let below = self.roots.get(root).and_then(|root| target.strip_prefix(root).ok());
        let depth = below.map_or(0, |below| below.components().count());
        if depth == 0 {
            return self.add_root(root);
        }
        self.entry(root, target.to_owned(), depth - 1);
    }

    /// An entry of a folder that lies so deep.
    fn entry(&mut self, root: usize, path: PathBuf, depth: usize) {
        // Follows links, as Kubernetes mounts ConfigMaps; dangling ones are no files.
        self.walk.iter_mut().for_each(Walk::step);
        let Ok(metadata) = fs::metadata(&path) else { return };
        if metadata.is_dir() {
            if depth < MAX_DEPTH {
                self.folder(root, &path, &metadata, depth + 1);
            }
        } else if metadata.is_file() && is_configuration(&path) {
            self.file(root, path, &metadata);
        }
    }

    fn file(&mut self, root: usize, path: PathBuf, metadata: &Metadata) {
        if metadata.nlink() > 1 {
            self.linked.insert(root);
        }
        match self.seen.insert(inode(metadata)) {
            true => drop(self.files.insert(key(&path).to_owned(), (root, Stamp::of(metadata)))),
            false => self.shadowed = true,
        }
    }

    fn folder(&mut self, root: usize, folder: &Path, metadata: &Metadata, depth: usize) {
        if !self.seen.insert(inode(metadata)) {
            self.shadowed = true;
            return;
        }
        self.folders.insert(key(folder).to_owned(), inode(metadata));
        let entry = |entry: io::Result<fs::DirEntry>| {
            let entry = entry.ok()?;
            Some((entry.file_name(), entry.file_type().is_ok_and(|ty| ty.is_symlink())))
        };
        let mut entries: Vec<(OsString, bool)> = match fs::read_dir(folder) {
            Ok(entries) => entries.filter_map(entry).collect(),
            // Gone between listing and looking: that is a removal like any other.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return drop(self.unreadable.insert(folder.to_owned(), error.to_string())),
        };
        entries.sort();
        for (name, is_link) in entries.into_iter().filter(|(name, _)| !is_hidden(Path::new(name))) {
            if is_link {
                self.linked.insert(root);
            }
            self.entry(root, folder.join(name), depth);
        }
    }
}

/// A path in a map: without slashes at the end, that somebody may have written behind a root.
fn key(path: &Path) -> &OsStr {
    let mut bytes = path.as_os_str().as_bytes();
    while let [rest @ .., b'/'] = bytes
        && !rest.is_empty()
    {
        bytes = rest;
    }
    OsStr::from_bytes(bytes)
}

/// What is at and below a path.
fn below<'m, T>(map: &'m ByPath<T>, target: &Path) -> impl Iterator<Item = (&'m OsString, &'m T)> {
    let mut inside = key(target).to_owned();
    let itself = map.get_key_value(&inside);
    if inside != "/" {
        inside.push("/");
    }
    let from = map.range::<OsStr, _>((Bound::Excluded(inside.as_os_str()), Bound::Unbounded));
    let below = from.take_while(move |(path, _)| path.as_bytes().starts_with(inside.as_bytes()));
    itself.into_iter().chain(below.collect::<Vec<_>>())
}

fn keys_below<T>(map: &ByPath<T>, target: &Path) -> Vec<OsString> {
    below(map, target).map(|(path, _)| path.clone()).collect()
}

/// Paths that only one of two maps has, or each with something else. Both are gone through once.
fn different<'m, T: PartialEq>(a: &'m ByPath<T>, b: &'m ByPath<T>) -> impl Iterator<Item = PathBuf> + 'm {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    std::iter::from_fn(move || {
        loop {
            let order = match (a.peek(), b.peek()) {
                (None, None) => return None,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((a, _)), Some((b, _))) => a.cmp(b),
            };
            let of_a = if order.is_le() { a.next() } else { None };
            let of_b = if order.is_ge() { b.next() } else { None };
            if of_a != of_b {
                return of_a.or(of_b).map(|(path, _)| path.into());
            }
        }
    })
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn is_configuration(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ext| ["yaml", "yml", "json"].iter().any(|known| ext.eq_ignore_ascii_case(known)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(list: &[(&str, u32)]) -> ByPath<u32> {
        list.iter().map(|(path, value)| (path.into(), *value)).collect()
    }

    #[test]
    fn what_is_below_a_path_is_not_what_begins_like_it() {
        let all = map(&[("/a", 1), ("/a-b", 2), ("/a.d/x", 3), ("/a/x", 4), ("/a/y/z", 5), ("/a0", 6)]);
        let below = |target: &str| keys_below(&all, Path::new(target));
        assert_eq!(below("/a"), ["/a", "/a/x", "/a/y/z"]);
        assert_eq!(below("/a/"), ["/a", "/a/x", "/a/y/z"]);
        assert_eq!(below("/a/y"), ["/a/y/z"]);
        assert_eq!(below("/").len(), 6);
        assert!(below("/b").is_empty());
    }

    #[test]
    fn differences_are_what_came_went_and_changed() {
        let before = map(&[("a", 1), ("b", 1), ("d", 1), ("e", 1)]);
        let after = map(&[("b", 1), ("c", 1), ("d", 2), ("e", 1), ("f", 1)]);
        let found: Vec<PathBuf> = different(&before, &after).collect();
        assert_eq!(found, ["a", "c", "d", "f"].map(PathBuf::from));
        assert_eq!(different(&after, &after).count(), 0);
    }
}
