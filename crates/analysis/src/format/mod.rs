//! Findings as text, for people and for pipelines.

mod github;
mod json;
mod junit;
mod log;
mod sarif;
mod yaml;

use model::{Level, ObjectRef, Place};

use crate::finding::Finding;

pub use log::Style;

/// In which form findings are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// istioctl's line per finding.
    Log,
    /// istioctl's list of messages.
    Json,
    Yaml,
    /// SARIF 2.1.0, for code scanning:
    /// <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>.
    Sarif,
    /// The test report that CI systems read.
    Junit,
    /// Annotations of GitHub's workflow commands.
    Github,
}

impl Format {
    /// All formats, by the names that `--output` takes.
    pub const ALL: [(&'static str, Format); 6] = [
        ("log", Format::Log),
        ("json", Format::Json),
        ("yaml", Format::Yaml),
        ("sarif", Format::Sarif),
        ("junit", Format::Junit),
        ("github", Format::Github),
    ];

    /// The format of that name, in any case.
    pub fn parse(name: &str) -> Option<Format> {
        Format::ALL.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, format)| *format)
    }
}

/// What a report is made of.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    pub findings: &'a [Finding],
    /// The files that were analyzed, those without findings too.
    pub files: &'a [String],
    /// From this level on a finding is a failure.
    pub failure: Level,
    /// The version of the tool.
    pub version: &'a str,
    pub style: Style,
}

/// The report; it ends with a new line unless it is empty.
pub fn render(format: Format, input: &Input<'_>) -> String {
    match format {
        Format::Log => log::render(input),
        Format::Json => json::render(input),
        Format::Yaml => yaml::render(input),
        Format::Sarif => sarif::render(input),
        Format::Junit => junit::render(input),
        Format::Github => github::render(input),
    }
}

/// The object as istioctl names its origin; one without a name by its kind.
fn origin(object: &ObjectRef) -> String {
    object.to_string().trim_end_matches([' ', '/']).to_owned()
}

/// `FILE:LINE`, as istioctl refers to places.
fn reference(place: &Place) -> String {
    format!("{}:{}", place.file, place.line)
}

#[cfg(test)]
pub(crate) mod tests {
    use model::{Level, ObjectRef, Place};

    use super::*;
    use crate::finding::{Edit, Fix};

    /// One finding of each level, with everything that needs escaping.
    pub fn findings() -> Vec<Finding> {
        let finding = |level, code, message: &str| Finding {
            level,
            code,
            analyzer: "test.Analyzer",
            object: Some(ObjectRef::new("VirtualService", "shop", "a")),
            namespace: "shop".into(),
            cluster: None,
            place: Some(Place { file: "dir/a b,c.yaml".into(), line: 3, column: 5 }),
            message: message.to_owned(),
            fix: None,
        };
        let mut fixable = finding(Level::Warning, "IST0002", "100% <of> \"it\" & more\nlines: 2");
        let edit = Edit { line: 3, column: 5, old: "x".into(), new: "y".into() };
        fixable.fix = Some(Fix { title: "use y".into(), edits: vec![edit] });
        let nowhere = Finding { object: None, place: None, ..finding(Level::Error, "IST0001", "failed") };
        vec![
            nowhere,
            finding(Level::Error, "IST0101", "Referenced host not found: \"x\""),
            fixable,
            finding(Level::Info, "IST0118", "\u{1}odd"),
        ]
    }

    pub fn render_all(format: Format) -> String {
        let files = ["dir/a b,c.yaml".to_owned(), "good.yaml".to_owned()];
        let style = Style::default();
        render(
            format,
            &Input { findings: &findings(), files: &files, failure: Level::Error, version: "1.2.3", style },
        )
    }

    pub fn render_none(format: Format) -> String {
        let files = ["good.yaml".to_owned()];
        let style = Style::default();
        render(
            format,
            &Input { findings: &[], files: &files, failure: Level::Error, version: "1.2.3", style },
        )
    }
}
