//! All files together: which object each says, who wins, and what of it is news.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use istio_api::{Document, MeshConfig, parse_mesh_config};
use model::{Finding, ObjectRef};
use registry::Change;
use source::Update;

use crate::GRACE;
use crate::file::{File, Objects, UNSETTLED, read_text, unreadable};
use crate::scan::{Found, Stamp, scan};

/// What was read, and what of it the hub has been told.
pub(crate) struct Tree {
    roots: Vec<PathBuf>,
    mesh_file: Option<PathBuf>,
    mesh: MeshFile,
    files: BTreeMap<PathBuf, File>,
    /// The files' places in the order in which they count.
    ranks: BTreeMap<PathBuf, usize>,
    /// The files that have an object.
    holders: BTreeMap<ObjectRef, BTreeSet<PathBuf>>,
    /// In effect at the hub.
    told: Objects,
    /// Objects that are gone from all files, and since when.
    missing: BTreeMap<ObjectRef, Instant>,
    /// Findings about files that are not the first to have an object.
    duplicates: BTreeMap<ObjectRef, Vec<Finding>>,
    /// As told to the hub.
    findings: Vec<Finding>,
    complete: bool,
}

#[derive(Default)]
struct MeshFile {
    stamp: Option<Stamp>,
    good: Option<Arc<MeshConfig>>,
    findings: Vec<Finding>,
}

impl Tree {
    pub fn new(roots: Vec<PathBuf>, mesh_file: Option<PathBuf>) -> Self {
        Tree {
            roots,
            mesh_file,
            mesh: MeshFile::default(),
            files: BTreeMap::new(),
            ranks: BTreeMap::new(),
            holders: BTreeMap::new(),
            told: Objects::new(),
            missing: BTreeMap::new(),
            duplicates: BTreeMap::new(),
            findings: Vec::new(),
            complete: false,
        }
    }

    /// Looks at everything and reads what is new. The update, if there is one, and after which time
    /// to look again, if that should be soon.
    pub fn scan(&mut self, now: Instant) -> (Option<Update>, Option<Duration>) {
        let mut update = Update { complete: !self.complete, ..Update::default() };
        let (found, lost) = scan(&self.roots);
        let mut findings: Vec<Finding> =
            lost.into_iter().map(|lost| unreadable(&lost.path, lost.error.to_string())).collect();
        update.changes.extend(self.read_mesh());
        for object in self.read(found) {
            update.changes.extend(self.judge(object, now));
        }
        update.changes.extend(self.expired(now));
        findings.extend(self.duplicates.values().flatten().chain(&self.mesh.findings).cloned());
        findings.extend(self.files.values().flat_map(|file| file.findings.iter().cloned()));
        findings.sort();
        findings.dedup();
        if findings != self.findings || update.complete {
            self.findings.clone_from(&findings);
            update.findings = Some(findings);
        }
        self.complete = true;
        let news = update.complete || update.findings.is_some() || !update.changes.is_empty();
        let oldest = self.missing.values().min().map(|since| (*since + GRACE).saturating_duration_since(now));
        let unsettled = self.files.values().any(|file| file.unsettled).then_some(UNSETTLED);
        (news.then_some(update), oldest.into_iter().chain(unsettled).min())
    }

    /// Reads files that are new or different. The objects for which that can make a difference.
    fn read(&mut self, found: Vec<Found>) -> BTreeSet<ObjectRef> {
        let ranks: BTreeMap<PathBuf, usize> =
            found.iter().enumerate().map(|(rank, found)| (found.path.clone(), rank)).collect();
        let mut affected = BTreeSet::new();
        if !self.same_order(&found) {
            affected.extend(self.told.keys().cloned());
        }
        let gone: Vec<PathBuf> =
            self.files.keys().filter(|path| !ranks.contains_key(*path)).cloned().collect();
        for path in gone {
            let objects = self.files.remove(&path).map(|file| file.objects).unwrap_or_default();
            for object in objects.into_keys() {
                self.unhold(&object, &path);
                affected.insert(object);
            }
        }
        self.ranks = ranks;
        for found in &found {
            let file = self.files.entry(found.path.clone()).or_default();
            let Some(objects) = file.read(&found.path, found.stamp, &self.told) else { continue };
            let has: BTreeSet<ObjectRef> = file.objects.keys().cloned().collect();
            for object in objects {
                match has.contains(&object) {
                    true => drop(self.holders.entry(object.clone()).or_default().insert(found.path.clone())),
                    false => self.unhold(&object, &found.path),
                }
                affected.insert(object);
            }
        }
        affected
    }

