//! Which clusters have their endpoints under which name: of thousands an answer concerns one.

use std::collections::BTreeSet;

use stdx::Str;

/// Names of endpoints with the clusters that want them, mostly one for each.
#[derive(Debug, Default)]
pub struct Users {
    pairs: BTreeSet<(Str, Str)>,
    /// Names that some cluster has given up.
    left: Vec<Str>,
}

impl Users {
    /// A cluster wants these endpoints now in the place of those before.
    pub fn replace(&mut self, cluster: &Str, before: Option<Str>, after: Option<Str>) {
        if before == after {
            return;
        }
        if let Some(before) = before {
            self.pairs.remove(&(before.clone(), cluster.clone()));
            self.left.push(before);
        }
        self.pairs.extend(after.map(|after| (after, cluster.clone())));
    }

    /// The clusters that want the endpoints of this name.
    pub fn of<'a>(&'a self, endpoints: &'a Str) -> impl Iterator<Item = &'a Str> {
        let from = (endpoints.clone(), Str::default());
        let pairs = self.pairs.range(from..).take_while(move |(name, _)| name == endpoints);
        pairs.map(|(_, cluster)| cluster)
    }

    /// Names that some cluster wanted at the last call, and none does any more.
    pub fn take_unused(&mut self) -> Vec<Str> {
        let left = std::mem::take(&mut self.left);
        left.into_iter().filter(|name| self.of(name).next().is_none()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_unused_when_the_last_cluster_has_given_them_up() {
        let name = |text: &str| Str::from(text);
        let mut users = Users::default();
        users.replace(&name("a"), None, Some(name("shared")));
        users.replace(&name("b"), None, Some(name("shared")));
        users.replace(&name("c"), None, Some(name("share")));
        assert!(users.of(&name("shared")).eq(["a", "b"].iter()));
        users.replace(&name("a"), Some(name("shared")), None);
        assert!(users.take_unused().is_empty());
        users.replace(&name("b"), Some(name("shared")), Some(name("own")));
        users.replace(&name("c"), Some(name("share")), Some(name("other")));
        users.replace(&name("c"), Some(name("other")), Some(name("share")));
        assert_eq!(users.take_unused(), ["shared", "other"]);
        assert!(users.take_unused().is_empty());
        assert!(users.of(&name("share")).eq(["c"].iter()));
    }
}
