//! What tells versions of a file apart.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a file is, whatever its path: device and number.
pub(crate) type Inode = (u64, u64);

/// What tells one version of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    inode: Inode,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub fn of(metadata: &Metadata) -> Self {
        Stamp {
            inode: inode(metadata),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    pub fn inode(&self) -> Inode {
        self.inode
    }

    /// How long ago the last change was; nothing if it was in the future.
    pub fn age(&self, now: SystemTime) -> Duration {
        let (seconds, nanos) = self.changed;
        let since = Duration::new(seconds.unsigned_abs(), u32::try_from(nanos).unwrap_or(0));
        now.duration_since(UNIX_EPOCH + since).unwrap_or_default()
    }
}

pub(crate) fn inode(metadata: &Metadata) -> Inode {
    (metadata.dev(), metadata.ino())
}
