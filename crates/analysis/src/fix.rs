//! Mends that are certain, applied to a text, and shown as a diff.

use std::fmt::Write as _;

use crate::finding::{Edit, Finding};

/// The text of a file with the mends of its findings applied; `None` if there are none. An edit
/// whose text is not where it should be, or that overlaps another, is left out.
pub fn mended(file: &str, text: &str, findings: &[Finding]) -> Option<String> {
    // Places count a carriage return alone as the end of a line; nobody writes such files any more.
    if text.replace("\r\n", "").contains('\r') {
        return None;
    }
    let of_file = findings.iter().filter(|f| f.place.as_ref().is_some_and(|place| *place.file == *file));
    let mut edits: Vec<&Edit> = of_file.filter_map(|f| f.fix.as_ref()).flat_map(|fix| &fix.edits).collect();
    // From the end of each line, so that columns hold while it changes.
    edits.sort_by_key(|edit| (edit.line, std::cmp::Reverse(edit.column)));
    edits.dedup();
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    let mut changed = false;
    let mut last: Option<&Edit> = None;
    for edit in edits {
        let overlaps = last.is_some_and(|l| l.line == edit.line && edit.column + width(&edit.old) > l.column);
        let line = lines.get_mut((edit.line as usize).saturating_sub(1)).filter(|_| !overlaps);
        if line.is_some_and(|line| replace(line, edit)) {
            changed = true;
            last = Some(edit);
        }
    }
    changed.then(|| lines.concat())
}

fn width(text: &str) -> u32 {
    u32::try_from(text.chars().count()).unwrap_or(u32::MAX)
}

/// Whether the edit fits the line, and was made.
fn replace(line: &mut String, edit: &Edit) -> bool {
    let column = (edit.column as usize).saturating_sub(1);
    let Some((start, _)) = line.char_indices().nth(column) else { return false };
    if !line[start..].starts_with(&edit.old) {
        return false;
    }
    line.replace_range(start..start + edit.old.len(), &edit.new);
    true
}

/// How many unchanged lines a diff shows around a change.
const CONTEXT: usize = 3;

/// A unified diff of two texts with the same number of lines, as mends of single lines make them.
/// Empty if they are equal.
pub fn diff(file: &str, old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let changed: Vec<usize> = (0..old.len().max(new.len())).filter(|i| old.get(*i) != new.get(*i)).collect();
    let mut text = String::new();
    let mut rest = changed.as_slice();
    while let Some(first) = rest.first() {
        if text.is_empty() {
            let _ = write!(text, "--- a/{file}\n+++ b/{file}\n");
        }
        // A hunk goes on while the context of two changes meets.
        let count = 1 + rest.windows(2).take_while(|pair| pair[1] - pair[0] <= 2 * CONTEXT).count();
        let (hunk, others) = rest.split_at(count);
        let start = first.saturating_sub(CONTEXT);
        let end = (hunk.last().unwrap_or(first) + 1 + CONTEXT).min(old.len());
        let length = end - start;
        let _ = writeln!(text, "@@ -{0},{length} +{0},{length} @@", start + 1);
        for i in start..end {
            let (before, after) = (old.get(i).unwrap_or(&""), new.get(i).unwrap_or(&""));
            match before == after {
                true => drop(writeln!(text, " {before}")),
                false => drop(write!(text, "-{before}\n+{after}\n")),
            }
        }
        rest = others;
    }
    text
}

#[cfg(test)]
mod tests {
    use model::{Level, Place};

    use super::*;
    use crate::finding::Fix;

    fn finding(edits: &[(u32, u32, &str, &str)]) -> Finding {
        let edits = edits
            .iter()
            .map(|(line, column, old, new)| Edit {
                line: *line,
                column: *column,
                old: (*old).into(),
                new: (*new).into(),
            })
            .collect();
        Finding {
            level: Level::Warning,
            code: "IST0002",
            analyzer: "a",
            object: None,
            namespace: "".into(),
            cluster: None,
            place: Some(Place { file: "f".into(), line: 1, column: 1 }),
            message: String::new(),
            fix: Some(Fix { title: "t".into(), edits }),
        }
    }

    #[test]
    fn edits_are_made_where_their_text_is() {
        let mended =
            |text: &str, edits: &[(u32, u32, &str, &str)]| super::mended("f", text, &[finding(edits)]);
        assert_eq!(
            mended("ä: x y\r\n", &[(1, 4, "x", "long"), (1, 6, "y", "z")]).as_deref(),
            Some("ä: long z\r\n")
        );
        assert_eq!(mended("a\nb\n", &[(2, 1, "c", "d")]), None);
        assert_eq!(mended("a\n", &[(9, 1, "a", "d")]), None);
        assert_eq!(mended("abc", &[(1, 1, "ab", "x"), (1, 2, "bc", "y")]).as_deref(), Some("ay"));
        assert_eq!(super::mended("g", "a", &[finding(&[(1, 1, "a", "b")])]), None);
    }

    #[test]
    fn diffs_have_context() {
        let old = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n";
        let new = old.replace("\n2\n", "\nb\n").replace("\n12\n", "\nl\n");
        assert_eq!(
            diff("f", old, &new),
            "--- a/f\n+++ b/f\n@@ -1,5 +1,5 @@\n 1\n-2\n+b\n 3\n 4\n 5\n@@ -9,4 +9,4 @@\n 9\n 10\n 11\n-12\n+l\n"
        );
        assert_eq!(diff("f", old, old), "");
    }
}
