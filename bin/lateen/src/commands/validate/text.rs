//! Findings for people: each with the line it is about, and what of it underlined.

use std::fmt::Write;
use std::io::IsTerminal;

use model::{Finding, Level};

use super::Judged;

/// Whether there is color.
#[derive(Clone, Copy)]
pub struct Paint(bool);

const RED: &str = "1;31";
const YELLOW: &str = "1;33";
const BLUE: &str = "1;34";
const BOLD: &str = "1";

impl Paint {
    /// On a terminal, unless the user said no: <https://no-color.org>.
    pub fn for_stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Paint(std::io::stdout().is_terminal() && !refused)
    }

    fn with(self, style: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// All findings, file by file, and a last line that counts them.
pub fn render(files: &[Judged], paint: Paint) -> String {
    let mut out = String::new();
    for file in files {
        // As the reader counts them.
        let content = String::from_utf8_lossy(&file.content).replace("\r\n", "\n");
        let lines: Vec<&str> = content.split(['\n', '\r']).collect();
        for finding in &file.findings {
            render_one(&file.name, &lines, finding, paint, &mut out);
        }
    }
    let count = |level| files.iter().flat_map(|f| &f.findings).filter(|f| f.level == level).count();
    let (errors, warnings) = (count(Level::Error), count(Level::Warning));
    let verdict = match (errors, warnings) {
        (0, 0) => paint.with(BOLD, "valid"),
        (0, _) => format!("{}, with {}", paint.with(BOLD, "valid"), number(warnings, "warning")),
        _ => format!("{}, {}", paint.with(RED, &number(errors, "error")), number(warnings, "warning")),
    };
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{}: {verdict}", number(files.len(), "file"));
    out
}

fn number(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

fn render_one(file: &str, lines: &[&str], finding: &Finding, paint: Paint, out: &mut String) {
    let (style, level) = match finding.level {
        Level::Error => (RED, "error"),
        Level::Warning => (YELLOW, "warning"),
        Level::Info => (BLUE, "info"),
    };
    let field = if finding.field.is_empty() { String::new() } else { format!("{}: ", finding.field) };
    let head = paint.with(style, &format!("{level}[{}]", finding.code));
    let message = paint.with(BOLD, &format!("{field}{}", finding.message));
    let _ = writeln!(out, "{head}: {message}");
    let object = finding.object.as_ref().map_or_else(String::new, |object| format!(" ({object})"));
    let Some(place) = &finding.place else {
        let _ = writeln!(out, "  {} {file}{object}\n", paint.with(BLUE, "-->"));
        return;
    };
    let _ = writeln!(out, "  {} {place}{object}", paint.with(BLUE, "-->"));
    let line = usize::try_from(place.line).ok().and_then(|line| lines.get(line.checked_sub(1)?));
    if let Some(line) = line {
        underline(line, place.line, place.column, style, paint, out);
    }
    out.push('\n');
}

/// Longer lines are cut: nobody reads them, and a terminal would wrap the underline away.
const MAX_WIDTH: usize = 160;

fn underline(line: &str, number: u32, column: u32, style: &str, paint: Paint, out: &mut String) {
    let start = usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX);
    let chars: Vec<char> = line.chars().collect();
    let length = word(chars.get(start..).unwrap_or_default()).max(1);
    // What is underlined must be seen.
    let skipped = if start + length > MAX_WIDTH { start.saturating_sub(20) } else { 0 };
    let visible = |c: &char| if c.is_control() { ' ' } else { *c };
    let shown: String = chars.iter().skip(skipped).take(MAX_WIDTH).map(visible).collect();
    let length = length.min(MAX_WIDTH.saturating_sub(start - skipped).max(1));
    let number = number.to_string();
    let gutter = " ".repeat(number.len());
    let bar = paint.with(BLUE, "|");
    let mark = paint.with(style, &"^".repeat(length));
    let _ = writeln!(out, " {gutter} {bar}");
    let _ = writeln!(out, " {} {bar} {shown}", paint.with(BLUE, &number));
    let _ = writeln!(out, " {gutter} {bar} {}{mark}", " ".repeat(start - skipped));
}

/// How many characters the value or key at the beginning has.
fn word(text: &[char]) -> usize {
    match text.first() {
        Some(quote @ ('"' | '\'')) => {
            text.iter().skip(1).position(|c| c == quote).map_or(text.len(), |end| end + 2)
        }
        Some('{' | '[' | '|' | '>' | '-') => 1,
        _ => {
            let ends = |(index, c): (usize, &char)| {
                let next = text.get(index + 1);
                matches!(c, ',' | '}' | ']')
                    || (*c == ':' && next.is_none_or(|c| c.is_whitespace()))
                    || c.is_whitespace()
            };
            text.iter().enumerate().position(|(index, c)| ends((index, c))).unwrap_or(text.len())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let file = Judged {
            name: "f.yaml".into(),
            content: text.into(),
            findings: istio_api::validate_stream("f.yaml", text).findings,
        };
        let out = render(&[file], Paint(false));
        assert_eq!(out.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_is_wrong_is_underlined() {
        let text = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a}\nspec:\n  \
                    hosts: reviews\n  host: \"a b\"\n";
        check(
            text,
            &[
                "error[IST0106]: spec.host: \"a b\" is no host name: \"a b\" is no label",
                "  --> f.yaml:6:9 (DestinationRule default/a)",
                "   |",
                " 6 |   host: \"a b\"",
                "   |         ^^^^^",
                "",
                "error[LTN0003]: spec.hosts: unknown field \"hosts\"; did you mean host?",
                "  --> f.yaml:5:3 (DestinationRule default/a)",
                "   |",
                " 5 |   hosts: reviews",
                "   |   ^^^^^",
                "",
                "1 file: 2 errors, 0 warnings",
            ],
        );
        check("", &["1 file: valid"]);
    }

    #[test]
    fn long_lines_are_cut_around_what_is_underlined() {
        let mut out = String::new();
        underline(&format!("{}bad", "x ".repeat(300)), 1, 601, RED, Paint(false), &mut out);
        let lines: Vec<&str> = out.lines().collect();
        let at = lines[2].find('^').expect("underlined");
        assert_eq!(&lines[1][at..], "bad");
        underline("short", 1, 4_000_000_000, RED, Paint(true), &mut out);
    }
}
