//! Regular expressions in RE2's syntax: <https://github.com/google/re2/wiki/Syntax>.

use regex_syntax::ast::{self, Ast, Visitor, visit};

use super::names::Verdict;

/// Longer ones may compile to more than Envoy accepts.
const MAX_LENGTH: usize = 1024;

/// Whether a regular expression is there, short enough, and one that RE2 reads.
pub(super) fn check(pattern: &str) -> Verdict {
    match pattern.len() {
        0 => Err("a regular expression must not be empty".into()),
        1..=MAX_LENGTH => compiles(pattern),
        _ => Err(format!("a regular expression may have at most {MAX_LENGTH} characters")),
    }
}

/// Whether RE2 reads it, whatever its length.
pub(super) fn compiles(pattern: &str) -> Verdict {
    let failed = |why: String| format!("{pattern:?} is no regular expression of RE2: {why}");
    let parsed = ast::parse::ParserBuilder::new().nest_limit(200).build().parse(pattern);
    let ast = parsed.map_err(|error| failed(error.kind().to_string()))?;
    visit(&ast, Repetitions).map_err(|why| failed(why.into()))
}

/// RE2 refuses a repetition of a repetition (`a++`) and counts above 1000.
struct Repetitions;

impl Visitor for Repetitions {
    type Output = ();
    type Err = &'static str;

    fn finish(self) -> Result<(), Self::Err> {
        Ok(())
    }

    fn visit_pre(&mut self, ast: &Ast) -> Result<(), Self::Err> {
        let Ast::Repetition(repetition) = ast else { return Ok(()) };
        if matches!(*repetition.ast, Ast::Repetition(_)) {
            return Err("a repetition of a repetition");
        }
        let count = match &repetition.op.kind {
            ast::RepetitionKind::Range(ast::RepetitionRange::Exactly(count)) => *count,
            ast::RepetitionKind::Range(ast::RepetitionRange::AtLeast(count)) => *count,
            ast::RepetitionKind::Range(ast::RepetitionRange::Bounded(_, count)) => *count,
            _ => 0,
        };
        if count > 1000 { Err("a repetition of more than 1000 times") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn reads_what_re2_reads() {
        for (pattern, good) in [
            (".*", true),
            ("^/v[0-9]+/(a|b)?$", true),
            ("(?i)abc", true),
            ("a++", false),
            ("*", false),
            ("(", false),
            ("a{1001}", false),
            ("(?=a)", false),
            (r"\1", false),
            ("", false),
        ] {
            assert_eq!(check(pattern).is_ok(), good, "{pattern}");
        }
        assert!(check(&"a".repeat(1025)).is_err());
    }
}
