//! A small writer of YAML, for what we print ourselves: maps in the order given, two spaces.

use std::fmt::Write;

/// A value to be written.
pub(super) enum Yaml {
    Map(Vec<(&'static str, Yaml)>),
    /// A map whose keys are names of fields.
    Named(Vec<(String, Yaml)>),
    List(Vec<Yaml>),
    Text(String),
    Int(i64),
    Bool(bool),
}

impl Yaml {
    pub fn text(text: impl Into<String>) -> Self {
        Yaml::Text(text.into())
    }

    pub fn texts<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        Yaml::List(texts.into_iter().map(Yaml::text).collect())
    }

    /// As a document, with the line that separates it from the one before.
    pub fn document(&self) -> String {
        let mut out = String::from("---\n");
        self.write(&mut out, 0);
        out
    }

    fn write(&self, out: &mut String, indent: usize) {
        match self {
            scalar if scalar.is_scalar() => {
                out.push_str(&scalar.scalar());
                out.push('\n');
            }
            Yaml::Map(entries) => entries.iter().for_each(|(key, value)| value.write_entry(key, out, indent)),
            Yaml::Named(entries) => {
                entries.iter().for_each(|(key, value)| value.write_entry(key, out, indent));
            }
            Yaml::List(items) => items.iter().for_each(|item| item.write_item(out, indent)),
            Yaml::Text(_) | Yaml::Int(_) | Yaml::Bool(_) => {}
        }
    }

    fn write_entry(&self, key: &str, out: &mut String, indent: usize) {
        pad(out, indent);
        out.push_str(&quoted(key));
        out.push(':');
        if self.is_scalar() {
            out.push(' ');
            self.write(out, 0);
        } else {
            out.push('\n');
            // A list stands below its key without being indented, as Kubernetes writes it.
            let deeper = if matches!(self, Yaml::List(_)) { indent } else { indent + 2 };
            self.write(out, deeper);
        }
    }

    fn write_item(&self, out: &mut String, indent: usize) {
        let mut inner = String::new();
        self.write(&mut inner, if self.is_scalar() { 0 } else { indent + 2 });
        pad(out, indent);
        out.push_str("- ");
        // The first line of what is inside stands behind the dash.
        out.push_str(inner.trim_start_matches(' '));
    }

    fn is_scalar(&self) -> bool {
        match self {
            Yaml::Text(_) | Yaml::Int(_) | Yaml::Bool(_) => true,
            Yaml::Map(entries) => entries.is_empty(),
            Yaml::Named(entries) => entries.is_empty(),
            Yaml::List(items) => items.is_empty(),
        }
    }

    fn scalar(&self) -> String {
        match self {
            Yaml::Text(text) => quoted(text),
            Yaml::Int(value) => value.to_string(),
            Yaml::Bool(value) => value.to_string(),
            Yaml::List(_) => "[]".into(),
            Yaml::Map(_) | Yaml::Named(_) => "{}".into(),
        }
    }
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// Plain where that cannot be misread, else in double quotes.
fn quoted(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/'))
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
        );
    if plain {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::Yaml;

    #[test]
    fn writes_what_can_be_read_again() {
        let value = Yaml::Map(vec![
            (
                "a",
                Yaml::List(vec![Yaml::Map(vec![("b", Yaml::Int(1)), ("c", Yaml::texts(["x", "yes", ""]))])]),
            ),
            (
                "d",
                Yaml::Map(vec![("e", Yaml::Bool(true)), ("f", Yaml::Map(vec![])), ("g", Yaml::text("\"\n"))]),
            ),
        ]);
        let expected =
            "---\na:\n- b: 1\n  c:\n  - x\n  - \"yes\"\n  - \"\"\nd:\n  e: true\n  f: {}\n  g: \"\\\"\\n\"\n";
        assert_eq!(value.document(), expected);
    }
}
