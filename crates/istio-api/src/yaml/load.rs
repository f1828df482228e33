//! From the parser's events to the tree, within limits: size, depth, and what aliases expand to.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span, Tag};
use model::Str;

use super::split::Chunk;
use super::{Entry, Node, Scalar, SyntaxError, Value, resolve};

/// A single document may have this many bytes.
pub(crate) const MAX_BYTES: usize = 4 << 20;
/// Lists and objects may be nested this deep.
pub(crate) const MAX_DEPTH: usize = 64;
/// All anchors and aliases of a document together may stand for this many values.
pub(crate) const MAX_ALIASED: usize = 50_000;

/// Reads the documents of one chunk (normally one). Empty documents are left out.
pub(crate) fn load(chunk: Chunk<'_>) -> Result<Vec<Node>, SyntaxError> {
    if chunk.text.len() > MAX_BYTES {
        return Err(SyntaxError {
            line: chunk.lines_before.saturating_add(1),
            column: 1,
            message: format!("the document is larger than {} MiB", MAX_BYTES >> 20),
            limit: true,
        });
    }
    let mut loader = Loader { lines_before: chunk.lines_before, ..Loader::default() };
    for event in Parser::new_from_str(chunk.text) {
        let (event, span) = event.map_err(|error| {
            let (line, column) = loader.place(error.marker().line(), error.marker().col());
            SyntaxError { line, column, message: error.info().to_owned(), limit: false }
        })?;
        loader.event(event, span)?;
    }
    Ok(loader.documents)
}

#[derive(Default)]
struct Loader {
    lines_before: u32,
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    aliased: usize,
}

/// A list or object that is not complete yet.
struct Open {
    node: Node,
    anchor: usize,
    /// The key that waits for its value, when this is an object.
    key: Option<(Str, u32, u32)>,
    /// What `<<` brings in, once the object's own keys are known.
    merged: Vec<Node>,
}

