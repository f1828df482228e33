//! All files together: which object each says, who wins, and what of it is news.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use istio_api::{Document, MeshConfig, parse_mesh_config};
use model::{Finding, ObjectRef};
use registry::Change;
use source::Update;

use crate::GRACE;
use crate::file::{File, Objects, UNSETTLED, read_text, unreadable};
use crate::scan::{Found, Index, News};
use crate::stamp::Stamp;

/// What was read, and what of it the hub has been told.
pub(crate) struct Tree {
    index: Index,
    roots: Vec<PathBuf>,
    mesh_file: Option<PathBuf>,
    mesh: MeshFile,
    files: BTreeMap<PathBuf, File>,
    /// The files that have an object.
    holders: BTreeMap<ObjectRef, BTreeSet<PathBuf>>,
    /// In effect at the hub.
    told: Objects,
    /// Objects that are gone from all files, and since when.
    missing: BTreeMap<ObjectRef, Instant>,
    /// What to look at once more, and when: files that were written just before they were read, and
    /// folders that were new.
    recheck: BTreeMap<PathBuf, Instant>,
    /// Findings about files that are not the first to have an object.
    duplicates: BTreeMap<ObjectRef, Vec<Finding>>,
    /// The files that have findings.
    faulty: BTreeSet<PathBuf>,
    /// Any findings may be different from those that the hub has been told.
    judged: bool,
    /// As told to the hub.
    findings: Vec<Finding>,
    complete: bool,
}

