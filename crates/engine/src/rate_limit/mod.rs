//! Local rate limits: buckets of tokens, and which of them a request takes from.

mod actions;
mod bucket;
mod dynamic;

use std::hash::BuildHasher;
use std::time::Duration;

use ir::LocalRateLimit;
use ir::rate_limit::RateLimitDescriptor;
use stdx::Str;

use crate::Problem;

pub use actions::{Entry, Limit, Subject, compile};
pub use bucket::Bucket;
use dynamic::Dynamic;

/// A rate limit with the tokens that are left.
#[derive(Debug)]
pub struct RateLimit {
    pub config: LocalRateLimit,
    pub buckets: Buckets,
    /// In place of the routes' actions.
    pub limits: Box<[Limit]>,
}

/// The buckets of a rate limit.
#[derive(Debug)]
pub struct Buckets {
    default: Option<Bucket>,
    /// As the descriptors of the configuration.
    descriptors: Box<[OfDescriptor]>,
}

#[derive(Debug)]
enum OfDescriptor {
    One(Bucket),
    /// Some value of the descriptor is any.
    Each(Dynamic),
}

/// One of the buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Default,
    Descriptor(usize),
    /// Of the descriptor's values the one in this slot.
    Each(usize, usize),
}

/// A bucket that counts a request, and how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub which: Which,
    pub hits: u64,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    pub allowed: bool,
    /// It is not, but nobody is to be refused for that.
    pub shadow: bool,
    /// The bucket that the client is told of.
    pub from: Option<Which>,
}

impl RateLimit {
    /// Compiles a configuration, with full buckets.
    ///
    /// # Errors
    /// A matcher that cannot be compiled, by field.
    pub fn compile(config: &LocalRateLimit) -> Result<Self, Problem> {
        let limits = compile(&config.rate_limits)?;
        Ok(RateLimit { buckets: Buckets::new(config), limits, config: config.clone() })
    }

    /// Whether anything is limited.
    pub fn limits(&self) -> bool {
        self.config.bucket.is_some() || !self.config.descriptors.is_empty()
    }

    /// The bucket of a request's descriptor: of the one that names its values, else of the first that
    /// takes any. `hasher` tells those values apart, so that clients must not know it.
    pub fn find(
        &self,
        buckets: &Buckets,
        entries: &[Entry<'_>],
        hasher: &impl BuildHasher,
        now: Duration,
    ) -> Option<Which> {
        let all = || self.config.descriptors.iter();
        if let Some(at) = all().position(|it| !it.is_wildcard() && fits(it, entries)) {
            return Some(Which::Descriptor(at));
        }
        let at = all().position(|it| it.is_wildcard() && fits(it, entries))?;
        match buckets.descriptors.get(at)? {
            OfDescriptor::One(_) => Some(Which::Descriptor(at)),
            OfDescriptor::Each(each) => Some(Which::Each(at, each.slot(hasher.hash_one(entries), now))),
        }
    }

    /// Takes tokens from each of the buckets that count the request, until one has too few. The slowest of
    /// those found comes first, as in Envoy.
    pub fn take(&self, buckets: &Buckets, mut found: Vec<Found>, now: Duration) -> Taken {
        if found.len() > 1 {
            found.sort_by_key(|it| std::cmp::Reverse(buckets.get(it.which).map(Bucket::per_token)));
        }
        let mut shadow = false;
        for it in &found {
            let refuses = buckets.get(it.which).is_some_and(|bucket| !bucket.take(now, it.hits));
            if refuses && !self.is_shadow(it.which) {
                return Taken { allowed: false, shadow: false, from: Some(it.which) };
            }
            shadow |= refuses;
        }
        let first = found.first().map(|it| it.which);
        let unless_shadow = |from| Taken { allowed: !shadow, shadow, from };
        if first.is_some() && !self.config.always_consume_default {
            return unless_shadow(first);
        }
        match &buckets.default {
            None => unless_shadow(first),
            Some(bucket) if bucket.take(now, 1) => unless_shadow(first.or(Some(Which::Default))),
            Some(_) => Taken { allowed: false, shadow: false, from: Some(Which::Default) },
        }
    }

    fn is_shadow(&self, which: Which) -> bool {
        match which {
            Which::Default => false,
            Which::Descriptor(at) | Which::Each(at, _) => {
                self.config.descriptors.get(at).is_some_and(|descriptor| descriptor.shadow)
            }
        }
    }
}

fn fits(descriptor: &RateLimitDescriptor, entries: &[Entry<'_>]) -> bool {
    let fits = |((key, value), (k, v)): (&(Str, Str), &Entry<'_>)| {
        key.as_str() == *k && (value.is_empty() || value.as_bytes() == &**v)
    };
    descriptor.entries.len() == entries.len() && std::iter::zip(&descriptor.entries, entries).all(fits)
}

impl Buckets {
    /// Full ones.
    pub fn new(config: &LocalRateLimit) -> Self {
        let of = |it: &RateLimitDescriptor| match it.is_wildcard() {
            true => OfDescriptor::Each(Dynamic::new(&it.bucket, config.max_dynamic_descriptors)),
            false => OfDescriptor::One(Bucket::new(&it.bucket)),
        };
        Buckets {
            default: config.bucket.as_ref().map(Bucket::new),
            descriptors: config.descriptors.iter().map(of).collect(),
        }
    }

    pub fn get(&self, which: Which) -> Option<&Bucket> {
        match which {
            Which::Default => self.default.as_ref(),
            Which::Descriptor(at) => match self.descriptors.get(at)? {
                OfDescriptor::One(bucket) => Some(bucket),
                OfDescriptor::Each(_) => None,
            },
            Which::Each(at, slot) => match self.descriptors.get(at)? {
                OfDescriptor::One(_) => None,
                OfDescriptor::Each(each) => each.bucket(slot),
            },
        }
    }
}

#[cfg(test)]
mod tests;
