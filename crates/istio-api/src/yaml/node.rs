//! The tree.

use model::Str;

/// A value and the place it starts at, both counted from 1.
#[derive(Clone, Debug)]
pub struct Node {
    pub line: u32,
    pub column: u32,
    pub value: Value,
}

#[derive(Clone, Debug)]
pub enum Value {
    Scalar { text: Str, ty: Scalar },
    Seq(Vec<Node>),
    Map(Vec<Entry>),
}

/// What a scalar is in YAML's core schema. Quoted scalars are always strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    Null,
    Bool,
    Int,
    Float,
    Str,
}

/// A key with its value. Keys are unique within a map.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: Str,
    pub line: u32,
    pub column: u32,
    pub node: Node,
}

impl Node {
    /// Whether nothing is written here: `null`, `~` or no text at all.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Scalar { ty: Scalar::Null, .. })
    }

    /// The value under a key, if this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|entry| &*entry.key == key),
            _ => None,
        }
    }

    /// The value of a field in either spelling, if it is there and not null.
    pub fn field(&self, name: &str) -> Option<&Node> {
        let Value::Map(entries) = &self.value else { return None };
        let named = |entry: &&Entry| same_name(&entry.key, name) && !entry.node.is_null();
        entries.iter().find(named).map(|entry| &entry.node)
    }

    /// The text of a scalar, whatever its type; empty for anything else.
    pub fn text(&self) -> &str {
        match &self.value {
            Value::Scalar { text, ty } if *ty != Scalar::Null => text,
            _ => "",
        }
    }

    /// The items of a list; none for anything else.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::Seq(items) => items,
            _ => &[],
        }
    }

    /// The entries of an object; none for anything else.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// What this is, for people.
    pub fn describe(&self) -> &'static str {
        match &self.value {
            Value::Seq(_) => "a list",
            Value::Map(_) => "an object",
            Value::Scalar { ty, .. } => match ty {
                Scalar::Null => "null",
                Scalar::Bool => "a boolean",
                Scalar::Int | Scalar::Float => "a number",
                Scalar::Str => "a string",
            },
        }
    }

    /// How many nodes this tree has, itself included. Bounded by the loader, like its depth.
    pub fn size(&self) -> usize {
        match &self.value {
            Value::Scalar { .. } => 1,
            Value::Seq(items) => 1 + items.iter().map(Node::size).sum::<usize>(),
            Value::Map(entries) => 1 + entries.iter().map(|e| e.node.size()).sum::<usize>(),
        }
    }

    /// How deep this tree is; a scalar is 1.
    pub fn depth(&self) -> usize {
        1 + match &self.value {
            Value::Scalar { .. } => 0,
            Value::Seq(items) => items.iter().map(Node::depth).max().unwrap_or(0),
            Value::Map(entries) => entries.iter().map(|e| e.node.depth()).max().unwrap_or(0),
        }
    }
}

/// Whether a key as written is this camelCase name or its snake_case twin, which protobuf's JSON
/// accepts everywhere: `perTryTimeout`, `per_try_timeout`.
pub(crate) fn same_name(written: &str, name: &str) -> bool {
    if written == name {
        return true;
    }
    if !written.contains('_') {
        return false;
    }
    let mut upper = false;
    let mut rest = name.chars();
    for c in written.chars() {
        if c == '_' {
            upper = true;
            continue;
        }
        let c = if std::mem::take(&mut upper) { c.to_ascii_uppercase() } else { c };
        if rest.next() != Some(c) {
            return false;
        }
    }
    rest.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::same_name;

    #[test]
    fn both_spellings_name_a_field() {
        assert!(same_name("perTryTimeout", "perTryTimeout"));
        assert!(same_name("per_try_timeout", "perTryTimeout"));
        assert!(same_name("consecutive_5xx_errors", "consecutive5xxErrors"));
        assert!(same_name("http2_max_requests", "http2MaxRequests"));
        assert!(same_name("mirror_percent", "mirror_percent"));
        assert!(!same_name("PerTryTimeout", "perTryTimeout"));
        assert!(!same_name("per_try", "perTryTimeout"));
        assert!(!same_name("pertrytimeout", "perTryTimeout"));
    }
}
