//! Consistent hashing with bounded loads (`hash_balance_factor`): an endpoint that has more than its part
//! of the requests in flight, times the factor, is passed over. See
//! <https://arxiv.org/abs/1608.01350>; the next one is found at random by the hash, as in Envoy, and not
//! next on the ring, which would get all that its neighbour does not.

use super::group::Member;
use super::{Ask, EndpointSet, Settings, table};
use crate::dice::{self, SplitMix};

#[derive(Debug)]
pub(super) struct Bound {
    /// Percent, at least 100.
    factor: u64,
    /// Endpoints with their part of the whole, which is 1.
    parts: Box<[(u32, f64)]>,
}

impl Bound {
    pub fn new(factor: u32, set: &EndpointSet, settings: &Settings, groups: &[(u64, Vec<Member>)]) -> Self {
        let parts = table::parts(set, settings, groups);
        Bound { factor: factor.into(), parts: parts.iter().map(|it| (it.index, it.part)).collect() }
    }

    /// The endpoint that the hash has found, or the one that stands in for it.
    pub fn pick(&self, found: usize, hash: u64, ask: &Ask<'_>) -> usize {
        let all: u64 = self.parts.iter().map(|(index, _)| u64::from((ask.load)(*index as usize))).sum();
        let slots = ((all + 1) * self.factor).div_ceil(100) as f64;
        let overload = |(index, part): (u32, f64)| {
            f64::from((ask.load)(index as usize)) / (slots * part).ceil().max(1.0)
        };
        let Some(own) = self.parts.iter().find(|(index, _)| *index as usize == found) else { return found };
        let (mut best, mut least) = (found, overload(*own));
        if least <= 1.0 {
            return found;
        }
        // The same order for the same hash.
        let mut order: Vec<(u32, f64)> = self.parts.to_vec();
        let mut dice = SplitMix(hash);
        for at in 0..order.len() {
            let chosen = at + dice::below(&mut dice, (order.len() - at) as u64) as usize;
            order.swap(at, chosen);
            let index = order[at].0 as usize;
            if index == found || (ask.skip)(index) {
                continue;
            }
            let its = overload(order[at]);
            if its <= 1.0 {
                return index;
            }
            if its < least {
                (best, least) = (index, its);
            }
        }
        best
    }
}
