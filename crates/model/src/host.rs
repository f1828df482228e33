//! Host names as Istio's resources use them: exact (`reviews.shop.svc.cluster.local`),
//! wildcard (`*.example.com`, `*`) or, inside a namespace, short (`reviews`).

use std::fmt;

use stdx::Str;

/// A host name or wildcard, lower-cased. Two hosts are equal when they name the same thing,
/// whatever the case they were written in.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(Str);

impl Host {
    /// Lower-cases `text` and drops one trailing dot. Does not judge it: validation does.
    pub fn new(text: impl AsRef<str>) -> Self {
        let text = text.as_ref();
        let text = text.strip_suffix('.').filter(|t| !t.is_empty()).unwrap_or(text);
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            Host(Str::from(text.to_ascii_lowercase()))
        } else {
            Host(Str::from(text))
        }
    }

    /// Resolves a name written in a resource of `namespace`: a name without a dot (and not a
    /// wildcard) is short for `NAME.NAMESPACE.svc.DOMAIN`, as Istio reads it.
    pub fn resolve(text: &str, namespace: &str, domain: &str) -> Self {
        if text.contains('.') || text.starts_with('*') || text.is_empty() {
            return Host::new(text);
        }
        Host::new(format!("{text}.{namespace}.svc.{domain}"))
    }

    /// The text, lower-cased.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text as a shared string.
    pub fn to_str(&self) -> Str {
        self.0.clone()
    }

    /// Whether this is `*` or begins with `*`.
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with('*')
    }

    /// Whether every name that `other` stands for is one that `self` stands for.
    pub fn covers(&self, other: &Host) -> bool {
        match self.0.strip_prefix('*') {
            None => self == other,
            Some(suffix) => {
                let other = other.0.strip_prefix('*').unwrap_or(&other.0);
                other.len() >= suffix.len() && other.ends_with(suffix)
            }
        }
    }

    /// Whether some name is both: `*.com` and `foo.com`, or `*.com` and `*.foo.com`.
    pub fn overlaps(&self, other: &Host) -> bool {
        self.covers(other) || other.covers(self)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl From<&str> for Host {
    fn from(text: &str) -> Self {
        Host::new(text)
    }
}

impl std::borrow::Borrow<str> for Host {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_belong_to_their_namespace() {
        let resolve = |text| Host::resolve(text, "shop", "cluster.local").to_string();
        assert_eq!(resolve("reviews"), "reviews.shop.svc.cluster.local");
        assert_eq!(resolve("Reviews.other.svc.cluster.local."), "reviews.other.svc.cluster.local");
        assert_eq!(resolve("*"), "*");
        assert_eq!(resolve("*.com"), "*.com");
    }

    #[test]
    fn wildcards_cover_and_overlap() {
        let covers = |a: &str, b: &str| Host::new(a).covers(&Host::new(b));
        assert!(covers("*", "a.b"));
        assert!(covers("*.b.c", "a.b.c"));
        assert!(covers("*.c", "*.b.c"));
        assert!(!covers("*.b.c", "b.c"));
        assert!(!covers("*.b.c", "*.c"));
        assert!(Host::new("*.b.c").overlaps(&Host::new("*.c")));
        assert!(!Host::new("*.b.c").overlaps(&Host::new("x.c")));
    }
}
