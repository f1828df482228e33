//! Regular expressions with RE2's meaning: the whole text must match, classes such as `\d` are
//! ASCII, and what RE2 does not know is refused rather than read differently.
//! See <https://github.com/google/re2/wiki/Syntax>.

use regex_automata::meta;
use regex_syntax::ast::{self, Ast, ClassSetItem};

/// A compiled expression.
#[derive(Clone, Debug)]
pub struct Regex(meta::Regex);

/// Largest compiled program, in bytes. Larger expressions are refused.
const PROGRAM_LIMIT: usize = 1 << 20;
/// Largest lazy-DFA cache of one expression, in bytes.
const CACHE_LIMIT: usize = 256 << 10;

impl Regex {
    /// Compiles `pattern`.
    ///
    /// # Errors
    /// A sentence: the syntax is wrong, is not RE2's, or the program would be too large.
    pub fn new(pattern: &str) -> Result<Self, String> {
        Self::compile(pattern, |translated| format!(r"\A(?:{translated})\z"))
    }

    /// Compiles `pattern` for [`Regex::each_match`]: it may match anywhere.
    ///
    /// # Errors
    /// As [`Regex::new`].
    pub fn search(pattern: &str) -> Result<Self, String> {
        Self::compile(pattern, str::to_owned)
    }

    fn compile(pattern: &str, whole: impl FnOnce(&str) -> String) -> Result<Self, String> {
        let tree = ast::parse::ParserBuilder::new()
            .nest_limit(100)
            .build()
            .parse(pattern)
            .map_err(|error| format!("{pattern:?} is not a regular expression: {}", error.kind()))?;
        let translated = Translation::of(pattern, &tree)?;
        let config = meta::Config::new()
            .nfa_size_limit(Some(PROGRAM_LIMIT))
            .hybrid_cache_capacity(CACHE_LIMIT)
            .utf8_empty(false);
        let syntax = regex_automata::util::syntax::Config::new().utf8(false).nest_limit(100);
        meta::Builder::new()
            .configure(config)
            .syntax(syntax)
            .build(&whole(&translated))
            .map(Regex)
            .map_err(|error| format!("{pattern:?} cannot be compiled: {error}"))
    }

    /// How many groups it captures, without the whole.
    pub fn groups(&self) -> usize {
        self.0.captures_len() - 1
    }

    /// Every match in `text`, from left to right; none overlaps another.
    pub fn each_match(&self, text: &[u8], mut see: impl FnMut(&Match<'_>)) {
        for captures in self.0.captures_iter(text) {
            see(&Match(&captures));
        }
    }

    /// Whether the whole of `text` matches.
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.0.is_match(text)
    }
}

/// Where an expression matched.
pub struct Match<'a>(&'a regex_automata::util::captures::Captures);

impl Match<'_> {
    pub fn whole(&self) -> std::ops::Range<usize> {
        self.0.get_match().map_or(0..0, |found| found.range())
    }

    /// A group; 0 is the whole. `None`: it took no part.
    pub fn group(&self, index: usize) -> Option<std::ops::Range<usize>> {
        self.0.get_group(index).map(|span| span.start..span.end)
    }
}

/// Rewrites the places where this library's syntax means something else than RE2's.
struct Translation<'a> {
    pattern: &'a str,
    /// Byte ranges to replace, in order.
    edits: Vec<(usize, usize, String)>,
    problem: Option<String>,
}

