//! The page about a code, as Markdown that reads well in a terminal.

use std::fmt::Write as _;

use super::Entry;
use crate::analyzers;

/// What `lateen docs CODE` prints: what the code means, why it matters, how to mend it, and who
/// reports it.
pub fn page(entry: &Entry) -> String {
    let mut text = format!("# {} {} ({})\n\n{}\n", entry.code, entry.name, entry.level, entry.description);
    let _ = write!(text, "\n## Why it matters\n\n{}\n", entry.why);
    let _ = write!(text, "\n## How to mend it\n\n{}\n", entry.mend);
    let _ = write!(text, "\n## The message\n\n    {}\n", entry.template);
    text.push_str("\n## Who reports it\n\n");
    let mut reported = false;
    for analyzer in analyzers::all().filter(|a| a.codes.contains(&entry.code)) {
        reported = true;
        let asked = if analyzer.by_default { "" } else { " (only when asked for with --analyzer)" };
        let _ = writeln!(text, "- `{}`{asked}: {}.", analyzer.name, analyzer.description);
    }
    if !reported {
        text.push_str(unreported(entry.code));
    }
    let _ = write!(
        text,
        "\n## Not to hear of it\n\nFor one object: `-S \"{0}=KIND NAMESPACE/NAME\"`, or the annotation\n\
         `galley.istio.io/analyze-suppress: {0}` on it.\n",
        entry.code
    );
    if let Some(url) = entry.url() {
        let _ = write!(text, "\nIstio's page: <{url}>\n");
    }
    text
}

/// Why no analyzer of ours reports a code.
fn unreported(code: &str) -> &'static str {
    match code {
        "IST0001" => "- The analysis itself, when an analyzer fails.\n",
        "IST0141" | "IST0142" | "IST0156" | "IST0169" | "IST0172" => {
            "- Nothing in an analysis of files: it needs a cluster that is about to be upgraded.\n"
        }
        "IST0143" | "IST0168" => "- Nothing: Istio keeps the code, but nothing reports it any more.\n",
        _ => "- The control plane (`lateen control`, `lateen up`), while it runs.\n",
    }
}

#[cfg(test)]
mod tests {
    use super::super::{all, entry};
    use super::*;

    #[test]
    fn every_code_has_a_page() {
        for entry in all() {
            let page = page(entry);
            assert!(page.starts_with(&format!("# {} {}", entry.code, entry.name)));
            assert!(page.contains(entry.mend) && page.contains("\n- "), "{page}");
        }
        assert!(page(entry("IST0109")).contains("virtualservice.ConflictingMeshGatewayHostsAnalyzer"));
    }
}
