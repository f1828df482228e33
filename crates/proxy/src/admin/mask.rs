//! Field masks over JSON: `a.b,c` keeps what is below `a.b` and `c`.

use serde_json::Value;

use super::pieces::Node;

/// Paths to keep. None at all keeps everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mask(Vec<Vec<String>>);

impl Mask {
    pub fn parse(text: &str) -> Self {
        let path = |path: &str| path.split('.').map(str::to_owned).collect();
        Mask(text.split(',').filter(|path| !path.is_empty()).map(path).collect())
    }

    pub fn all() -> Self {
        Mask::default()
    }

    /// Whether a field is kept, at least in part.
    pub fn names(&self, field: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|path| path.first().is_some_and(|first| first == field))
    }

    /// What is kept of a field.
    pub fn below(&self, field: &str) -> Mask {
        let paths = self.0.iter().filter(|path| path.first().is_some_and(|first| first == field));
        let rest: Vec<Vec<String>> = paths.map(|path| path[1..].to_vec()).collect();
        // One of them keeps it whole.
        if rest.iter().any(Vec::is_empty) { Mask::all() } else { Mask(rest) }
    }

    /// Of a list, every element is cut.
    pub fn apply(&self, node: Node) -> Node {
        if self.0.is_empty() {
            return node;
        }
        match node {
            Node::List(nodes) => Node::List(nodes.into_iter().map(|node| self.apply(node)).collect()),
            Node::Map(fields) => {
                let kept = fields.into_iter().filter(|(name, _)| self.names(name));
                Node::Map(kept.map(|(name, node)| (name.clone(), self.below(&name).apply(node))).collect())
            }
            Node::Item(make) => {
                let mask = self.clone();
                Node::Item(Box::new(move |dump| mask.cut(make(dump))))
            }
        }
    }

    fn cut(&self, value: Value) -> Value {
        match value {
            Value::Array(values) => values.into_iter().map(|value| self.cut(value)).collect(),
            Value::Object(fields) if !self.0.is_empty() => {
                // What an `Any` is stays known.
                let kept = fields.into_iter().filter(|(name, _)| name == "@type" || self.names(name));
                kept.map(|(name, value)| {
                    let below = if name == "@type" { Mask::all() } else { self.below(&name) };
                    (name, below.cut(value))
                })
                .collect()
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_is_named_is_kept() {
        let value = json!({ "@type": "t", "a": { "b": 1, "c": 2 }, "d": [{ "e": 1, "f": 2 }], "g": 3 });
        let check = |mask: &str, expected: Value| assert_eq!(Mask::parse(mask).cut(value.clone()), expected);
        check("a.b,d.e", json!({ "@type": "t", "a": { "b": 1 }, "d": [{ "e": 1 }] }));
        check("a.b,a", json!({ "@type": "t", "a": { "b": 1, "c": 2 } }));
        check("", value.clone());
        check("x", json!({ "@type": "t" }));
    }
}
