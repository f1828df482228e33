//! Cuts a stream into documents before it is parsed, so that a broken one costs only itself.

/// A piece of a stream: the text, and how many lines come before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk<'a> {
    pub text: &'a str,
    pub lines_before: u32,
}

/// Cuts at every line that begins with the document marker `---`. YAML forbids that marker at the
/// beginning of a line inside any scalar, so the cut is always between documents. The marker
/// stays with the document it opens. Pieces of comments and directives only are dropped.
pub(crate) fn split(text: &str) -> Vec<Chunk<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut chunks = Vec::new();
    let (mut start, mut lines_before) = (0, 0u32);
    let (mut offset, mut line) = (0, 0u32);
    for whole in text.split_inclusive('\n') {
        if is_marker(whole) && offset > start {
            push(&mut chunks, &text[start..offset], lines_before);
            (start, lines_before) = (offset, line);
        }
        offset += whole.len();
        line = line.saturating_add(1);
    }
    push(&mut chunks, &text[start..], lines_before);
    chunks
}

fn is_marker(line: &str) -> bool {
    line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

fn push<'a>(chunks: &mut Vec<Chunk<'a>>, text: &'a str, lines_before: u32) {
    let blank = |line: &str| {
        let line = line.trim_end();
        line.is_empty()
            || matches!(line, "---" | "...")
            || line.starts_with('%')
            || line.trim_start().starts_with('#')
    };
    if !text.lines().all(blank) {
        chunks.push(Chunk { text, lines_before });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_between_documents_and_counts_lines() {
        let text = "# a\n---\nx: 1\n--- # b\ny: |\n  ---\n  z\n---\n\n---\n--- {q: 1}";
        let chunks: Vec<_> = split(text).into_iter().map(|c| (c.text, c.lines_before)).collect();
        assert_eq!(chunks, [("---\nx: 1\n", 1), ("--- # b\ny: |\n  ---\n  z\n", 3), ("--- {q: 1}", 10)]);
    }

    #[test]
    fn a_dashed_word_is_no_marker() {
        assert_eq!(split("---x: 1\n----\n").len(), 1);
        assert!(split("").is_empty());
        assert!(split("%YAML 1.2\n---\n").is_empty());
    }
}
