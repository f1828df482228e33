//! Everything an analysis can say: Istio's codes (`IST…`) and ours (`LTN…`) in one list. Messages,
//! the list of codes, the pages of `lateen docs` and the rules in SARIF all come from here.

mod istio_mesh;
mod istio_policies;
mod istio_resources;
mod own;
mod page;
mod reading;

use std::fmt::Display;

use model::Level;

pub use page::page;

/// What there is to know about a code.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub code: &'static str,
    /// In CamelCase, as Istio names its messages.
    pub name: &'static str,
    pub level: Level,
    /// The message; `%s`, `%v`, `%d` and `%q` (in quotes) stand for its arguments, in their order; `%%` for a percent sign.
    pub template: &'static str,
    pub description: &'static str,
    /// What happens because of it.
    pub why: &'static str,
    pub mend: &'static str,
}

impl Entry {
    /// Istio's page about the code, for those that are Istio's.
    pub fn url(&self) -> Option<String> {
        self.code.starts_with("IST").then(|| {
            let code = self.code.to_ascii_lowercase();
            format!("https://istio.io/latest/docs/reference/config/analysis/{code}/")
        })
    }
}

/// Stands for a code that the catalogue lacks, which a test rules out.
const UNKNOWN: Entry = Entry {
    code: "LTN0000",
    name: "Unknown",
    level: Level::Error,
    template: "%s",
    description: "A finding that the catalogue does not know.",
    why: "This is a mistake in Lateen.",
    mend: "Please report it.",
};

/// All codes, Istio's first, each group in the order of its numbers.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    [istio_resources::ENTRIES, istio_policies::ENTRIES, istio_mesh::ENTRIES, reading::ENTRIES, own::ENTRIES]
        .into_iter()
        .flatten()
}

/// The entry of a code, in any case.
pub fn find(code: &str) -> Option<&'static Entry> {
    all().find(|entry| entry.code.eq_ignore_ascii_case(code))
}

/// The entry of a code that one of our analyzers reports.
pub fn entry(code: &str) -> &'static Entry {
    all().find(|entry| entry.code == code).unwrap_or(&UNKNOWN)
}

/// A template with its arguments put in.
pub fn format(template: &str, arguments: &[&dyn Display]) -> String {
    let mut arguments = arguments.iter();
    let mut text = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('%') {
        text.push_str(before);
        let mut verb = after.chars();
        match verb.next() {
            Some('q') => text.push_str(&quoted(&argument(arguments.next()))),
            Some('%') => text.push('%'),
            Some('s' | 'v' | 'd') => text.push_str(&argument(arguments.next())),
            other => {
                text.push('%');
                text.extend(other);
            }
        }
        rest = verb.as_str();
    }
    text.push_str(rest);
    text
}

fn argument(argument: Option<&&dyn Display>) -> String {
    argument.map_or_else(String::new, ToString::to_string)
}

/// In double quotes, with what would break a line or the quotes escaped.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_every_entry_is_complete() {
        let mut codes = BTreeSet::new();
        for entry in all() {
            assert!(codes.insert(entry.code), "{} twice", entry.code);
            for text in [entry.name, entry.template, entry.description, entry.why, entry.mend] {
                assert!(!text.is_empty(), "{}", entry.code);
            }
            for text in [entry.description, entry.why, entry.mend] {
                assert!(text.ends_with('.'), "{}: {text}", entry.code);
            }
        }
        assert_eq!(codes.iter().filter(|c| c.starts_with("IST")).count(), 68);
    }

    #[test]
    fn templates_take_their_arguments() {
        assert_eq!(
            format("Referenced %s not found: %q", &[&"host", &"a\"b"]),
            "Referenced host not found: \"a\\\"b\""
        );
        assert_eq!(format("100%%, port %d", &[&80]), "100%, port 80");
        assert_eq!(format("%s and %s", &[&"one"]), "one and ");
    }
}