impl Loader {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), SyntaxError> {
        let (line, column) = self.place(span.start.line(), span.start.col());
        let node = |value| Node { line, column, value };
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let ty = scalar_type(&text, style, tag.as_deref());
                self.complete(node(Value::Scalar { text: Str::from(&*text), ty }), anchor)
            }
            Event::SequenceStart(_, anchor, _) => self.begin(node(Value::Seq(Vec::new())), anchor),
            Event::MappingStart(_, anchor, _) => self.begin(node(Value::Map(Vec::new())), anchor),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => self.complete(closed(open.node, open.merged)?, open.anchor),
                None => Ok(()),
            },
            Event::Alias(anchor) => self.alias(anchor, line, column),
            Event::DocumentEnd => {
                self.anchors.clear();
                Ok(())
            }
            // Presentation only, or asked for by options that we do not set.
            _ => Ok(()),
        }
    }

    fn begin(&mut self, node: Node, anchor: usize) -> Result<(), SyntaxError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(limit(&node, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.open.push(Open { node, anchor, key: None, merged: Vec::new() });
        Ok(())
    }

    fn alias(&mut self, anchor: usize, line: u32, column: u32) -> Result<(), SyntaxError> {
        let at = Node { line, column, value: Value::Seq(Vec::new()) };
        let Some(target) = self.anchors.get(&anchor) else {
            return Err(wrong(&at, "an alias may not be used inside what it stands for".into()));
        };
        if self.open.len() + target.depth() > MAX_DEPTH {
            return Err(limit(&at, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        count(&mut self.aliased, target)?;
        let copy = target.clone();
        self.complete(copy, 0)
    }

    /// Puts a complete value where it belongs: into a list, under a key, or at the top.
    fn complete(&mut self, node: Node, anchor: usize) -> Result<(), SyntaxError> {
        if anchor != 0 {
            count(&mut self.aliased, &node)?;
            self.anchors.insert(anchor, node.clone());
        }
        let Some(parent) = self.open.last_mut() else {
            if !node.is_null() {
                self.documents.push(node);
            }
            return Ok(());
        };
        match &mut parent.node.value {
            Value::Seq(items) => items.push(node),
            Value::Map(entries) => match parent.key.take() {
                None => parent.key = Some(key(node)?),
                Some((key, ..)) if &*key == "<<" => parent.merged.push(node),
                Some((key, line, column)) => entries.push(Entry { key, line, column, node }),
            },
            Value::Scalar { .. } => {}
        }
        Ok(())
    }

    fn place(&self, line: usize, column: usize) -> (u32, u32) {
        let line = u32::try_from(line).unwrap_or(u32::MAX).saturating_add(self.lines_before);
        (line, u32::try_from(column).unwrap_or(u32::MAX).saturating_add(1))
    }
}

fn scalar_type(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Scalar {
    match tag {
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix() == "str" => Scalar::Str,
        _ if style == ScalarStyle::Plain => resolve::plain(text),
        _ => Scalar::Str,
    }
}

fn key(node: Node) -> Result<(Str, u32, u32), SyntaxError> {
    match node.value {
        Value::Scalar { text, .. } => Ok((text, node.line, node.column)),
        _ => Err(wrong(&node, "a key must be a string".into())),
    }
}

fn count(aliased: &mut usize, node: &Node) -> Result<(), SyntaxError> {
    *aliased = aliased.saturating_add(node.size());
    if *aliased > MAX_ALIASED {
        return Err(limit(node, format!("anchors and aliases stand for more than {MAX_ALIASED} values")));
    }
    Ok(())
}

/// A complete list or object: keys are unique, and merge keys are applied.
fn closed(mut node: Node, merged: Vec<Node>) -> Result<Node, SyntaxError> {
    let Value::Map(entries) = &mut node.value else { return Ok(node) };
    let mut lines: HashMap<Str, u32> = HashMap::with_capacity(entries.len());
    for entry in &*entries {
        if let Some(first) = lines.insert(entry.key.clone(), entry.line) {
            let message = format!("the key {:?} is given twice, first on line {first}", &*entry.key);
            return Err(SyntaxError { line: entry.line, column: entry.column, message, limit: false });
        }
    }
    for entry in merge(merged)? {
        if lines.insert(entry.key.clone(), entry.line).is_none() {
            entries.push(entry);
        }
    }
    Ok(node)
}

/// YAML 1.1's merge key, which `kubectl` honours too: keys written in the object itself win, in
/// a list of objects the earlier one.
fn merge(merged: Vec<Node>) -> Result<Vec<Entry>, SyntaxError> {
    let mut all = Vec::new();
    for from in merged {
        let objects = match from {
            Node { value: Value::Seq(items), .. } => items,
            other => vec![other],
        };
        for object in objects {
            match object.value {
                Value::Map(entries) => all.extend(entries),
                _ => return Err(wrong(&object, "<< takes an object or a list of objects".into())),
            }
        }
    }
    Ok(all)
}

fn wrong(at: &Node, message: String) -> SyntaxError {
    SyntaxError { line: at.line, column: at.column, message, limit: false }
}

fn limit(at: &Node, message: String) -> SyntaxError {
    SyntaxError { limit: true, ..wrong(at, message) }
}

#[cfg(test)]
mod tests {
    use super::super::split;
    use super::*;

    fn read(text: &str) -> Result<Vec<Node>, SyntaxError> {
        let mut all = Vec::new();
        for chunk in split(text) {
            all.extend(load(chunk)?);
        }
        Ok(all)
    }

    /// The place and value under a path of keys, as `line:column value`.
    fn at(text: &str, keys: &[&str]) -> String {
        let documents = read(text).expect("loads");
        let mut node = documents.last().expect("a document");
        for key in keys {
            node = &node.get(key).expect("key").node;
        }
        match &node.value {
            Value::Scalar { text, ty } => format!("{}:{} {text} {ty:?}", node.line, node.column),
            _ => format!("{}:{} {}", node.line, node.column, node.describe()),
        }
    }

    #[test]
    fn places_count_from_one_across_documents() {
        assert_eq!(at("a: 1\n---\nb:\n  c: x\n", &["b", "c"]), "4:6 x Str");
        assert_eq!(at("{\"a\": {\"b\": [1]}}", &["a", "b"]), "1:13 a list");
        assert_eq!(at("a: \"1\"", &["a"]), "1:4 1 Str");
        // Indentation means nothing within brackets.
        assert_eq!(at("x:\n  a: [\n    1\n  ]\n  b: 2\n", &["x", "b"]), "5:6 2 Int");
        assert_eq!(at("{\n\t\"a\": {\n\t\t\"b\": 1\n\t}\n}\n", &["a", "b"]), "3:8 1 Int");
        assert_eq!(at("a: !!str 1", &["a"]), "1:10 1 Str");
    }

    #[test]
    fn merge_keys_give_way_to_the_objects_own() {
        let text = "base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\n";
        assert_eq!(at(text, &["use", "x"]), "1:14 1 Int");
        assert_eq!(at(text, &["use", "y"]), "4:6 3 Int");
    }

    #[track_caller]
    fn check_error(text: &str, line: u32, column: u32, part: &str) {
        let error = read(text).expect_err(part);
        assert!(error.message.contains(part), "{error:?}");
        assert_eq!((error.line, error.column), (line, column), "{error:?}");
    }

    #[test]
    fn errors_have_places_and_limits_hold() {
        check_error("a: 1\n---\na: 1\na: 2\n", 4, 1, "given twice");
        check_error("a: *nobody\n", 1, 4, "unknown anchor");
        check_error("a: &x [*x]\n", 1, 8, "inside");
        check_error(&("[".repeat(200) + &"]".repeat(200)), 1, 65, "deeper than 64");
        check_error("a: [1,\n", 1, 4, "unclosed");
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x]\n");
        for i in 1..9 {
            let refs = vec![format!("*a{}", i - 1); 8].join(", ");
            bomb.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
        }
        assert!(read(&bomb).is_err_and(|e| e.limit && e.message.contains("stand for more")));
        let large = format!("a: \"{}\"", "x".repeat(MAX_BYTES));
        assert!(read(&large).is_err_and(|e| e.limit));
    }
}
