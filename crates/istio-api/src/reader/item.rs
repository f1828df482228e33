//! A value with its path, and its conversion into lists, objects and maps.

use std::collections::BTreeMap;

use model::{Labels, Level, Str};

use super::{Cx, Fields};
use crate::codes;
use crate::yaml::{Node, Value};

/// A value that is present, with its field path.
#[derive(Clone)]
pub(crate) struct Item<'a> {
    node: &'a Node,
    path: Str,
    cx: &'a Cx,
}

impl<'a> Item<'a> {
    /// The document as a whole; its path is empty.
    pub fn root(node: &'a Node, cx: &'a Cx) -> Self {
        Item { node, path: Str::default(), cx }
    }

    /// A document inside a field of another one.
    pub fn under(path: &str, node: &'a Node, cx: &'a Cx) -> Self {
        Item { node, path: path.into(), cx }
    }

    pub fn node(&self) -> &'a Node {
        self.node
    }

    pub fn cx(&self) -> &'a Cx {
        self.cx
    }

    /// As in `spec.http[0].route[1].weight`.
    pub fn path(&self) -> Str {
        self.path.clone()
    }

    pub fn child(&self, name: &str, node: &'a Node) -> Item<'a> {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        self.with(path, node)
    }

    /// As [`child`](Item::child), without remembering the place.
    pub(super) fn quiet_child(&self, name: &str, node: &'a Node) -> Item<'a> {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        Item { node, path: path.into(), cx: self.cx }
    }

    pub(super) fn quiet_item(&self, index: usize, node: &'a Node) -> Item<'a> {
        Item { node, path: format!("{}[{index}]", self.path).into(), cx: self.cx }
    }

    fn with(&self, path: String, node: &'a Node) -> Item<'a> {
        self.cx.record(&path, node);
        Item { node, path: path.into(), cx: self.cx }
    }

    pub fn report(&self, level: Level, code: &'static str, message: String) {
        self.cx.report(level, code, &self.path, (self.node.line, self.node.column), message);
    }

    /// The value is one that Istio would refuse.
    pub fn invalid(&self, message: String) {
        self.cx.invalid(&self.path, (self.node.line, self.node.column), message);
    }

    /// The value is valid and does nothing here.
    pub fn no_effect(&self) {
        self.report(Level::Warning, codes::NO_EFFECT, "has no effect yet".into());
    }

    /// As [`no_effect`](Item::no_effect), for a condition; returns its path.
    pub fn unsupported_condition(&self) -> Str {
        let message = "this condition cannot be evaluated yet: what it restricts stays closed";
        self.report(Level::Warning, codes::NO_EFFECT, message.into());
        self.path()
    }

    /// As [`no_effect`](Item::no_effect), for something that is more than this field.
    pub fn no_effect_as(&self, what: &str) {
        self.report(Level::Warning, codes::NO_EFFECT, format!("{what} has no effect yet"));
    }

    fn wrong_type(&self, expected: &str) {
        self.invalid(format!("must be {expected}, not {}", self.node.describe()));
    }

    /// The fields of an object.
    pub fn object(&self) -> Option<Fields<'a>> {
        let fields = Fields::of(self);
        if fields.is_none() {
            self.wrong_type("an object");
        }
        fields
    }

    /// The items of a list; empty (and reported) if it is none.
    pub fn list(&self) -> Vec<Item<'a>> {
        self.items().unwrap_or_default()
    }

    /// As [`list`](Item::list); `None` if it is none.
    pub fn items(&self) -> Option<Vec<Item<'a>>> {
        let Value::Seq(nodes) = &self.node.value else {
            self.wrong_type("a list");
            return None;
        };
        let item = |(i, node)| self.with(format!("{}[{i}]", self.path), node);
        Some(nodes.iter().enumerate().map(item).collect())
    }

    /// Each item of a list as an object, read by `read`; what cannot be read is left out.
    pub fn objects<T>(&self, mut read: impl FnMut(Fields<'a>) -> Option<T>) -> Vec<T> {
        self.list().iter().filter_map(|item| item.object().and_then(&mut read)).collect()
    }

    /// The entries of an object whose keys are data.
    pub fn entries(&self) -> Vec<(Str, Item<'a>)> {
        self.pairs().unwrap_or_default()
    }

    /// As [`entries`](Item::entries); `None` if it is no object.
    pub fn pairs(&self) -> Option<Vec<(Str, Item<'a>)>> {
        let Value::Map(entries) = &self.node.value else {
            self.wrong_type("an object");
            return None;
        };
        Some(entries.iter().map(|e| (e.key.clone(), self.child(&e.key, &e.node))).collect())
    }

    /// A list of strings; entries that are none are reported and left out.
    pub fn strings(&self) -> Vec<Str> {
        self.list().iter().filter_map(Item::str).collect()
    }

    /// An object of strings.
    pub fn string_map(&self) -> BTreeMap<Str, Str> {
        self.entries().into_iter().filter_map(|(key, item)| Some((key, item.str()?))).collect()
    }

    /// An object of strings, as labels.
    pub fn labels(&self) -> Labels {
        Labels(self.string_map())
    }

    pub(super) fn expect(&self, expected: &str) {
        self.wrong_type(expected);
    }
}
