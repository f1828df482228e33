//! Randomness, handed in by the caller.

/// A source of uniformly distributed numbers. Tests bring a seeded one, the proxy a fast one.
pub trait Dice {
    /// Any `u64`, all equally likely.
    fn roll(&mut self) -> u64;
}

/// A number below `n`; 0 if `n` is 0. The bias of the multiplication is below `n / 2^64`.
pub fn below(dice: &mut dyn Dice, n: u64) -> u64 {
    ((u128::from(dice.roll()) * u128::from(n)) >> 64) as u64
}

/// Whether a share of events includes this one.
pub fn happens(dice: &mut dyn Dice, share: ir::Fraction) -> bool {
    match share.parts_per_million {
        0 => false,
        ppm if ppm >= 1_000_000 => true,
        ppm => below(dice, 1_000_000) < u64::from(ppm),
    }
}

/// The index of one of `weights`, chosen by weight. `None` if they sum to 0.
pub fn weighted(dice: &mut dyn Dice, weights: impl Iterator<Item = u32> + Clone) -> Option<usize> {
    let total: u64 = weights.clone().map(u64::from).sum();
    if total == 0 {
        return None;
    }
    let mut at = below(dice, total);
    for (index, weight) in weights.enumerate() {
        match at.checked_sub(u64::from(weight)) {
            Some(rest) => at = rest,
            None => return Some(index),
        }
    }
    None
}

/// SplitMix64: small, fast and good enough for load balancing. Not for secrets.
/// See <https://prng.di.unimi.it/splitmix64.c>.
#[derive(Clone, Debug, Default)]
pub struct SplitMix(pub u64);

impl Dice for SplitMix {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_kept() {
        let mut dice = SplitMix(1);
        let mut hits = [0u32; 3];
        for _ in 0..100_000 {
            hits[weighted(&mut dice, [90, 0, 10].into_iter()).unwrap()] += 1;
        }
        assert_eq!(hits[1], 0);
        assert!((89_000..91_000).contains(&hits[0]), "{hits:?}");
        assert_eq!(weighted(&mut dice, [0, 0].into_iter()), None);
    }
}
