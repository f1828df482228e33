//! One line per finding, as istioctl prints it, and on request what to do about it beneath.

use std::fmt::Write as _;

use model::Level;

use super::{Input, origin, reference};
use crate::catalogue;
use crate::finding::Finding;

/// How findings look for people.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    pub color: bool,
    /// With the exact place, why it matters and how to mend it.
    pub explain: bool,
}

pub(super) fn render(input: &Input<'_>) -> String {
    let mut text = String::new();
    for finding in input.findings {
        line(finding, input.style, &mut text);
        if input.style.explain {
            explanation(finding, &mut text);
        }
    }
    text
}

fn line(finding: &Finding, style: Style, text: &mut String) {
    let level = match (style.color, finding.level) {
        (true, Level::Error) => "\u{1b}[1;31mError\u{1b}[0m".to_owned(),
        (true, Level::Warning) => "\u{1b}[1;33mWarning\u{1b}[0m".to_owned(),
        (_, level) => level.to_string(),
    };
    let _ = write!(text, "{level} [{}]", finding.code);
    if let Some(cluster) = &finding.cluster {
        let _ = write!(text, " [cluster-{cluster}]");
    }
    let object = finding.object.as_ref().map(origin);
    let parts: Vec<String> = object.into_iter().chain(finding.place.as_ref().map(reference)).collect();
    if !parts.is_empty() {
        let _ = write!(text, " ({})", parts.join(" "));
    }
    // A message is one line, so that each finding stays one.
    let _ = writeln!(text, " {}", finding.message.replace('\n', " "));
}

fn explanation(finding: &Finding, text: &mut String) {
    let entry = catalogue::entry(finding.code);
    if let Some(place) = &finding.place {
        let _ = writeln!(text, "    at:   {place}");
    }
    let _ = writeln!(text, "    why:  {}", entry.why);
    let _ = writeln!(text, "    mend: {}", entry.mend);
    let certain = if finding.fix.is_some() { "; --fix does it" } else { "" };
    let _ = writeln!(text, "    more: lateen docs {}{certain}", finding.code);
}

#[cfg(test)]
mod tests {
    use super::super::tests::{findings, render_all};
    use super::super::{Format, render};
    use super::*;

    #[test]
    fn lines_are_istioctls() {
        assert_eq!(
            render_all(Format::Log),
            "Error [IST0001] failed\n\
             Error [IST0101] (VirtualService shop/a dir/a b,c.yaml:3) Referenced host not found: \"x\"\n\
             Warning [IST0002] (VirtualService shop/a dir/a b,c.yaml:3) 100% <of> \"it\" & more lines: 2\n\
             Info [IST0118] (VirtualService shop/a dir/a b,c.yaml:3) \u{1}odd\n"
        );
    }

    #[test]
    fn an_explanation_has_place_reason_and_mend() {
        let style = Style { explain: true, color: true };
        let input =
            Input { findings: &findings()[2..3], files: &[], failure: Level::Error, version: "", style };
        let text = render(Format::Log, &input);
        assert!(text.starts_with("\u{1b}[1;33mWarning\u{1b}[0m [IST0002]"), "{text}");
        for part in ["at:   dir/a b,c.yaml:3:5", "why:  ", "mend: ", "lateen docs IST0002; --fix"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
