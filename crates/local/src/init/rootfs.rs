//! A container's view of the file system: the host's, with a `/run` of its own and the pod's
//! files and volumes in their places.
//!
//! The root is a tmpfs into which the host's top-level folders are bound, so a volume can appear
//! at any path without a trace on the host: where the path leads through a folder of the host
//! that lacks it, that folder is replaced by a copy made of binds.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, bail};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::wire::Mount;

const NONE: Option<&str> = None;
/// Links followed in one path, as the kernel's limit.
const MAX_LINKS: usize = 40;

/// Builds the view in `root`, an empty folder, and makes it the root of this mount namespace.
///
/// # Errors
/// A mount failed; the context says which.
pub fn enter(root: &Path, mounts: &[Mount]) -> anyhow::Result<()> {
    let mut view = View { root: root.to_owned(), ours: Vec::new() };
    view.base()?;
    let mut mounts: Vec<&Mount> = mounts.iter().collect();
    // Outer ones first, so that they do not cover inner ones.
    mounts.sort_by_key(|mount| mount.target.components().count());
    for mount in mounts {
        view.add(mount).with_context(|| format!("mount {}", mount.target.display()))?;
    }
    std::env::set_current_dir(root)?;
    nix::unistd::pivot_root(".", ".").context("pivot_root")?;
    umount2(".", MntFlags::MNT_DETACH).context("detach the host's root")?;
    std::env::set_current_dir("/")?;
    Ok(())
}

struct View {
    root: PathBuf,
    /// Folders (as the container sees them) where files can be made without touching the host.
    ours: Vec<PathBuf>,
}

impl View {
    /// The host's top level, without its `/run`: sockets of the host's services are there.
    fn base(&mut self) -> anyhow::Result<()> {
        tmpfs(&self.root)?;
        mimic(Path::new("/"), &self.root, &|name| name == "run")?;
        fs::create_dir(self.root.join("run"))?;
        self.ours.push("/run".into());
        Ok(())
    }

    fn add(&mut self, wanted: &Mount) -> anyhow::Result<()> {
        let target = resolve(&wanted.target)?;
        let is_dir =
            fs::metadata(&wanted.source).with_context(|| wanted.source.display().to_string())?.is_dir();
        self.make(&target, is_dir)?;
        let place = self.outside(&target);
        bind(&wanted.source, &place)?;
        if wanted.read_only {
            let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
            mount(NONE, &place, NONE, flags, NONE).context("read-only")?;
        } else if is_dir {
            self.ours.push(target);
        }
        Ok(())
    }

    /// Where the supervisor's side sees a path of the container.
    fn outside(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Makes `target` exist, as a folder or a file.
    fn make(&mut self, target: &Path, is_dir: bool) -> anyhow::Result<()> {
        let place = self.outside(target);
        if let Ok(found) = fs::metadata(&place) {
            if found.is_dir() != is_dir {
                bail!("a file and a folder cannot be mounted on each other");
            }
            return Ok(());
        }
        let existing = target.ancestors().skip(1).find(|path| self.outside(path).is_dir());
        let existing = existing.context("no folder to be in")?.to_owned();
        if existing != Path::new("/") && !self.ours.iter().any(|ours| existing.starts_with(ours)) {
            let place = self.outside(&existing);
            tmpfs(&place)?;
            mimic(&existing, &place, &|_| false)?;
            self.ours.push(existing);
        }
        if is_dir {
            fs::create_dir_all(&place)?;
        } else {
            fs::create_dir_all(place.parent().unwrap_or(&self.root))?;
            fs::File::create(&place)?;
        }
        Ok(())
    }
}

fn tmpfs(place: &Path) -> anyhow::Result<()> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), place, Some("tmpfs"), flags, Some("mode=0755")).context("tmpfs")
}

fn bind(source: &Path, place: &Path) -> anyhow::Result<()> {
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(source), place, NONE, flags, NONE).with_context(|| format!("bind {}", source.display()))
}

/// Fills `place`, an empty folder, with binds of what the host has in `folder`.
fn mimic(folder: &Path, place: &Path, skip: &dyn Fn(&str) -> bool) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let (source, copy) = (entry.path(), place.join(entry.file_name()));
        if entry.file_name().to_str().is_some_and(skip) {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_symlink() {
            symlink(fs::read_link(&source)?, &copy)?;
            continue;
        }
        if kind.is_dir() {
            fs::create_dir(&copy)?;
            fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
        } else {
            fs::File::create(&copy)?;
        }
        bind(&source, &copy)?;
    }
    Ok(())
}

/// An absolute path without links or `..`, as far as the host has it; the rest as it is.
fn resolve(path: &Path) -> anyhow::Result<PathBuf> {
    let mut rest: Vec<std::ffi::OsString> = parts(path);
    rest.reverse();
    let mut resolved = PathBuf::from("/");
    let mut links = 0;
    while let Some(part) = rest.pop() {
        if part == ".." {
            resolved.pop();
            continue;
        }
        let next = resolved.join(&part);
        let Ok(link) = fs::read_link(&next) else {
            resolved = next;
            continue;
        };
        links += 1;
        if links > MAX_LINKS {
            bail!("too many symbolic links");
        }
        if link.is_absolute() {
            resolved = PathBuf::from("/");
        }
        rest.extend(parts(&link).into_iter().rev());
    }
    Ok(resolved)
}

fn parts(path: &Path) -> Vec<std::ffi::OsString> {
    let parts = path.components().filter_map(|component| match component {
        Component::Normal(part) => Some(part.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    parts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_resolved_as_far_as_they_exist() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        fs::create_dir(base.join("run")).unwrap();
        symlink("run", base.join("var")).unwrap();
        symlink(base.join("gone/file"), base.join("dangling")).unwrap();
        symlink("loop", base.join("loop")).unwrap();
        let check = |path: &str, expected: &str| {
            assert_eq!(resolve(&base.join(path)).unwrap(), base.join(expected), "{path}");
        };
        check("var/secrets/x", "run/secrets/x");
        check("var/../y", "y");
        check("dangling", "gone/file");
        check("a/b", "a/b");
        assert!(resolve(&base.join("loop")).is_err());
    }
}
