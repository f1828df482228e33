//! One file: what it says, and the last good version of what it no longer says rightly.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use istio_api::{Document, codes, parse_stream};
use model::{Finding, Level, ObjectRef, Place, Str};
use stdx::Digest;

use crate::scan::Stamp;

/// A file is not read beyond this many bytes: something other than configuration got here.
const MAX_BYTES: u64 = 256 << 20;

/// File systems count time in ticks: two writes within one can leave the same stamp.
pub(crate) const UNSETTLED: Duration = Duration::from_millis(30);

/// Objects of a file, by identity.
pub(crate) type Objects = BTreeMap<ObjectRef, Arc<Document>>;

/// A file as it was when it was read last.
#[derive(Default)]
pub(crate) struct File {
    stamp: Option<Stamp>,
    /// Of the text, so that what is only touched need not be parsed.
    digest: Option<Digest>,
    /// It was written so shortly before it was read that the next write could bear the same stamp.
    pub unsettled: bool,
    /// In effect, last good versions included.
    pub objects: Objects,
    pub findings: Vec<Finding>,
}

impl File {
    /// Reads it, if it may be different. `told` is what is in effect: there are the last good versions
    /// of objects that were away for a moment. The objects it had or has, if it is different.
    pub fn read(&mut self, path: &Path, stamp: Stamp, told: &Objects) -> Option<BTreeSet<ObjectRef>> {
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
        let before = self.last_good(&name, told);
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
    fn last_good(&mut self, name: &str, told: &Objects) -> Objects {
        let mut good = std::mem::take(&mut self.objects);
        for (object, document) in told.iter().filter(|(_, document)| *document.place.file == *name) {
            good.entry(object.clone()).or_insert_with(|| document.clone());
        }
        good
    }

    fn parse(&mut self, name: &str, text: &str, mut before: Objects) {
        let parsed = parse_stream(name, text);
        self.findings = parsed.findings;
        for document in parsed.documents {
            let good = before.remove(&document.object).filter(|good| !good.broken);
            let document = match good {
                Some(good) if document.broken => {
                    self.findings.push(kept(&good));
                    good
                }
                _ if document.broken && !document.denies_when_broken() => continue,
                _ => Arc::new(document),
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
