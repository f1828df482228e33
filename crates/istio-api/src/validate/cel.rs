//! Whether a text is an expression of CEL: its syntax only, not what its names stand for. See
//! <https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax>.

use super::names::Verdict;

/// Expressions may be nested this deep.
const MAX_DEPTH: usize = 100;

pub(super) fn check(text: &str) -> Verdict {
    let mut parser = Parser { rest: text, depth: 0 };
    let complete = parser.expression().is_some() && parser.peek().is_none();
    if complete {
        return Ok(());
    }
    let read = text.len() - parser.rest.len();
    let column = text.get(..read).map_or(read, |t| t.chars().count()) + 1;
    Err(format!("{text:?} is no expression of CEL: wrong at character {column}"))
}

/// What is not read yet. Each function consumes one thing, or gives `None` where the text is wrong.
struct Parser<'t> {
    rest: &'t str,
    depth: usize,
}

/// Binary operators, longer ones first. Which binds tighter does not matter here.
const OPERATORS: [&str; 13] = ["||", "&&", "<=", ">=", "==", "!=", "<", ">", "+", "-", "*", "/", "%"];

const RESERVED: [&str; 17] = [
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
];

impl<'t> Parser<'t> {
    fn expression(&mut self) -> Option<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        self.unary()?;
        while self.operator() {
            self.unary()?;
        }
        if self.take("?") {
            self.expression()?;
            self.expect(":")?;
            self.expression()?;
        }
        self.depth -= 1;
        Some(())
    }

    fn operator(&mut self) -> bool {
        self.take_word("in") || OPERATORS.iter().any(|operator| self.take(operator))
    }

    fn unary(&mut self) -> Option<()> {
        while self.take("!") || self.take("-") {}
        self.primary()?;
        loop {
            if self.take(".") {
                self.identifier()?;
                if self.take("(") {
                    self.list(")", Self::expression)?;
                }
            } else if self.take("[") {
                self.expression()?;
                self.expect("]")?;
            } else if self.take("{") {
                self.list("}", Self::field)?;
            } else {
                return Some(());
            }
        }
    }

    fn primary(&mut self) -> Option<()> {
        if self.take("(") {
            self.expression()?;
            return self.expect(")");
        }
        if self.take("[") {
            return self.list("]", Self::expression);
        }
        if self.take("{") {
            return self.list("}", Self::entry);
        }
        if self.string()? || self.number() {
            return Some(());
        }
        self.take(".");
        let name = self.identifier()?;
        if RESERVED.contains(&name) || name == "while" {
            return None;
        }
        if self.take("(") { self.list(")", Self::expression) } else { Some(()) }
    }

    /// Items separated by commas, with one more comma allowed at the end.
    fn list(&mut self, close: &str, item: fn(&mut Self) -> Option<()>) -> Option<()> {
        loop {
            if self.take(close) {
                return Some(());
            }
            item(self)?;
            if !self.take(",") {
                return self.expect(close);
            }
        }
    }

    /// `KEY: VALUE` of a map.
    fn entry(&mut self) -> Option<()> {
        self.expression()?;
        self.expect(":")?;
        self.expression()
    }

    /// `NAME: VALUE` of a message.
    fn field(&mut self) -> Option<()> {
        self.identifier()?;
        self.expect(":")?;
        self.expression()
    }

    fn identifier(&mut self) -> Option<&'t str> {
        self.peek().filter(|c| c.is_ascii_alphabetic() || *c == '_')?;
        let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(name)
    }

    fn number(&mut self) -> bool {
        let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let Some(first) = self.peek() else { return false };
        if let Some(hex) = self.rest.strip_prefix("0x") {
            let end = hex.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(hex.len());
            self.rest = &hex[end..];
            self.suffix();
            return end > 0;
        }
        let fraction = self.rest.strip_prefix('.').is_some_and(|rest| digits(rest) > 0);
        if !first.is_ascii_digit() && !fraction {
            return false;
        }
        self.rest = &self.rest[digits(self.rest)..];
        if let Some(rest) = self.rest.strip_prefix('.').filter(|rest| digits(rest) > 0) {
            self.rest = &rest[digits(rest)..];
        }
        if let Some(rest) = self.rest.strip_prefix(['e', 'E']) {
            let unsigned = rest.strip_prefix(['+', '-']).unwrap_or(rest);
            if digits(unsigned) > 0 {
                self.rest = &unsigned[digits(unsigned)..];
            }
        }
        self.suffix();
        true
    }

    /// The mark of an unsigned number.
    fn suffix(&mut self) {
        self.rest = self.rest.strip_prefix(['u', 'U']).unwrap_or(self.rest);
    }

    /// A string or bytes. `Some(false)`: there is none; `None`: one begins and does not end.
    fn string(&mut self) -> Option<bool> {
        self.peek();
        let prefix = self.rest.find(['"', '\'']).filter(|end| {
            *end <= 2 && self.rest[..*end].bytes().all(|b| matches!(b, b'r' | b'R' | b'b' | b'B'))
        });
        let Some(prefix) = prefix else { return Some(false) };
        let raw = self.rest[..prefix].contains(['r', 'R']);
        let body = &self.rest[prefix..];
        let quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| body.starts_with(quote))?;
        let mut rest = &body[quote.len()..];
        loop {
            if let Some(after) = rest.strip_prefix(quote) {
                self.rest = after;
                return Some(true);
            }
            let mut chars = rest.chars();
            match chars.next()? {
                '\\' if !raw => drop(chars.next()?),
                '\n' | '\r' if quote.len() == 1 => return None,
                _ => {}
            }
            rest = chars.as_str();
        }
    }

    fn expect(&mut self, token: &str) -> Option<()> {
        self.take(token).then_some(())
    }

    fn take(&mut self, token: &str) -> bool {
        self.peek();
        self.rest.strip_prefix(token).map(|rest| self.rest = rest).is_some()
    }

    /// A word, not the beginning of a longer one.
    fn take_word(&mut self, word: &str) -> bool {
        let before = self.rest;
        let found =
            self.take(word) && !self.rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        if !found {
            self.rest = before;
        }
        found
    }

    /// The next character, behind white space and comments.
    fn peek(&mut self) -> Option<char> {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r', '\u{c}']);
            match self.rest.strip_prefix("//") {
                Some(comment) => self.rest = comment.find('\n').map_or("", |end| &comment[end..]),
                None => return self.rest.chars().next(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn reads_expressions_and_nothing_else() {
        for good in [
            "response.code >= 400",
            "connection.mtls && request.url_path.contains('v1beta3')",
            "!has(request.headers['x-a']) || (a ? b : c)",
            "[1, 2u, 0x1F, 1.5e3,].exists(x, x in {'a': 1})",
            r#"google.protobuf.Duration{seconds: -1} == r"\d" // end"#,
            "'''a\n'b''' + b\"\\\"\"",
            "index - inner",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [")++++", "", "a &&", "a b", "(a", "'a", "[1", "if", "a.1", "a ? b", &"(".repeat(10_000)] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
