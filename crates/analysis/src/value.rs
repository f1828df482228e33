//! A view of a YAML node that forgives absence, so that an analyzer reads a field as it is named
//! in the documentation: what is not there is empty, as in protobuf.

use std::collections::BTreeMap;

use istio_api::yaml::{Entry, Node, Scalar, Value, int};

/// A value that may be absent. `null` counts as absent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Val<'a>(Option<&'a Node>);

impl<'a> Val<'a> {
    /// The view of a node.
    pub fn of(node: &'a Node) -> Self {
        Val(Some(node).filter(|node| !node.is_null()))
    }

    /// What is absent.
    pub const ABSENT: Val<'static> = Val(None);

    /// The field of an object, in camelCase or its snake_case twin.
    pub fn get(self, name: &str) -> Val<'a> {
        let Some(Value::Map(entries)) = self.0.map(|node| &node.value) else { return Val(None) };
        let exact = entries.iter().find(|entry| &*entry.key == name);
        let found = exact.or_else(|| entries.iter().find(|entry| is_snake_case_of(&entry.key, name)));
        found.map_or(Val(None), |entry| Val::of(&entry.node))
    }

    /// A field of a field: `spec.selector`.
    pub fn path(self, path: &str) -> Val<'a> {
        path.split('.').fold(self, Val::get)
    }

    /// The items of a list.
    pub fn items(self) -> impl ExactSizeIterator<Item = Val<'a>> + Clone {
        let items: &[Node] = match self.0.map(|node| &node.value) {
            Some(Value::Seq(items)) => items,
            _ => &[],
        };
        items.iter().map(Val::of)
    }

    /// The fields of an object, in the order they are written.
    pub fn entries(self) -> impl ExactSizeIterator<Item = (&'a Entry, Val<'a>)> {
        let entries: &[Entry] = match self.0.map(|node| &node.value) {
            Some(Value::Map(entries)) => entries,
            _ => &[],
        };
        entries.iter().map(|entry| (entry, Val::of(&entry.node)))
    }

    /// The text of a scalar; of anything else, nothing.
    pub fn text(self) -> Option<&'a str> {
        match self.0.map(|node| &node.value) {
            Some(Value::Scalar { text, .. }) => Some(text),
            _ => None,
        }
    }

    /// The text of a scalar, empty if there is none.
    pub fn str(self) -> &'a str {
        self.text().unwrap_or_default()
    }

    /// An integer. A quoted one counts: protobuf's JSON takes it.
    pub fn int(self) -> Option<i64> {
        let text = self.text()?;
        int(text).or_else(|| text.parse::<f64>().ok().filter(|n| n.fract() == 0.0).map(|n| n as i64))
    }

    /// Whether this is the boolean `true`.
    pub fn is_true(self) -> bool {
        self.text().is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    /// Whether this was written as a string rather than a number.
    pub fn is_string(self) -> bool {
        matches!(self.0.map(|node| &node.value), Some(Value::Scalar { ty: Scalar::Str, .. }))
    }

    /// Whether something is written here.
    pub fn exists(self) -> bool {
        self.0.is_some()
    }

    /// Whether this is an object, though perhaps an empty one.
    pub fn is_object(self) -> bool {
        matches!(self.0.map(|node| &node.value), Some(Value::Map(_)))
    }

    /// The texts of a list.
    pub fn strings(self) -> Vec<&'a str> {
        self.items().filter_map(Val::text).collect()
    }

    /// An object of texts.
    pub fn string_map(self) -> BTreeMap<&'a str, &'a str> {
        self.entries().map(|(entry, value)| (&*entry.key, value.str())).collect()
    }

    /// Line and column, counted from 1.
    pub fn place(self) -> Option<(u32, u32)> {
        self.0.map(|node| (node.line, node.column))
    }

    /// The node itself.
    pub fn node(self) -> Option<&'a Node> {
        self.0
    }

    /// The value in one spelling: fields sorted by their camelCase name, so that two values are
    /// equal exactly if they say the same.
    pub fn canonical(self) -> String {
        let mut text = String::new();
        write_canonical(self, &mut text);
        text
    }
}

fn write_canonical(value: Val<'_>, out: &mut String) {
    use std::fmt::Write as _;
    match value.0.map(|node| &node.value) {
        None => out.push_str("null"),
        Some(Value::Scalar { text, .. }) => {
            let _ = write!(out, "{text:?}");
        }
        Some(Value::Seq(_)) => {
            out.push('[');
            for item in value.items() {
                write_canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        Some(Value::Map(_)) => {
            let mut fields: Vec<(String, Val<'_>)> =
                value.entries().map(|(entry, v)| (camel_case(&entry.key), v)).collect();
            fields.retain(|(_, v)| v.exists());
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            out.push('{');
            for (name, field) in fields {
                let _ = write!(out, "{name:?}:");
                write_canonical(field, out);
                out.push(',');
            }
            out.push('}');
        }
    }
}

/// Whether a key as written is the snake_case of a camelCase name.
fn is_snake_case_of(written: &str, name: &str) -> bool {
    written.contains('_') && camel_case(written) == name
}

fn camel_case(written: &str) -> String {
    let mut name = String::with_capacity(written.len());
    let mut upper = false;
    for c in written.chars() {
        match c {
            // A leading underscore is part of a name that means something to somebody else.
            '_' if !name.is_empty() => upper = true,
            _ if std::mem::take(&mut upper) => name.push(c.to_ascii_uppercase()),
            _ => name.push(c),
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use istio_api::yaml;

    use super::*;

    #[test]
    fn absence_is_empty_and_both_spellings_count() {
        let documents = yaml::documents("a:\n  b_c: x\n  n: null\n  l: [1, \"2\"]\n");
        let root = Val::of(&documents[0]);
        assert_eq!(root.path("a.bC").str(), "x");
        assert_eq!(root.path("a.bC").place(), Some((2, 8)));
        assert_eq!(root.path("a.x.y.z").str(), "");
        assert!(!root.path("a.n").exists());
        assert_eq!(root.path("a.l").items().filter_map(Val::int).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn equal_content_has_one_spelling() {
        let documents = yaml::documents("{a_b: 1, c: null, d: [x]}\n---\nd: [x]\naB: 1\n");
        let text: Vec<String> = documents.iter().map(|d| Val::of(d).canonical()).collect();
        assert_eq!(text[0], text[1]);
    }
}
