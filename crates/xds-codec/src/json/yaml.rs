//! YAML to JSON values: one document, anchors and aliases, the scalars of YAML's core schema.
//! Bounded, since aliases can multiply.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};
use serde_json::{Map, Number, Value};

/// Deeper nesting than any bootstrap has, and than JSON's own parser allows.
const MAX_DEPTH: usize = 120;
/// Scalars, sequences and mappings, counted again for each use of an alias.
const MAX_NODES: usize = 4_000_000;

/// Reads one document.
///
/// # Errors
/// A sentence with line and column.
pub(super) fn read(text: &str) -> Result<Value, String> {
    let mut reader = Reader { events: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0 };
    let value = reader.document()?;
    match reader.document() {
        Ok(Value::Null) => Ok(value),
        Ok(_) => Err("there is more than one document".to_owned()),
        Err(error) => Err(error),
    }
}

struct Reader<'a> {
    events: Parser<'a, StrInput<'a>>,
    /// By anchor id: the value and how many nodes it has.
    anchors: HashMap<usize, (Value, usize)>,
    nodes: usize,
}

impl<'a> Reader<'a> {
    /// The next document, `null` after the last.
    fn document(&mut self) -> Result<Value, String> {
        loop {
            let (event, span) = self.event()?;
            match event {
                Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
                Event::StreamEnd => return Ok(Value::Null),
                event => return self.node(event, span, 0),
            }
        }
    }

    fn event(&mut self) -> Result<(Event<'a>, Span), String> {
        match self.events.next() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let (line, column) = (error.marker().line(), error.marker().col() + 1);
                Err(format!("line {line} column {column}: {}", error.info()))
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Value, String> {
        if depth > MAX_DEPTH {
            return Err(at(span, format_args!("more than {MAX_DEPTH} levels")));
        }
        self.count(1, span)?;
        let before = self.nodes;
        let (anchor, value) = match event {
            Event::Scalar(text, style, anchor, tag) => (anchor, scalar(&text, style, tag.as_deref(), span)?),
            Event::SequenceStart(anchor, _) => (anchor, self.sequence(depth)?),
            Event::MappingStart(anchor, _) => (anchor, self.mapping(depth)?),
            Event::Alias(anchor) => return self.alias(anchor, span),
            _ => return Err(at(span, format_args!("a value is missing"))),
        };
        // 0 is the id of nodes without an anchor.
        if anchor != 0 {
            self.anchors.insert(anchor, (value.clone(), self.nodes - before + 1));
        }
        Ok(value)
    }

    fn sequence(&mut self, depth: usize) -> Result<Value, String> {
        let mut all = Vec::new();
        loop {
            match self.event()? {
                (Event::SequenceEnd, _) => return Ok(Value::Array(all)),
                (event, span) => all.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, String> {
        let mut all = Map::new();
        loop {
            let (event, span) = self.event()?;
            if event == Event::MappingEnd {
                return Ok(Value::Object(all));
            }
            let Event::Scalar(key, ..) = event else {
                return Err(at(span, format_args!("a key must be a text")));
            };
            let (event, value_span) = self.event()?;
            let value = self.node(event, value_span, depth + 1)?;
            if all.insert(key.to_string(), value).is_some() {
                return Err(at(span, format_args!("{key:?} is there twice")));
            }
        }
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<Value, String> {
        let Some((_, nodes)) = self.anchors.get(&anchor) else {
            return Err(at(span, format_args!("the alias refers to nothing")));
        };
        self.count(*nodes, span)?;
        Ok(self.anchors.get(&anchor).map(|(value, _)| value.clone()).unwrap_or_default())
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), String> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            return Err(at(span, format_args!("more than {MAX_NODES} values, aliases included")));
        }
        Ok(())
    }
}

fn at(span: Span, message: std::fmt::Arguments<'_>) -> String {
    format!("line {} column {}: {message}", span.start.line(), span.start.col() + 1)
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Result<Value, String> {
    match tag {
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => return Ok(text.into()),
        Some(tag) => {
            return Err(at(span, format_args!("the tag {}{} is not supported", tag.handle, tag.suffix)));
        }
        None => {}
    }
    Ok(if style == ScalarStyle::Plain { plain(text) } else { text.into() })
}

/// The core schema of YAML 1.2.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    number(text).map_or_else(|| text.into(), Value::Number)
}

fn number(text: &str) -> Option<Number> {
    if let Some(hex) = text.strip_prefix("0x") {
        return digits(hex, 16).map(Number::from);
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return digits(octal, 8).map(Number::from);
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    if unsigned.bytes().all(|b| b.is_ascii_digit()) {
        let text = text.strip_prefix('+').unwrap_or(text);
        let negative = || text.parse::<i64>().ok().map(Number::from);
        if let Some(integer) = text.parse::<u64>().ok().map(Number::from).or_else(negative) {
            return Some(integer);
        }
    }
    if !unsigned.bytes().all(|b| b.is_ascii_digit() || b".eE+-".contains(&b)) {
        return None;
    }
    text.parse().ok().and_then(Number::from_f64)
}

fn digits(text: &str, radix: u32) -> Option<u64> {
    if !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(text, radix).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<Value, &str>) {
        let read = read(text);
        assert_eq!(read.as_ref().map_err(String::as_str), expected.as_ref().map_err(|e| *e), "{text}");
    }

    #[test]
    fn reads_the_core_schema() {
        check(
            "a: 1\nb: [x, '1', 0x10, -2, 1.5, 1e3, ~, true, 1.2.3, 10s, '']\nc: {}",
            Ok(
                json!({"a": 1, "b": ["x", "1", 16, -2, 1.5, 1000.0, null, true, "1.2.3", "10s", ""], "c": {}}),
            ),
        );
        check("{\"a\": {\"b\": [1, null]}}", Ok(json!({"a": {"b": [1, null]}})));
        check("a: &x {b: 1}\nc: *x", Ok(json!({"a": {"b": 1}, "c": {"b": 1}})));
        check("", Ok(Value::Null));
    }

    #[test]
    fn says_where_it_is_wrong() {
        check("a: 1\na: 2", Err("line 2 column 1: \"a\" is there twice"));
        check("a: 1\n---\nb: 2", Err("there is more than one document"));
        check("? [a]\n: b", Err("line 1 column 3: a key must be a text"));
        check("a: !secret x", Err("line 1 column 4: the tag !secret is not supported"));
        assert!(read("a: [1, 2").is_err_and(|error| error.starts_with("line ")));
        assert!(read(&"[".repeat(200)).is_err());
        assert!(read(&"- ".repeat(200)).is_err_and(|error| error.contains("levels")));
    }

    #[test]
    fn aliases_cannot_multiply_without_bound() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        assert!(read(&text).is_err_and(|error| error.contains("aliases included")));
    }
}
