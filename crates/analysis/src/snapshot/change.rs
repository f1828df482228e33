//! One file put in place of another, without making the whole snapshot again.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use super::{Snapshot, is_one, key};
use crate::file::File;
use crate::kind::Kind;
use crate::mesh;

impl Snapshot {
    /// Takes the file `old` away and puts `new` in, both of one name; the files must be in the order
    /// of their names. `false` if more than these files' objects would change: settings of the
    /// mesh, or which of several objects with one name counts. The snapshot is of no use then, and
    /// a new one has to be made.
    pub(crate) fn change(&mut self, old: Option<&File>, new: Option<&Arc<File>>) -> bool {
        let objects = || old.into_iter().chain(new.map(|new| &**new)).flat_map(|file| &file.objects);
        if objects().any(|object| mesh::may_have_settings(object)) {
            return false;
        }
        let Some(name) = old.or(new.map(|new| &**new)).map(|file| file.name.clone()) else { return true };
        for key in old.into_iter().flat_map(|file| &file.objects).filter_map(|object| key(object)) {
            if self.contested.contains(&key) {
                return false;
            }
            self.by_name.remove(&key);
        }
        for object in new.into_iter().flat_map(|file| &file.objects) {
            if let Some(key) = key(object)
                && self.by_name.insert(key, object.clone()).is_some()
            {
                return false;
            }
        }
        let kinds: BTreeSet<Kind> = objects().map(|object| object.kind).collect();
        for kind in &kinds {
            let list = self.by_kind.entry(*kind).or_default();
            // What is built in comes last.
            let start = list.partition_point(|object| !object.built_in && object.file < name);
            let end = list.partition_point(|object| !object.built_in && object.file <= name);
            let added = new.into_iter().flat_map(|file| &file.objects);
            let added = added.filter(|object| object.kind == *kind && is_one(object)).cloned();
            list.splice(start..end, added);
        }
        let at = self.files.partition_point(|file| file.name < name);
        self.files.splice(at..at + usize::from(old.is_some()), new.cloned());
        self.forget(&kinds);
        true
    }

    /// Forgets the indexes that are made of these kinds.
    fn forget(&mut self, kinds: &BTreeSet<Kind>) {
        let any = |of: &[Kind]| of.iter().any(|kind| kinds.contains(kind));
        let workloads = any(&Kind::WORKLOADS) || any(&[Kind::Pod, Kind::WorkloadEntry]);
        if workloads {
            self.workloads = OnceLock::new();
        }
        if any(&[Kind::Service, Kind::ServiceEntry]) {
            self.hosts = OnceLock::new();
        }
        if workloads || any(&[Kind::Service, Kind::AuthorizationPolicy]) {
            self.calls = OnceLock::new();
        }
        if any(&[Kind::PeerAuthentication]) {
            self.modes = OnceLock::new();
        }
    }
}
