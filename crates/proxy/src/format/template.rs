//! Envoy's format strings: text with `%OPERATOR(arguments):length%`, parsed once.

use std::fmt;

use super::operator::Operator;
use super::{Asks, Entry};

/// Text with operators.
#[derive(Debug, Default)]
pub struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Text(Box<[u8]>),
    Operator { operator: Operator, max_len: Option<usize> },
}

/// What is wrong with a format, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    pub message: String,
    /// Of the operator's percent sign, in bytes from the beginning.
    pub position: usize,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at position {}", self.message, self.position)
    }
}

impl Template {
    /// Reads a format string.
    ///
    /// # Errors
    /// Names the operator that is not known, or says what is wrong with its arguments.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            let position = text.len() - rest.len() + at;
            literal.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(tail) = rest.strip_prefix('%') {
                literal.push('%');
                rest = tail;
                continue;
            }
            let wrong = |message| TemplateError { message, position };
            let (name, arguments, max_len, tail) = command(rest).map_err(wrong)?;
            let operator = Operator::parse(name, arguments).map_err(wrong)?;
            if max_len.is_some() && !operator.takes_length() {
                return Err(wrong(format!("%{name}% does not take any parameters or length")));
            }
            if !literal.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut literal).into_bytes().into()));
            }
            pieces.push(Piece::Operator { operator, max_len });
            rest = tail;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal.into_bytes().into()));
        }
        Ok(Template { pieces })
    }

    pub(super) fn operators(&self) -> impl Iterator<Item = &Operator> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Operator { operator, .. } => Some(operator),
            Piece::Text(_) => None,
        })
    }

    /// What it tells of certificates and exchanges.
    pub fn asks(&self) -> Asks {
        let mut asks = Asks::default();
        self.operators().for_each(|operator| asks |= operator.asks());
        asks
    }

    pub(super) fn is_one_operator(&self) -> bool {
        matches!(&self.pieces[..], [Piece::Operator { .. }])
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(&self.pieces[..], [Piece::Operator { operator, .. }] if operator.is_number())
    }

    /// Appends the text. What is missing is `-`, or nothing with `omit_empty`. `false`: nothing was there,
    /// not even something empty.
    pub fn write(&self, entry: &Entry<'_>, omit_empty: bool, out: &mut Vec<u8>) -> bool {
        let mut any = false;
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => {
                    out.extend_from_slice(text);
                    any = true;
                }
                Piece::Operator { operator, max_len } => {
                    let start = out.len();
                    let empty = operator.write(entry, out);
                    let missing = out.len() == start && !empty;
                    any |= !missing;
                    if missing && !omit_empty {
                        out.push(b'-');
                    }
                    if let Some(max) = max_len {
                        out.truncate(start + max.min(&(out.len() - start)));
                    }
                }
            }
        }
        any
    }
}

/// Takes `NAME(arguments):length%` apart: name, arguments, length, what follows.
fn command(text: &str) -> Result<(&str, Option<&str>, Option<usize>, &str), String> {
    let name_end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .ok_or_else(|| format!("%{text}: the operator is not closed by %"))?;
    let (name, mut rest) = text.split_at(name_end);
    let mut arguments = None;
    if let Some(inner) = rest.strip_prefix('(') {
        let end = inner.find(')').ok_or_else(|| format!("%{name}: the bracket is not closed"))?;
        arguments = Some(&inner[..end]);
        rest = &inner[end + 1..];
    }
    let mut max_len = None;
    if let Some(inner) = rest.strip_prefix(':') {
        let end = inner.find('%').unwrap_or(inner.len());
        let length =
            inner[..end].parse().map_err(|_| format!("%{name}%: {:?} is not a length", &inner[..end]))?;
        max_len = Some(length);
        rest = &inner[end..];
    }
    let rest = rest.strip_prefix('%').ok_or_else(|| format!("%{name}: the operator is not closed by %"))?;
    Ok((name, arguments, max_len, rest))
}
