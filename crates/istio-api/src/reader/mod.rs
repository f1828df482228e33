//! A small reader over the positioned tree: asks for fields by name, converts them, and collects
//! every problem with its field path and place instead of stopping at the first. What nobody asked
//! for is found when an object is finished.

mod fields;
mod item;
mod look;
mod read;
mod scalar;
mod suggest;

use std::cell::{Cell, RefCell};

use model::{Finding, Level, ObjectRef, Place, Str};

pub(crate) use fields::Fields;
pub(crate) use item::Item;
pub(crate) use read::{Absent, Read};
pub(crate) use suggest::nearest;

use crate::codes;
use crate::document::Places;
use crate::yaml::Node;

/// What is collected while one document is read.
pub(crate) struct Cx {
    file: Str,
    object: RefCell<Option<ObjectRef>>,
    findings: RefCell<Vec<Finding>>,
    /// How many problems make the object one that Istio would refuse.
    errors: Cell<usize>,
    places: RefCell<Places>,
    /// Errors that are set aside, once the schema and the rules have had their say.
    aside: RefCell<Option<Vec<Finding>>>,
    /// Errors are only warnings from now on.
    lenient: Cell<bool>,
    /// How many values without effect we are inside of; what is in them has none either.
    ineffective: Cell<u32>,
}

impl Cx {
    pub fn new(file: &Str) -> Self {
        Cx {
            file: file.clone(),
            object: RefCell::default(),
            findings: RefCell::default(),
            errors: Cell::new(0),
            places: RefCell::default(),
            aside: RefCell::default(),
            lenient: Cell::new(false),
            ineffective: Cell::new(0),
        }
    }

    /// From now on findings name this object.
    pub fn set_object(&self, object: &ObjectRef) {
        *self.object.borrow_mut() = Some(object.clone());
    }

    pub fn place(&self, line: u32, column: u32) -> Place {
        Place { file: self.file.clone(), line, column }
    }

    /// Reports something about a field. Does not judge the object.
    pub fn report(&self, level: Level, code: &'static str, path: &str, at: (u32, u32), message: String) {
        if code == codes::NO_EFFECT && self.ineffective.get() > 0 {
            return;
        }
        let lenient = level == Level::Error && self.lenient.get();
        let finding = Finding {
            level: if lenient { Level::Warning } else { level },
            code,
            object: self.object.borrow().clone(),
            field: path.into(),
            place: Some(self.place(at.0, at.1)),
            message: message.into(),
        };
        match &mut *self.aside.borrow_mut() {
            Some(aside) if level == Level::Error => aside.push(finding),
            _ => self.findings.borrow_mut().push(finding),
        }
    }

    /// From now on errors are warnings: the object is not ours to judge.
    pub fn judge_leniently(&self) {
        self.lenient.set(true);
    }

    /// Runs `read` on a value whose errors were reported already, by the schema and the rules: its
    /// own errors are reported only where nothing was, so that nothing is said twice.
    pub fn read_checked<T>(&self, read: impl FnOnce() -> T) -> T {
        *self.aside.borrow_mut() = Some(Vec::new());
        let value = read();
        let aside = self.aside.take().unwrap_or_default();
        let mut findings = self.findings.borrow_mut();
        for finding in aside {
            let reported = |other: &Finding| other.level == Level::Error && covers(other, &finding);
            if !findings.iter().any(reported) {
                findings.push(finding);
            }
        }
        value
    }

    /// Runs `read` on a value without effect, of which this has been said.
    pub fn without_effect<T>(&self, read: impl FnOnce() -> T) -> T {
        self.ineffective.set(self.ineffective.get().saturating_add(1));
        let value = read();
        self.ineffective.set(self.ineffective.get().saturating_sub(1));
        value
    }

    /// Reports a value that Istio would refuse; the object is broken.
    pub fn invalid(&self, path: &str, at: (u32, u32), message: String) {
        self.break_object();
        self.report(Level::Error, codes::INVALID, path, at, message);
    }

    pub fn break_object(&self) {
        self.errors.set(self.errors.get().saturating_add(1));
    }

    pub fn is_broken(&self) -> bool {
        self.errors() > 0
    }

    /// How often the object was found broken so far.
    pub fn errors(&self) -> usize {
        self.errors.get()
    }

    /// For a document inside a field of this one.
    pub fn embedded(&self) -> Cx {
        let cx = Cx::new(&self.file);
        *cx.object.borrow_mut() = self.object.borrow().clone();
        cx
    }

    pub fn push(&self, finding: Finding) {
        self.findings.borrow_mut().push(finding);
    }

    pub fn take_findings(&self) -> Vec<Finding> {
        self.findings.take()
    }

    /// Remembers where a field was written.
    fn record(&self, path: &str, node: &Node) {
        self.places.borrow_mut().record(path, node.line, node.column);
    }

    /// What was collected: findings and places.
    pub fn finish(self) -> (Vec<Finding>, Places) {
        (self.findings.into_inner(), self.places.into_inner().sorted())
    }
}

/// Whether `other` already says what is wrong where `finding` points: the same unknown field, or
/// an error in the same branch of the object.
fn covers(other: &Finding, finding: &Finding) -> bool {
    if finding.code == codes::UNKNOWN_FIELD || other.code == codes::UNKNOWN_FIELD {
        return other.code == finding.code && other.field == finding.field;
    }
    other.field.starts_with(&*finding.field) || finding.field.starts_with(&*other.field)
}
