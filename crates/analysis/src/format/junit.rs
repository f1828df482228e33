//! JUnit's XML as CI systems read it: a suite per file, a test case per finding. Findings below
//! the failure threshold are cases that pass, with the message as their output.

use std::fmt::Write as _;

use super::Input;
use crate::catalogue;
use crate::finding::Finding;

pub(super) fn render(input: &Input<'_>) -> String {
    let file_of = |finding: &Finding| finding.place.as_ref().map(|place| place.file.to_string());
    let mut suites: Vec<(String, Vec<&Finding>)> =
        input.files.iter().map(|f| (f.clone(), Vec::new())).collect();
    for finding in input.findings {
        let name = file_of(finding).unwrap_or_else(|| "analysis".to_owned());
        match suites.iter_mut().find(|(suite, _)| *suite == name) {
            Some((_, findings)) => findings.push(finding),
            None => suites.push((name, vec![finding])),
        }
    }
    let failed = |finding: &&&Finding| finding.level <= input.failure;
    let tests: usize = suites.iter().map(|(_, findings)| findings.len().max(1)).sum();
    let failures = input.findings.iter().filter(|f| f.level <= input.failure).count();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(xml, "<testsuites name=\"lateen analyze\" tests=\"{tests}\" failures=\"{failures}\">");
    for (name, findings) in &suites {
        let (tests, failures) = (findings.len().max(1), findings.iter().filter(failed).count());
        let name = escaped(name);
        let _ = writeln!(xml, "  <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\">");
        if findings.is_empty() {
            let _ = writeln!(xml, "    <testcase classname=\"{name}\" name=\"no findings\"/>");
        }
        for finding in findings {
            case(finding, &name, finding.level <= input.failure, &mut xml);
        }
        xml.push_str("  </testsuite>\n");
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn case(finding: &Finding, file: &str, failed: bool, xml: &mut String) {
    let entry = catalogue::entry(finding.code);
    let object = finding.object.as_ref().map(|object| format!(" {object}")).unwrap_or_default();
    let line = finding.place.as_ref().map(|place| format!(" line=\"{}\"", place.line)).unwrap_or_default();
    let name = escaped(&format!("{}{object}", finding.code));
    let _ = writeln!(xml, "    <testcase classname=\"{file}\" name=\"{name}\"{line}>");
    let place = finding.place.as_ref().map(|place| format!("{place}\n")).unwrap_or_default();
    let detail = escaped(&format!("{place}{}\nWhy: {}\nMend: {}", finding.message, entry.why, entry.mend));
    match failed {
        true => {
            let (message, kind) = (escaped(&finding.message), escaped(finding.code));
            let _ = writeln!(xml, "      <failure message=\"{message}\" type=\"{kind}\">{detail}</failure>");
        }
        false => {
            let _ = writeln!(xml, "      <system-out>{detail}</system-out>");
        }
    }
    xml.push_str("    </testcase>\n");
}

/// XML cannot hold most control characters in any form.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::tests::{render_all, render_none};

    #[test]
    fn a_standard_parser_reads_suites_cases_and_failures() {
        let text = render_all(Format::Junit);
        let document = roxmltree::Document::parse(&text).expect("XML");
        let suites: Vec<_> = document.descendants().filter(|n| n.has_tag_name("testsuite")).collect();
        let names: Vec<_> = suites.iter().filter_map(|suite| suite.attribute("name")).collect();
        assert_eq!(names, ["dir/a b,c.yaml", "good.yaml", "analysis"]);
        let counts: Vec<_> = suites.iter().filter_map(|suite| suite.attribute("failures")).collect();
        assert_eq!(counts, ["1", "0", "1"]);
        let root = document.root_element();
        assert_eq!((root.attribute("tests"), root.attribute("failures")), (Some("5"), Some("2")));
        let cases = document.descendants().filter(|n| n.has_tag_name("testcase")).count();
        assert_eq!(cases, 5);
        let outputs: Vec<_> = document.descendants().filter(|n| n.has_tag_name("system-out")).collect();
        assert!(outputs[0].text().is_some_and(|text| text.contains("100% <of> \"it\" & more\nlines: 2")));
        assert_eq!(outputs.len(), 2);
    }

    #[test]
    fn a_file_without_findings_passes() {
        let text = render_none(Format::Junit);
        let document = roxmltree::Document::parse(&text).expect("XML");
        let case = document.descendants().find(|n| n.has_tag_name("testcase")).expect("a case");
        assert_eq!((case.attribute("name"), case.has_children()), (Some("no findings"), false));
    }
}
