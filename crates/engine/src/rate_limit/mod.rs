//! Local rate limits: buckets of tokens, and which of them a request takes from.

mod actions;
mod bucket;

use std::time::Duration;

use ir::LocalRateLimit;

use crate::Problem;

pub use actions::{Entry, Limit, Subject, compile};
pub use bucket::Bucket;

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
    descriptors: Box<[Bucket]>,
}

/// One of the buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Default,
    Descriptor(usize),
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    pub allowed: bool,
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

    /// The place of the descriptor that a request has.
    pub fn find(&self, entries: &[Entry<'_>]) -> Option<usize> {
        self.config.descriptors.iter().position(|descriptor| {
            descriptor.entries.len() == entries.len()
                && std::iter::zip(&descriptor.entries, entries)
                    .all(|((key, value), (k, v))| key.as_str() == *k && value.as_bytes() == &**v)
        })
    }

    /// Takes a token from each of the buckets that count the request, until one has none. `found` are the
    /// places of its descriptors: the slowest comes first, as in Envoy.
    pub fn take(&self, buckets: &Buckets, mut found: Vec<usize>, now: Duration) -> Taken {
        if found.len() > 1 {
            found.sort_by_key(|at| std::cmp::Reverse(buckets.descriptors.get(*at).map(Bucket::per_token)));
        }
        for at in &found {
            if buckets.descriptors.get(*at).is_some_and(|bucket| !bucket.take(now)) {
                return Taken { allowed: false, from: Some(Which::Descriptor(*at)) };
            }
        }
        let first = found.first().map(|at| Which::Descriptor(*at));
        if first.is_some() && !self.config.always_consume_default {
            return Taken { allowed: true, from: first };
        }
        match &buckets.default {
            None => Taken { allowed: true, from: first },
            Some(bucket) if bucket.take(now) => Taken { allowed: true, from: first.or(Some(Which::Default)) },
            Some(_) => Taken { allowed: false, from: Some(Which::Default) },
        }
    }
}

impl Buckets {
    /// Full ones.
    pub fn new(config: &LocalRateLimit) -> Self {
        Buckets {
            default: config.bucket.as_ref().map(Bucket::new),
            descriptors: config.descriptors.iter().map(|it| Bucket::new(&it.bucket)).collect(),
        }
    }

    pub fn get(&self, which: Which) -> Option<&Bucket> {
        match which {
            Which::Default => self.default.as_ref(),
            Which::Descriptor(at) => self.descriptors.get(at),
        }
    }
}

#[cfg(test)]
mod tests;
