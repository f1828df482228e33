//! GitHub's annotations:
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>.

use std::fmt::Write as _;

use model::Level;

use super::Input;
use crate::catalogue;

pub(super) fn render(input: &Input<'_>) -> String {
    let mut text = String::new();
    for finding in input.findings {
        let command = match finding.level {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "notice",
        };
        let mut properties = Vec::new();
        if let Some(place) = &finding.place {
            properties.push(format!("file={}", property(&place.file)));
            properties.push(format!("line={}", place.line));
            properties.push(format!("col={}", place.column));
        }
        let title = format!("{} {}", finding.code, catalogue::entry(finding.code).name);
        properties.push(format!("title={}", property(&title)));
        let object = finding.object.as_ref().map(|object| format!("{object}: ")).unwrap_or_default();
        let message = data(&format!("{object}{}", finding.message));
        let _ = writeln!(text, "::{command} {}::{message}", properties.join(","));
    }
    text
}

/// What would end the command is escaped.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// As [`data`], and what would end the property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::tests::{render_all, render_none};

    #[test]
    fn annotations_are_escaped() {
        let text = render_all(Format::Github);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "::error title=IST0001 InternalError::failed");
        assert_eq!(
            lines[2],
            "::warning file=dir/a b%2Cc.yaml,line=3,col=5,title=IST0002 Deprecated::\
             VirtualService shop/a: 100%25 <of> \"it\" & more%0Alines: 2"
        );
        assert!(lines[3].starts_with("::notice "));
        assert_eq!(lines.len(), 4);
        assert_eq!(render_none(Format::Github), "");
    }
}
