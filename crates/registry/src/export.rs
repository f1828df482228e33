//! Who may see an object: `exportTo`.

use std::collections::BTreeSet;

use istio_api::mesh::namespaces::Visibility;
use model::Str;

/// The namespaces that see something.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Export {
    #[default]
    All,
    /// Only these; the empty set is `~`: none.
    Namespaces(BTreeSet<Str>),
}

impl Export {
    /// From `exportTo` as written on an object of `namespace`; `default` stands in for an empty list.
    pub fn new(written: &[Str], default: &[Str], namespace: &str) -> Self {
        let list = if written.is_empty() { default } else { written };
        if list.is_empty() || list.iter().any(|v| *v == "*") {
            return Export::All;
        }
        let name = |value: &Str| match &**value {
            "." => Some(Str::from(namespace)),
            "~" => None,
            _ => Some(value.clone()),
        };
        Export::Namespaces(list.iter().filter_map(name).collect())
    }

    /// At most as far as `visibility`, on an object of `namespace`.
    pub fn capped(self, visibility: Visibility, namespace: &str) -> Self {
        let none = || Export::Namespaces(BTreeSet::new());
        match visibility {
            Visibility::Unspecified | Visibility::Public => self,
            Visibility::Namespace if self.sees(namespace) => Export::Namespaces([namespace.into()].into()),
            Visibility::Namespace | Visibility::None => none(),
        }
    }

    /// Whether proxies of a namespace see it.
    pub fn sees(&self, namespace: &str) -> bool {
        match self {
            Export::All => true,
            Export::Namespaces(names) => names.contains(namespace),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_dots_stars_and_tildes() {
        let sees = |written: &[&str], ns: &str| {
            let written: Vec<Str> = written.iter().map(|v| Str::from(*v)).collect();
            Export::new(&written, &["*".into()], "shop").sees(ns)
        };
        assert!(sees(&[], "other") && sees(&["*"], "other"));
        assert!(sees(&["."], "shop") && !sees(&["."], "other"));
        assert!(sees(&["other"], "other") && !sees(&["other"], "shop"));
        assert!(!sees(&["~"], "shop"));
    }
}
