//! What a client has. Nearly all of it is what it was to have when it was brought up to date, and that set is
//! one for all clients of a kind: so for each only the differences to it are kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use stdx::{Digest, Str};

use crate::{Encoded, TypeSet};

/// What a client has under a name.
#[derive(Clone, Debug)]
pub(super) enum Known {
    /// It was told that there is no such resource.
    Absent,
    /// It has a resource from an earlier stream that we cannot look into.
    Foreign(Option<Digest>),
    Has(Arc<Encoded>),
}

impl Known {
    fn is(&self, resource: &Encoded) -> bool {
        matches!(self, Known::Has(had) if had.version == resource.version)
    }
}

/// By name.
#[derive(Debug, Default)]
pub(super) struct KnownMap {
    /// What the client has, if nothing else is said.
    base: Arc<TypeSet>,
    /// What is otherwise; `None`: it knows nothing of this name.
    over: BTreeMap<Str, Option<Known>>,
    /// Names of which it knows something.
    len: usize,
    /// Before so many differences another base is not worth a look.
    look_at: usize,
}

/// Fewer differences than this cost less than a look.
const FEW: usize = if cfg!(test) { 1 } else { 64 };

impl KnownMap {
    pub fn get(&self, name: &str) -> Option<Known> {
        match self.over.get(name) {
            Some(known) => known.clone(),
            None => self.base.get(name).map(|had| Known::Has(had.clone())),
        }
    }

    pub fn contains_key(&self, name: &str) -> bool {
        self.over.get(name).map_or_else(|| self.base.contains_key(name), Option::is_some)
    }

    pub fn insert(&mut self, name: Str, known: Known) {
        self.len += usize::from(!self.contains_key(&name));
        match self.base.get(&name).is_some_and(|had| known.is(had)) {
            true => self.over.remove(&name),
            false => self.over.insert(name, Some(known)),
        };
    }

    pub fn remove(&mut self, name: &Str) {
        self.len -= usize::from(self.contains_key(name));
        match self.base.contains_key(name) {
            true => self.over.insert(name.clone(), None),
            false => self.over.remove(name),
        };
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Str, Known)> {
        let base = self.base.iter().filter(|(name, _)| !self.over.contains_key(*name));
        let base = base.map(|(name, had)| (name, Known::Has(had.clone())));
        base.chain(self.over.iter().filter_map(|(name, known)| Some((name, known.clone()?))))
    }

    /// What is not as in the set that it has most of.
    pub fn unusual(&mut self) -> impl Iterator<Item = (&Str, &mut Known)> {
        self.over.iter_mut().filter_map(|(name, known)| Some((name, known.as_mut()?)))
    }

    pub fn retain(&mut self, keep: impl Fn(&Str) -> bool) {
        let gone: Vec<Str> =
            self.iter().filter(|(name, _)| !keep(name)).map(|(name, _)| name.clone()).collect();
        gone.iter().for_each(|name| self.remove(name));
    }

    /// The client is up to date with `target`. From now on differences to that are kept, if they are fewer.
    pub fn is_up_to_date_with(&mut self, target: &Arc<TypeSet>) {
        if self.over.len() < self.look_at.max(FEW) || Arc::ptr_eq(&self.base, target) {
            return;
        }
        let mut over = BTreeMap::new();
        for (name, known) in self.iter() {
            if !target.get(name).is_some_and(|found| known.is(found)) {
                over.insert(name.clone(), Some(known));
            }
        }
        for (name, _) in target.iter().filter(|(name, _)| !self.contains_key(name)) {
            over.insert(name.clone(), None);
        }
        if over.len() < self.over.len() {
            (self.base, self.over) = (target.clone(), over);
        }
        self.look_at = 2 * self.over.len() + self.len / 8;
    }
}

#[cfg(test)]
mod tests {
    use ir::ResourceType;

    use super::*;

    fn resource(name: &str, version: u128) -> Arc<Encoded> {
        Arc::new(Encoded {
            ty: ResourceType::Cluster,
            name: name.into(),
            version: Digest(version),
            body: Vec::new().into(),
            references: Default::default(),
            step: None,
            origin: None,
        })
    }

    /// Whatever the base, it is a map like any other.
    #[test]
    fn it_answers_as_a_plain_map() {
        let (mut map, mut plain) = (KnownMap::default(), BTreeMap::<Str, Option<u128>>::new());
        let mut target = TypeSet::default();
        let mut dice = 7u64;
        for round in 0..4000u128 {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let name = Str::from(((dice >> 33) % 12).to_string());
            match (dice >> 60) % 8 {
                0 => {
                    map.insert(name.clone(), Known::Absent);
                    plain.insert(name, None);
                }
                1 => {
                    map.remove(&name);
                    plain.remove(&name);
                }
                2 => {
                    target.remove(&name);
                }
                3 => map.is_up_to_date_with(&Arc::new(target.clone())),
                4 => {
                    map.retain(|other| *other != name);
                    plain.retain(|other, _| *other != name);
                }
                _ => {
                    let resource = resource(&name, round / 5);
                    target.insert(name.clone(), resource.clone());
                    map.insert(name.clone(), Known::Has(resource));
                    plain.insert(name, Some(round / 5));
                }
            }
            let version = |known: Known| match known {
                Known::Has(had) => Some(had.version.0),
                Known::Absent | Known::Foreign(_) => None,
            };
            let all: BTreeMap<Str, Option<u128>> =
                map.iter().map(|(name, known)| (name.clone(), version(known))).collect();
            assert_eq!((&all, map.len()), (&plain, plain.len()), "round {round}");
            for name in (0..12).map(|name| Str::from(name.to_string())) {
                assert_eq!(map.get(&name).map(version), plain.get(&name).copied());
                assert_eq!(map.contains_key(&name), plain.contains_key(&name));
            }
        }
    }

    #[test]
    fn many_that_are_as_they_should_be_are_kept_once() {
        let target: TypeSet =
            (0..1000).map(|n| (Str::from(n.to_string()), resource(&n.to_string(), n))).collect();
        let target = Arc::new(target);
        let mut map = KnownMap::default();
        target.iter().for_each(|(name, found)| map.insert(name.clone(), Known::Has(found.clone())));
        assert_eq!(map.over.len(), 1000);
        map.is_up_to_date_with(&target);
        assert_eq!((map.over.len(), map.len()), (0, 1000));
    }
}