impl Translation<'_> {
    fn of(pattern: &str, tree: &Ast) -> Result<String, String> {
        let mut this = Translation { pattern, edits: Vec::new(), problem: None };
        this.walk(tree);
        if let Some(problem) = this.problem {
            return Err(format!("{pattern:?} is not RE2 syntax: {problem}"));
        }
        this.edits.sort();
        let mut out = String::with_capacity(pattern.len() + 16);
        let mut at = 0;
        for (start, end, text) in &this.edits {
            out.push_str(&this.pattern[at..*start]);
            out.push_str(text);
            at = *end;
        }
        out.push_str(&pattern[at..]);
        Ok(out)
    }

    fn walk(&mut self, tree: &Ast) {
        match tree {
            Ast::Empty(_) | Ast::Literal(_) | Ast::Dot(_) | Ast::ClassUnicode(_) => {}
            Ast::Flags(set) => self.flags(&set.flags),
            Ast::Assertion(assertion) => self.assertion(assertion),
            Ast::ClassPerl(class) => self.perl(class, false),
            Ast::ClassBracketed(class) => self.set(&class.kind),
            Ast::Repetition(repetition) => self.walk(&repetition.ast),
            Ast::Group(group) => {
                if let ast::GroupKind::NonCapturing(flags) = &group.kind {
                    self.flags(flags);
                }
                self.walk(&group.ast);
            }
            Ast::Alternation(alternation) => alternation.asts.iter().for_each(|a| self.walk(a)),
            Ast::Concat(concat) => concat.asts.iter().for_each(|a| self.walk(a)),
        }
    }

    fn refuse(&mut self, what: &str) {
        self.problem.get_or_insert_with(|| what.to_owned());
    }

    fn flags(&mut self, flags: &ast::Flags) {
        for item in &flags.items {
            if let ast::FlagsItemKind::Flag(flag) = &item.kind {
                match flag {
                    ast::Flag::CaseInsensitive
                    | ast::Flag::MultiLine
                    | ast::Flag::DotMatchesNewLine
                    | ast::Flag::SwapGreed => {}
                    _ => self.refuse("only the flags i, m, s and U exist"),
                }
            }
        }
    }

    fn assertion(&mut self, assertion: &ast::Assertion) {
        use ast::AssertionKind as Kind;
        let text = match assertion.kind {
            Kind::StartLine | Kind::EndLine | Kind::StartText | Kind::EndText => return,
            Kind::WordBoundary => r"(?-u:\b)",
            Kind::NotWordBoundary => r"(?-u:\B)",
            _ => return self.refuse("word boundaries other than \\b and \\B do not exist"),
        };
        self.edits.push((assertion.span.start.offset, assertion.span.end.offset, text.into()));
    }

    fn perl(&mut self, class: &ast::ClassPerl, inside_brackets: bool) {
        let members = match class.kind {
            ast::ClassPerlKind::Digit => "0-9",
            ast::ClassPerlKind::Word => "0-9A-Za-z_",
            ast::ClassPerlKind::Space => r"\t\n\f\r ",
        };
        let text = match (class.negated, inside_brackets) {
            (false, true) => members.to_owned(),
            (false, false) => format!("[{members}]"),
            (true, _) => format!("[^{members}]"),
        };
        self.edits.push((class.span.start.offset, class.span.end.offset, text));
    }

    fn set(&mut self, set: &ast::ClassSet) {
        match set {
            ast::ClassSet::BinaryOp(_) => self.refuse("classes have no &&, -- or ~~"),
            ast::ClassSet::Item(item) => self.item(item),
        }
    }

    fn item(&mut self, item: &ClassSetItem) {
        match item {
            ClassSetItem::Perl(class) => self.perl(class, true),
            ClassSetItem::Bracketed(_) => self.refuse("classes do not nest; write \\[ for a bracket"),
            ClassSetItem::Union(union) => union.items.iter().for_each(|i| self.item(i)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, text: &str, expected: bool) {
        assert_eq!(Regex::new(pattern).unwrap().is_match(text.as_bytes()), expected, "{pattern} {text}");
    }

    #[test]
    fn matches_the_whole_text() {
        check("a|ab", "ab", true);
        check("a", "ab", false);
        check("/v[12]/.*", "/v1/x", true);
        check("/v[12]/.*", "x/v1/x", false);
        check("", "", true);
    }

    #[test]
    fn classes_are_ascii() {
        check(r"\d+", "42", true);
        check(r"\d+", "٤٢", false);
        check(r"[\w-]+", "a-b_c", true);
        check(r"[\w-]+", "ä", false);
        check(r"[^\s]+", "a b", false);
        check(r"\D+", "ab", true);
        check(r"\bfoo\b", "foo", true);
        check(r"(?i)FOO", "foo", true);
    }

    #[test]
    fn refuses_what_re2_does_not_know() {
        for pattern in ["(", "(?x)a b", "[a&&b]", r"(?=a)", r"\1", "[[a]b]", r"\b{start}", "a{1000000}"] {
            assert!(Regex::new(pattern).is_err(), "{pattern}");
        }
    }
}