    /// Whether those files that were there before count in the same order.
    fn same_order(&self, found: &[Found]) -> bool {
        let ranks: Vec<usize> =
            found.iter().filter_map(|found| self.ranks.get(&found.path).copied()).collect();
        ranks.is_sorted()
    }

    fn unhold(&mut self, object: &ObjectRef, path: &PathBuf) {
        if let Some(paths) = self.holders.get_mut(object) {
            paths.remove(path);
            if paths.is_empty() {
                self.holders.remove(object);
            }
        }
    }

    /// The versions of an object, in the order in which files count.
    fn versions(&self, object: &ObjectRef) -> Vec<&Arc<Document>> {
        let mut paths: Vec<&PathBuf> = self.holders.get(object).into_iter().flatten().collect();
        paths.sort_by_key(|path| self.ranks.get(*path));
        paths.into_iter().filter_map(|path| self.files.get(path)?.objects.get(object)).collect()
    }

    /// Finds the first file that has an object, reports the others, and says what is news for the hub:
    /// a new version at once, a removal only when it has been gone for a moment.
    fn judge(&mut self, object: ObjectRef, now: Instant) -> Option<Change> {
        let versions = self.versions(&object);
        let Some((first, others)) = versions.split_first() else {
            self.duplicates.remove(&object);
            if self.told.contains_key(&object) {
                self.missing.entry(object).or_insert(now);
            }
            return None;
        };
        let place = first.place.to_string();
        let others: Vec<Finding> = others.iter().map(|other| istio_api::duplicate(other, &place)).collect();
        let first = Arc::clone(first);
        match others.is_empty() {
            true => drop(self.duplicates.remove(&object)),
            false => drop(self.duplicates.insert(object.clone(), others)),
        }
        self.missing.remove(&object);
        if self.told.get(&object).is_some_and(|told| Arc::ptr_eq(told, &first)) {
            return None;
        }
        self.told.insert(object, first.clone());
        Some(Change::Upsert(first))
    }

    /// Removals of objects that have been gone for long enough.
    fn expired(&mut self, now: Instant) -> Vec<Change> {
        let gone = |since: &Instant| now.saturating_duration_since(*since) >= GRACE;
        let expired: Vec<ObjectRef> =
            self.missing.iter().filter(|(_, since)| gone(since)).map(|(object, _)| object.clone()).collect();
        for object in &expired {
            self.missing.remove(object);
            self.told.remove(object);
        }
        expired.into_iter().map(Change::Remove).collect()
    }

    /// The mesh configuration, if its file is new or different. A broken or missing one leaves the
    /// last good version in effect; before there was a good one, as much as could be read of it.
    fn read_mesh(&mut self) -> Option<Change> {
        let path = self.mesh_file.as_ref()?;
        let metadata = match std::fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) => {
                self.mesh.stamp = None;
                self.mesh.findings = vec![unreadable(path, error.to_string())];
                return None;
            }
        };
        let stamp = Stamp::of(&metadata);
        if self.mesh.stamp == Some(stamp) {
            return None;
        }
        self.mesh.stamp = Some(stamp);
        let text = match read_text(path) {
            Ok(text) => text,
            Err(message) => {
                self.mesh.findings = vec![unreadable(path, message)];
                return None;
            }
        };
        let parsed = parse_mesh_config(&path.display().to_string(), &text);
        self.mesh.findings = parsed.findings;
        if parsed.broken && self.mesh.good.is_some() {
            return None;
        }
        let config = Arc::new(parsed.config);
        self.mesh.good = (!parsed.broken).then(|| config.clone());
        Some(Change::MeshConfig(Some(config)))
    }
}
