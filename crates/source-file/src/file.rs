//! One file: what it says, and the last good version of what it no longer says rightly.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use istio_api::{Document, Pieces, codes, parse_again};
use model::{Finding, Level, ObjectRef, Place, Str};
use stdx::Digest;

use crate::stamp::Stamp;

/// A file is not read beyond this many bytes: something other than configuration got here.
const MAX_BYTES: u64 = 256 << 20;

/// File systems count time in ticks: two writes within one can leave the same stamp.
pub(crate) const UNSETTLED: Duration = Duration::from_millis(30);

/// Objects of a file, by identity.
pub(crate) type Objects = BTreeMap<ObjectRef, Arc<Document>>;

/// A file as it was when it was read last.
#[derive(Default)]
pub(crate) struct File {
    /// Which of the roots it is below.
    pub root: usize,
    stamp: Option<Stamp>,
    /// Of the text, so that what is only touched need not be parsed.
    digest: Option<Digest>,
    /// It was written so shortly before it was read that the next write could bear the same stamp.
    pub unsettled: bool,
    /// In effect, last good versions included.
    pub objects: Objects,
    pub findings: Vec<Finding>,
    /// Its documents one by one, so that of a changed text only what differs is parsed.
    pieces: Pieces,
}

impl File {
    /// Reads it, if it may be different. `away`: objects in effect that are in no file at the moment,
    /// with their last good versions. The objects it had or has, if it is different.
    pub fn read<'a>(
        &mut self,
        path: &Path,
        stamp: Stamp,
        away: impl Iterator<Item = &'a Arc<Document>>,
    ) -> Option<BTreeSet<ObjectRef>> {
        if self.stamp == Some(stamp) && !self.unsettled {
            return None;
        }
        self.stamp = Some(stamp);
        self.unsettled = stamp.age(SystemTime::now()) < UNSETTLED;
        let name = path.display().to_string();
        let text = read_text(path);
        let digest = text.as_ref().ok().map(|text| stdx::digest(text.as_str()));
        if digest.is_some() && self.digest == digest {
            return None;
        }
        self.digest = digest;
        let before = self.last_good(&name, away);
        let mut affected: BTreeSet<ObjectRef> = before.keys().cloned().collect();
        match text {
            Ok(text) => self.parse(&name, &text, before),
            Err(message) => {
                // Whether its objects are still meant is not known, so they stay.
                self.findings = vec![unreadable(path, message)];
                self.findings.extend(before.values().map(|document| kept(document)));
                self.objects = before;
            }
        }
        affected.extend(self.objects.keys().cloned());
        Some(affected)
    }

    /// Objects of this file that are in effect.
    fn last_good<'a>(&mut self, name: &str, away: impl Iterator<Item = &'a Arc<Document>>) -> Objects {
        let mut good = std::mem::take(&mut self.objects);
        for document in away.filter(|document| *document.place.file == *name) {
            good.entry(document.object.clone()).or_insert_with(|| document.clone());
        }
        good
    }

    fn parse(&mut self, name: &str, text: &str, mut before: Objects) {
        let parsed = parse_again(name, text, &mut self.pieces);
        self.findings = parsed.findings;
        for document in parsed.documents {
            let good = before.remove(&document.object).filter(|good| !good.broken);
            let document = match good {
                Some(good) if document.broken => {
                    self.findings.push(kept(&good));
                    good
                }
                _ if document.broken && !document.denies_when_broken() => continue,
                _ => document,
            };
            self.objects.insert(document.object.clone(), document);
        }
        if parsed.incomplete {
            // Some document could not be recognised: it may be any of those that are missing.
            self.findings.extend(before.values().map(|document| kept(document)));
            self.objects.extend(before);
        }
    }
}

/// The text of a file.
pub(crate) fn read_text(path: &Path) -> Result<String, String> {
    let size = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if size > MAX_BYTES {
        return Err(format!("is larger than {} MiB", MAX_BYTES >> 20));
    }
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    String::from_utf8(bytes)
        .map_err(|error| format!("is not UTF-8 after byte {}", error.utf8_error().valid_up_to()))
}

pub(crate) fn unreadable(path: &Path, message: String) -> Finding {
    let file = Str::from(path.display().to_string());
    Finding {
        level: Level::Error,
        code: codes::UNREADABLE,
        object: None,
        field: Str::default(),
        place: Some(Place { file, line: 1, column: 1 }),
        message: format!("cannot be read: {message}").into(),
    }
}

fn kept(good: &Document) -> Finding {
    Finding {
        level: Level::Warning,
        code: codes::KEPT,
        object: Some(good.object.clone()),
        field: Str::default(),
        place: Some(good.place.clone()),
        message: "its last good version stays in effect".into(),
    }
}
