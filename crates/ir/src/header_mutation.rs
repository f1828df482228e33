//! The filter that edits headers.

use stdx::Str;

use crate::header::HeaderValue;

/// `envoy.extensions.filters.http.header_mutation.v3.HeaderMutation`, of the filter or a route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct HeaderMutation {
    /// In their order.
    pub request: Vec<Mutation>,
    pub response: Vec<Mutation>,
    /// Of the filter alone: mutations of a route come after those of its virtual host, not before.
    pub most_specific_wins: bool,
}

/// `envoy.config.common.mutation_rules.v3.HeaderMutation`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mutation {
    /// Lower case.
    Remove(Str),
    Set(HeaderValue),
}
