//! JSON formats: an object per line, its texts filled in when a record is written.

use std::collections::BTreeMap;

use ir::bootstrap::Json;
use stdx::Str;

use super::{Entry, Template, TemplateError};

/// A compiled value.
#[derive(Debug)]
pub enum Node {
    /// As it is written.
    Fixed(Box<[u8]>),
    /// One operator and nothing else: it keeps its type.
    Value(Template),
    Text(Template),
    List(Vec<Node>),
    Map(Vec<(Box<[u8]>, Node)>),
}

impl Node {
    /// Compiles an object.
    ///
    /// # Errors
    /// An operator that is not known.
    pub fn object(fields: &BTreeMap<Str, Json>) -> Result<Self, TemplateError> {
        let field = |(name, value): (&Str, &Json)| {
            let mut key = Vec::new();
            quote(name.as_bytes(), &mut key);
            key.push(b':');
            Ok((key.into(), Self::compile(value)?))
        };
        Ok(Node::Map(fields.iter().map(field).collect::<Result<_, TemplateError>>()?))
    }

    fn compile(value: &Json) -> Result<Self, TemplateError> {
        let fixed = |text: &str| Node::Fixed(text.as_bytes().into());
        Ok(match value {
            Json::Null => fixed("null"),
            Json::Bool(value) => fixed(if *value { "true" } else { "false" }),
            Json::Number(number) => fixed(number),
            Json::Text(text) => {
                let template = Template::parse(text)?;
                if template.is_one_operator() { Node::Value(template) } else { Node::Text(template) }
            }
            Json::List(values) => Node::List(values.iter().map(Self::compile).collect::<Result<_, _>>()?),
            Json::Map(fields) => Self::object(fields)?,
        })
    }

    pub fn each_template<'a>(&'a self, see: &mut dyn FnMut(&'a Template)) {
        match self {
            Node::Fixed(_) => {}
            Node::Value(template) | Node::Text(template) => see(template),
            Node::List(nodes) => nodes.iter().for_each(|node| node.each_template(see)),
            Node::Map(fields) => fields.iter().for_each(|(_, node)| node.each_template(see)),
        }
    }

    /// Appends the value. `false`: there is none, and nothing was appended.
    pub fn write(&self, entry: &Entry<'_>, omit_empty: bool, out: &mut Vec<u8>) -> bool {
        match self {
            Node::Fixed(text) => out.extend_from_slice(text),
            Node::Value(template) => return value(template, entry, omit_empty, out),
            Node::Text(template) => {
                let mut text = Vec::new();
                template.write(entry, omit_empty, &mut text);
                quote(&text, out);
            }
            Node::List(nodes) => {
                out.push(b'[');
                let begin = out.len();
                for node in nodes {
                    separated(out, begin, |out| node.write(entry, omit_empty, out));
                }
                out.push(b']');
            }
            Node::Map(fields) => return map(fields, entry, omit_empty, out),
        }
        true
    }
}

/// Appends a value as it is.
pub fn put(value: &Json, out: &mut Vec<u8>) {
    match value {
        Json::Null => out.extend_from_slice(b"null"),
        Json::Bool(value) => out.extend_from_slice(if *value { b"true" } else { b"false" }),
        Json::Number(number) => out.extend_from_slice(number.as_bytes()),
        Json::Text(text) => quote(text.as_bytes(), out),
        Json::List(values) => {
            out.push(b'[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                put(value, out);
            }
            out.push(b']');
        }
        Json::Map(fields) => {
            out.push(b'{');
            for (index, (name, value)) in fields.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                quote(name.as_bytes(), out);
                out.push(b':');
                put(value, out);
            }
            out.push(b'}');
        }
    }
}

/// An object that has nothing in it is left out along with what is empty.
fn map(fields: &[(Box<[u8]>, Node)], entry: &Entry<'_>, omit_empty: bool, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    out.push(b'{');
    let begin = out.len();
    for (key, node) in fields {
        separated(out, begin, |out| {
            out.extend_from_slice(key);
            node.write(entry, omit_empty, out)
        });
    }
    if omit_empty && out.len() == begin {
        out.truncate(start);
        return false;
    }
    out.push(b'}');
    true
}

/// Appends an element with a comma before it, or nothing.
fn separated(out: &mut Vec<u8>, begin: usize, write: impl FnOnce(&mut Vec<u8>) -> bool) {
    let before = out.len();
    if before > begin {
        out.push(b',');
    }
    if !write(out) {
        out.truncate(before);
    }
}

fn value(template: &Template, entry: &Entry<'_>, omit_empty: bool, out: &mut Vec<u8>) -> bool {
    let mut text = Vec::new();
    // Without the `-` for what is missing.
    let there = template.write(entry, true, &mut text);
    match (there, omit_empty) {
        (false, true) => return false,
        (false, false) => out.extend_from_slice(b"null"),
        (true, _) if template.is_number() => out.extend_from_slice(&text),
        (true, _) => quote(&text, out),
    }
    true
}

/// A JSON string. What is not UTF-8 is replaced.
fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for c in String::from_utf8_lossy(text).chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            c if c.is_control() && c.is_ascii() => {
                crate::text::put_display(out, format_args!("\\u{:04x}", u32::from(c)));
            }
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}
