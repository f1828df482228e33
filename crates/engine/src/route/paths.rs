//! Candidate routes by path. Literal paths and prefixes are found by hashing, one look-up per
//! distinct length; everything else is always a candidate. Candidates come out in the order
//! of the configuration.

use super::Map;

use ir::route::PathMatch;
use smallvec::SmallVec;
use stdx::Str;

/// Up to this many routes are simply tried one after the other.
const SMALL: usize = 8;

#[derive(Debug)]
pub(super) struct PathTable {
    literals: Box<[Literal]>,
    exact: Map<Str, Vec<u32>>,
    /// Distinct lengths of prefixes, ascending.
    lengths: Vec<usize>,
    prefixes: Map<Str, Vec<u32>>,
    /// Regular expressions and paths that ignore case.
    others: Vec<u32>,
    /// Those of CONNECT, which has no path.
    connect: Box<[usize]>,
}

/// The literal part of one route's condition on the path.
#[derive(Debug)]
enum Literal {
    Exact(Str),
    Prefix(Str),
    Separated(Str),
    Connect,
    /// Judged elsewhere.
    None,
}

impl PathTable {
    pub(super) fn compile(routes: &[ir::Route]) -> Self {
        let literals: Box<[Literal]> = routes.iter().map(|route| Literal::of(&route.matches)).collect();
        let mut table = PathTable {
            literals,
            exact: Map::default(),
            lengths: Vec::new(),
            prefixes: Map::default(),
            others: Vec::new(),
            connect: Box::default(),
        };
        let connect = |index: &usize| matches!(table.literals[*index], Literal::Connect);
        table.connect = (0..routes.len()).filter(connect).collect();
        if routes.len() <= SMALL {
            return table;
        }
        for (index, literal) in (0u32..).zip(&table.literals) {
            match literal {
                Literal::Exact(path) => table.exact.entry(path.clone()).or_default().push(index),
                Literal::Prefix(path) | Literal::Separated(path) => {
                    table.prefixes.entry(path.clone()).or_default().push(index);
                    table.lengths.push(path.len());
                }
                Literal::None => table.others.push(index),
                Literal::Connect => {}
            }
        }
        table.lengths.sort_unstable();
        table.lengths.dedup();
        table
    }

    /// The first route whose literal path matches and that `accept` takes. A request without a path is
    /// CONNECT, and only routes that say so are for it.
    pub(super) fn first(&self, path: &[u8], mut accept: impl FnMut(usize) -> bool) -> Option<usize> {
        if path.is_empty() {
            return self.connect.iter().copied().find(|index| accept(*index));
        }
        if self.literals.len() <= SMALL {
            return (0..self.literals.len()).find(|i| self.literals[*i].matches(path) && accept(*i));
        }
        let mut lists: SmallVec<[&[u32]; 8]> = SmallVec::new();
        lists.push(&self.others);
        if let Ok(text) = std::str::from_utf8(path) {
            lists.extend(self.exact.get(text).map(Vec::as_slice));
            for len in self.lengths.iter().take_while(|len| **len <= text.len()) {
                let prefix = text.get(..*len).and_then(|prefix| self.prefixes.get(prefix));
                lists.extend(prefix.map(Vec::as_slice));
            }
        }
        // Merge the ascending lists, smallest index first.
        loop {
            lists.retain(|list| !list.is_empty());
            let (at, index) =
                lists.iter().enumerate().map(|(at, list)| (at, list[0])).min_by_key(|(_, i)| *i)?;
            lists[at] = &lists[at][1..];
            let index = index as usize;
            if self.literals[index].matches(path) && accept(index) {
                return Some(index);
            }
        }
    }

    /// Whether the path is as the first route wants it: rules of filters are about requests without a
    /// path as well.
    pub(super) fn is_like(&self, path: &[u8]) -> bool {
        self.literals.first().is_some_and(|literal| literal.matches(path))
    }
}

impl Literal {
    fn of(route: &ir::route::RouteMatch) -> Self {
        match &route.path {
            PathMatch::Connect => Literal::Connect,
            _ if !route.case_sensitive => Literal::None,
            PathMatch::Exact(path) => Literal::Exact(path.clone()),
            PathMatch::Prefix(path) => Literal::Prefix(path.clone()),
            PathMatch::SeparatedPrefix(path) => Literal::Separated(path.clone()),
            PathMatch::Regex(_) => Literal::None,
        }
    }

    fn matches(&self, path: &[u8]) -> bool {
        match self {
            Literal::Exact(text) => path == text.as_bytes(),
            Literal::Prefix(text) => path.starts_with(text.as_bytes()),
            Literal::Separated(text) => starts_separated(path, text.as_bytes()),
            Literal::Connect => path.is_empty(),
            Literal::None => true,
        }
    }
}

/// `prefix` itself, or `prefix` and then a slash.
pub(super) fn starts_separated(path: &[u8], prefix: &[u8]) -> bool {
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}
