//! The filter that edits headers.

use ir::HeaderMutation;
use ir::header_mutation::Mutation;

use super::headers;
use crate::pb::header_mutation::{self as pb, Mutations};
use crate::pb::mutation_rules::{self, header_mutation::Action};

pub(super) fn filter(it: &HeaderMutation) -> pb::HeaderMutation {
    pb::HeaderMutation {
        mutations: Some(both(it)),
        most_specific_header_mutations_wins: it.most_specific_wins,
    }
}

/// Who wins is for the filter to say.
pub(super) fn per_route(it: &HeaderMutation) -> pb::HeaderMutationPerRoute {
    pb::HeaderMutationPerRoute { mutations: Some(both(it)) }
}

fn both(it: &HeaderMutation) -> Mutations {
    Mutations {
        request_mutations: it.request.iter().map(mutation).collect(),
        response_mutations: it.response.iter().map(mutation).collect(),
        ..Default::default()
    }
}

fn mutation(it: &Mutation) -> mutation_rules::HeaderMutation {
    let action = match it {
        Mutation::Remove(name) => Action::Remove(name.to_string()),
        Mutation::Set(value) => Action::Append(headers::header_value(value)),
    };
    mutation_rules::HeaderMutation { action: Some(action) }
}
