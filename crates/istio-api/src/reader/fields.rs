//! The fields of one object.

use std::cell::RefCell;

use model::{Level, Str};

use super::{Item, nearest};
use crate::codes;
use crate::yaml::{Entry, Value, same_name};

/// An object that is being read. Every field Istio knows is named to it, in one of three ways:
/// [`get`](Fields::get), [`no_effect`](Fields::no_effect), [`conditions`](Fields::conditions);
/// [`finish`](Fields::finish) then reports the rest as unknown.
pub(crate) struct Fields<'a> {
    item: Item<'a>,
    entries: &'a [Entry],
    named: RefCell<Vec<&'static str>>,
    seen: RefCell<Vec<bool>>,
}

impl<'a> Fields<'a> {
    /// `None` if the item is no object.
    pub fn of(item: &Item<'a>) -> Option<Self> {
        let Value::Map(entries) = &item.node().value else { return None };
        Some(Fields {
            item: item.clone(),
            entries,
            named: RefCell::default(),
            seen: RefCell::new(vec![false; entries.len()]),
        })
    }

    /// An object without fields, in the place of one that is absent.
    pub fn empty(item: &Item<'a>) -> Self {
        Fields { item: item.clone(), entries: &[], named: RefCell::default(), seen: RefCell::default() }
    }

    /// The object itself, to report about it.
    pub fn item(&self) -> &Item<'a> {
        &self.item
    }

    pub fn path(&self) -> Str {
        self.item.path()
    }

    /// The field with this name, in camelCase or Istio's snake_case. `null` counts as absent.
    pub fn get(&self, name: &'static str) -> Option<Item<'a>> {
        self.named.borrow_mut().push(name);
        let mut found: Option<Item<'a>> = None;
        for (index, entry) in self.entries.iter().enumerate().filter(|(_, e)| same_name(&e.key, name)) {
            if let Some(seen) = self.seen.borrow_mut().get_mut(index) {
                *seen = true;
            }
            let item = self.item.child(name, &entry.node);
            if let Some(first) = &found {
                item.invalid(format!("given twice, first on line {}", first.node().line));
            } else {
                found = Some(item);
            }
        }
        found.filter(|item| !item.node().is_null())
    }

    /// As [`get`](Fields::get); its absence makes the object invalid.
    pub fn require(&self, name: &'static str) -> Option<Item<'a>> {
        let found = self.get(name);
        if found.is_none() {
            self.item.invalid(format!("{name} is required"));
        }
        found
    }

    /// Fields that Istio knows and we do nothing with: reported where present.
    pub fn no_effect(&self, names: &[&'static str]) {
        for name in names {
            if let Some(item) = self.get(name) {
                item.no_effect();
            }
        }
    }

    /// As [`no_effect`](Fields::no_effect), for conditions: returns the paths of those present,
    /// since what they restrict must not be widened by our not understanding them.
    pub fn conditions(&self, names: &[&'static str]) -> Vec<Str> {
        let present: Vec<Item<'a>> = names.iter().filter_map(|name| self.get(name)).collect();
        present.iter().map(Item::unsupported_condition).collect()
    }

    /// Reports the fields that nobody named: Istio does not know them, so the object is broken.
    pub fn finish(self) {
        if !self.report_unknown().is_empty() {
            self.item.cx().break_object();
        }
    }

    /// As [`finish`](Fields::finish), without giving the fields away.
    pub fn report_unknown_top(&self) {
        if !self.report_unknown().is_empty() {
            self.item.cx().break_object();
        }
    }

    /// As [`finish`](Fields::finish) for an object that is a set of conditions: returns the paths
    /// of the unknown ones, and the object stays usable with what they restrict narrowed.
    pub fn finish_conditions(self) -> Vec<Str> {
        self.report_unknown()
    }

    /// Reports fields that nobody named as having no effect, for kinds of which we do not keep a
    /// full list (Kubernetes' own).
    pub fn finish_lenient(self) {
        for entry in self.unseen() {
            let item = self.item.child(&entry.key, &entry.node);
            item.report(Level::Info, codes::NO_EFFECT, "has no effect in Lateen".into());
        }
    }

    fn unseen(&self) -> Vec<&'a Entry> {
        let seen = self.seen.borrow();
        self.entries.iter().zip(seen.iter()).filter(|(_, seen)| !**seen).map(|(e, _)| e).collect()
    }

    fn report_unknown(&self) -> Vec<Str> {
        let mut paths = Vec::new();
        for entry in self.unseen() {
            let item = self.item.child(&entry.key, &entry.node);
            let hint = nearest(&entry.key, self.named.borrow().iter().copied())
                .map_or_else(String::new, |name| format!("; did you mean {name}?"));
            let at = (entry.line, entry.column);
            let message = format!("unknown field {:?}{hint}", &*entry.key);
            item.cx().report(Level::Error, codes::UNKNOWN_FIELD, &item.path(), at, message);
            paths.push(item.path());
        }
        paths
    }
}
