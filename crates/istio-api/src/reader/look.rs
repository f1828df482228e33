//! Looking at a value without reporting anything: for rules, which judge what the schema's check
//! has let pass and stay silent about the rest.

use std::time::Duration;

use model::Level;

use super::Item;
use crate::codes;
use crate::yaml::{Scalar, Value, int, same_name};

impl<'a> Item<'a> {
    /// A field in either spelling, if it is there and not null.
    pub fn field(&self, name: &str) -> Option<Item<'a>> {
        let Value::Map(entries) = &self.node().value else { return None };
        let named = entries.iter().find(|e| same_name(&e.key, name) && !e.node.is_null())?;
        Some(self.quiet_child(name, &named.node))
    }

    /// The field, or the object that should have it.
    pub fn field_or_self(&self, name: &str) -> Item<'a> {
        self.field(name).unwrap_or_else(|| self.clone())
    }

    pub fn has(&self, name: &str) -> bool {
        self.node().field(name).is_some()
    }

    /// The text of a scalar; empty for anything else.
    pub fn text(&self) -> &'a str {
        self.node().text()
    }

    /// The text of a field; empty if it is absent.
    pub fn field_text(&self, name: &str) -> &'a str {
        self.node().field(name).map_or("", |node| node.text())
    }

    /// Whether a field is there and not empty: a text, a list or an object with something in it.
    pub fn has_some(&self, name: &str) -> bool {
        self.node().field(name).is_some_and(|node| match &node.value {
            Value::Scalar { text, .. } => !text.is_empty(),
            Value::Seq(items) => !items.is_empty(),
            Value::Map(entries) => !entries.is_empty(),
        })
    }

    /// The name of an enumeration that a field has, by name or number; the first one if absent.
    pub fn field_choice(&self, name: &str, names: &[&'static str]) -> &'static str {
        let first = names.first().copied().unwrap_or_default();
        let Some(node) = self.node().field(name) else { return first };
        let text = node.text();
        let by_number = text.parse::<usize>().ok().and_then(|index| names.get(index));
        names.iter().find(|known| **known == text).or(by_number).copied().unwrap_or(first)
    }

    /// The whole number that a field has.
    pub fn field_int(&self, name: &str) -> Option<i64> {
        self.node().field(name).and_then(|node| match &node.value {
            Value::Scalar { text, ty: Scalar::Int } => int(text),
            Value::Scalar { text, ty: Scalar::Float } => {
                text.parse::<f64>().ok().filter(|v| v.fract() == 0.0).map(|v| v as i64)
            }
            _ => None,
        })
    }

    pub fn field_number(&self, name: &str) -> Option<f64> {
        self.node().field(name).and_then(|node| node.text().parse().ok())
    }

    pub fn field_true(&self, name: &str) -> bool {
        self.field_text(name).eq_ignore_ascii_case("true")
    }

    /// The duration that this is.
    pub fn as_duration(&self) -> Option<Duration> {
        stdx::duration::parse(self.text()).ok()
    }

    /// The items of a field that is a list, without those that are null.
    pub fn each(&self, name: &str) -> Vec<Item<'a>> {
        let Some(list) = self.field(name) else { return Vec::new() };
        let present = list.node().items().iter().enumerate().filter(|(_, node)| !node.is_null());
        present.map(|(index, node)| list.quiet_item(index, node)).collect()
    }

    /// The entries of a field that is a map. A value may be null.
    pub fn each_entry(&self, name: &str) -> Vec<(&'a str, Item<'a>)> {
        let Some(map) = self.field(name) else { return Vec::new() };
        map.node().entries().iter().map(|e| (&*e.key, map.quiet_child(&e.key, &e.node))).collect()
    }

    /// Something that Istio accepts with a warning.
    pub fn warn(&self, message: impl Into<String>) {
        self.report(Level::Warning, codes::SCHEMA_WARNING, message.into());
    }
}