/// Where to look for changes.
pub(crate) enum Look {
    Everything,
    At(BTreeSet<PathBuf>),
    /// Where this is different from what is known.
    Against(Box<Index>),
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
            index: Index::default(),
            roots,
            mesh_file,
            mesh: MeshFile::default(),
            files: BTreeMap::new(),
            holders: BTreeMap::new(),
            told: Objects::new(),
            missing: BTreeMap::new(),
            recheck: BTreeMap::new(),
            duplicates: BTreeMap::new(),
            faulty: BTreeSet::new(),
            judged: true,
            findings: Vec::new(),
            complete: false,
        }
    }

    /// Looks where something may have changed, and at the mesh configuration, and reads what is new.
    /// The update, if there is one, and after which time to look again, if that should be soon.
    pub fn look(&mut self, look: Look, now: Instant) -> (Option<Update>, Option<Duration>) {
        let mut update = Update { complete: !self.complete, ..Update::default() };
        update.changes.extend(self.read_mesh(now));
        let news = self.find(look, now);
        for object in self.read(news, now) {
            update.changes.extend(self.judge(object, now));
        }
        update.changes.extend(self.expired(now));
        if std::mem::take(&mut self.judged) {
            let findings = self.all_findings();
            if findings != self.findings || update.complete {
                self.findings.clone_from(&findings);
                update.findings = Some(findings);
            }
        }
        self.complete = true;
        let news = update.complete || update.findings.is_some() || !update.changes.is_empty();
        let gone = self.missing.values().min().map(|since| *since + GRACE);
        let next = gone.into_iter().chain(self.recheck.values().min().copied()).min();
        (news.then_some(update), next.map(|next| next.saturating_duration_since(now)))
    }

    /// Which files are there, as far as that was to be looked at or is due to be.
    fn find(&mut self, look: Look, now: Instant) -> News {
        let due: Vec<PathBuf> =
            self.recheck.iter().filter(|(_, at)| **at <= now).map(|(path, _)| path.clone()).collect();
        self.recheck.retain(|_, at| *at > now);
        let places = match look {
            Look::Everything => None,
            Look::At(paths) => Some(paths),
            Look::Against(fresh) => self.index.differences(&fresh),
        };
        let places = places.map(|mut places| {
            places.extend(due);
            places
        });
        let unreadable = self.index.unreadable.clone();
        let news = places.and_then(|places| self.index.look(&places)).unwrap_or_else(|| {
            let before = std::mem::replace(&mut self.index, Index::scan(&self.roots));
            let gone = self.files.keys().filter(|path| !self.index.contains(path)).cloned().collect();
            News { gone, ..self.index.since(&before) }
        });
        self.judged |= unreadable != self.index.unreadable;
        news
    }

    /// Reads files that are new or different. The objects for which that can make a difference.
    fn read(&mut self, news: News, now: Instant) -> BTreeSet<ObjectRef> {
        let mut affected = BTreeSet::new();
        for path in news.gone {
            let objects = self.files.remove(&path).map(|file| file.objects).unwrap_or_default();
            self.judged |= self.faulty.remove(&path);
            for object in objects.into_keys() {
                self.unhold(&object, &path);
                affected.insert(object);
            }
        }
        // Before the first look no events came, and after it they do.
        let folders = news.folders.into_iter().filter(|_| self.complete);
        self.recheck.extend(folders.map(|folder| (folder, now + UNSETTLED)));
        for Found { path, root, stamp } in news.found {
            let file = self.files.entry(path.clone()).or_default();
            if std::mem::replace(&mut file.root, root) != root {
                // It counts at another place than before.
                affected.extend(file.objects.keys().cloned());
            }
            let away = self.missing.keys().filter_map(|object| self.told.get(object));
            let Some(objects) = file.read(&path, stamp, away) else {
                if file.unsettled {
                    self.recheck.insert(path, now + UNSETTLED);
                }
                continue;
            };
            if file.unsettled {
                self.recheck.insert(path.clone(), now + UNSETTLED);
            }
            let faulty = !file.findings.is_empty();
            let was_faulty =
                if faulty { !self.faulty.insert(path.clone()) } else { self.faulty.remove(&path) };
            self.judged |= faulty || was_faulty;
            let has: BTreeSet<ObjectRef> = file.objects.keys().cloned().collect();
            for object in objects {
                match has.contains(&object) {
                    true => drop(self.holders.entry(object.clone()).or_default().insert(path.clone())),
                    false => self.unhold(&object, &path),
                }
                affected.insert(object);
            }
        }
        affected
    }

    fn all_findings(&self) -> Vec<Finding> {
        let lost = self.index.unreadable.iter().map(|(path, error)| unreadable(path, error.clone()));
        let of_files = self.faulty.iter().filter_map(|path| self.files.get(path));
        let others = of_files.flat_map(|file| &file.findings).chain(self.duplicates.values().flatten());
        let mut findings: Vec<Finding> = lost.chain(others.chain(&self.mesh.findings).cloned()).collect();
        findings.sort();
        findings.dedup();
        findings
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
        let holders = self.holders.get(object).into_iter().flatten();
        let mut files: Vec<(usize, &PathBuf, &File)> =
            holders.filter_map(|path| self.files.get(path).map(|file| (file.root, path, file))).collect();
        files.sort_by_key(|(root, path, _)| (*root, *path));
        files.into_iter().filter_map(|(.., file)| file.objects.get(object)).collect()
    }

    /// Finds the first file that has an object, reports the others, and says what is news for the hub:
    /// a new version at once, a removal only when it has been gone for a moment.
    fn judge(&mut self, object: ObjectRef, now: Instant) -> Option<Change> {
        let versions = self.versions(&object);
        let Some((first, others)) = versions.split_first() else {
            self.judged |= self.duplicates.remove(&object).is_some();
            if self.told.contains_key(&object) {
                self.missing.entry(object).or_insert(now);
            }
            return None;
        };
        let place = first.place.to_string();
        let others: Vec<Finding> = others.iter().map(|other| istio_api::duplicate(other, &place)).collect();
        let first = Arc::clone(first);
        self.judged |= !others.is_empty() | self.duplicates.remove(&object).is_some();
        if !others.is_empty() {
            self.duplicates.insert(object.clone(), others);
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
    fn read_mesh(&mut self, now: Instant) -> Option<Change> {
        let path = self.mesh_file.clone()?;
        let stamp = match std::fs::metadata(&path) {
            Ok(metadata) => Stamp::of(&metadata),
            Err(error) => {
                self.mesh.stamp = None;
                self.fault_mesh(vec![unreadable(&path, error.to_string())]);
                return None;
            }
        };
        if self.mesh.stamp == Some(stamp) {
            return None;
        }
        let unsettled = stamp.age(SystemTime::now()) < UNSETTLED;
        self.mesh.stamp = (!unsettled).then_some(stamp);
        if unsettled {
            self.recheck.insert(path.clone(), now + UNSETTLED);
        }
        let text = match read_text(&path) {
            Ok(text) => text,
            Err(message) => {
                self.fault_mesh(vec![unreadable(&path, message)]);
                return None;
            }
        };
        let parsed = parse_mesh_config(&path.display().to_string(), &text);
        self.fault_mesh(parsed.findings);
        if parsed.broken && self.mesh.good.is_some() {
            return None;
        }
        if self.mesh.good.as_deref() == Some(&parsed.config) {
            return None;
        }
        let config = Arc::new(parsed.config);
        self.mesh.good = (!parsed.broken).then(|| config.clone());
        Some(Change::MeshConfig(Some(config)))
    }

    fn fault_mesh(&mut self, findings: Vec<Finding>) {
        self.judged |= self.mesh.findings != findings;
        self.mesh.findings = findings;
    }
}
