//! Reading a text once more: only the documents that differ are parsed.

use std::collections::HashMap;
use std::sync::Arc;

use model::{Finding, Str};
use stdx::Digest;

use crate::document::Document;
use crate::parse::{Parsed, Purpose, drop_duplicates, one_kind_of_line, read_chunk};
use crate::yaml;

/// The documents of a text as they were read last, by what they say and how many lines come before.
#[derive(Debug, Default)]
pub struct Pieces(HashMap<(Digest, u32), Arc<Piece>>);

/// What one document of the stream says. A `kind: List` is more than one.
#[derive(Debug)]
struct Piece {
    documents: Vec<Arc<Document>>,
    findings: Vec<Finding>,
    incomplete: bool,
}

/// As [`Parsed`], of shared documents: one that is as before is the same as before.
#[derive(Clone, Debug, Default)]
pub struct ParsedAgain {
    pub documents: Vec<Arc<Document>>,
    pub findings: Vec<Finding>,
    pub incomplete: bool,
}

/// As [`parse_stream`](crate::parse_stream), after `before`, which is brought up to date. A document
/// is parsed if its text or its line is new.
pub fn parse_again(file: &str, text: &str, before: &mut Pieces) -> ParsedAgain {
    let name = Str::from(file);
    let text = one_kind_of_line(text);
    let mut known = std::mem::take(&mut before.0);
    let mut parsed = ParsedAgain::default();
    for chunk in yaml::split(&text) {
        let key = (stdx::digest(chunk.text), chunk.lines_before);
        let piece = known.remove(&key).unwrap_or_else(|| {
            let mut parsed = Parsed::default();
            read_chunk(&name, chunk, Purpose::Run, &mut parsed, |_| {});
            let Parsed { documents, findings, incomplete } = parsed;
            let documents = documents.into_iter().map(Arc::new).collect();
            Arc::new(Piece { documents, findings, incomplete })
        });
        parsed.documents.extend(piece.documents.iter().cloned());
        parsed.findings.extend(piece.findings.iter().cloned());
        parsed.incomplete |= piece.incomplete;
        before.0.insert(key, piece);
    }
    // Of one document the text as a whole tells as much: many small files need not keep it twice.
    if before.0.len() <= 1 {
        *before = Pieces::default();
    }
    drop_duplicates(&mut parsed.documents, &mut parsed.findings);
    parsed.findings.sort();
    parsed.findings.dedup();
    parsed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_stream;

    fn service(name: &str, port: &str) -> String {
        format!(
            "---\napiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{port: {port}}}]}}\n"
        )
    }

    #[test]
    fn only_what_differs_is_parsed_and_the_whole_is_as_if_read_at_once() {
        let mut pieces = Pieces::default();
        let mut before: Vec<Arc<Document>> = Vec::new();
        let (a, b, c) = (service("a", "80"), service("b", "80"), service("c", "80"));
        let other = service("b", "81");
        let broken = service("b", "http");
        let steps: [(String, usize); 7] = [
            (format!("{a}{b}{c}"), 0),
            (format!("{a}{other}{c}"), 2),
            (format!("{a}{other}{c}{a}"), 3),
            (format!("{a}{broken}{c}"), 2),
            (format!("{a}---\nkind: [\n{c}"), 1),
            // What moved is read anew: its places are new.
            (format!("{a}{c}"), 1),
            (format!("\u{feff}{a}\r{c}"), 0),
        ];
        for (text, same) in steps {
            let again = parse_again("f.yaml", &text, &mut pieces);
            let once = parse_stream("f.yaml", &text);
            assert_eq!((&again.findings, again.incomplete), (&once.findings, once.incomplete), "{text}");
            assert_eq!(again.documents.len(), once.documents.len(), "{text}");
            for (again, once) in again.documents.iter().zip(&once.documents) {
                assert!(again.same_content(once) && again.place == once.place, "{text}");
            }
            let kept = |document: &&Arc<Document>| before.iter().any(|old| Arc::ptr_eq(old, document));
            assert_eq!(again.documents.iter().filter(kept).count(), same, "{text}");
            before = again.documents;
        }
    }
}
