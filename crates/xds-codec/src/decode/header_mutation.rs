//! The filter that edits headers.

use ir::HeaderMutation;
use ir::header_mutation::Mutation;

use super::at::At;
use super::headers;
use super::strict::refuse;
use crate::pb::header_mutation::{self as pb, Mutations};
use crate::pb::mutation_rules::{self, header_mutation::Action};

pub(super) fn filter(at: At<'_>, it: pb::HeaderMutation) -> HeaderMutation {
    let pb::HeaderMutation { mutations, most_specific_header_mutations_wins } = it;
    HeaderMutation { most_specific_wins: most_specific_header_mutations_wins, ..both(at, mutations) }
}

pub(super) fn per_route(at: At<'_>, it: pb::HeaderMutationPerRoute) -> HeaderMutation {
    let pb::HeaderMutationPerRoute { mutations } = it;
    both(at, mutations)
}

fn both(at: At<'_>, it: Option<Mutations>) -> HeaderMutation {
    let Mutations {
        request_mutations,
        query_parameter_mutations,
        response_mutations,
        response_trailers_mutations,
        request_trailers_mutations,
    } = it.unwrap_or_default();
    let at = at.field("mutations");
    refuse!(at; query_parameter_mutations, response_trailers_mutations, request_trailers_mutations);
    HeaderMutation {
        request: mutations(at, "request_mutations", request_mutations),
        response: mutations(at, "response_mutations", response_mutations),
        most_specific_wins: false,
    }
}

fn mutations(at: At<'_>, name: &str, all: Vec<mutation_rules::HeaderMutation>) -> Vec<Mutation> {
    all.into_iter().enumerate().filter_map(|(index, it)| mutation(at.index(name, index), it)).collect()
}

fn mutation(at: At<'_>, it: mutation_rules::HeaderMutation) -> Option<Mutation> {
    match it.action {
        Some(Action::Remove(name)) => Some(Mutation::Remove(headers::header_name(at.field("remove"), name))),
        Some(Action::Append(it)) => Some(Mutation::Set(headers::header_value(at.field("append"), it))),
        Some(Action::RemoveOnMatch(_)) => {
            at.unsupported("remove_on_match");
            None
        }
        None => {
            at.refuse("says nothing about what to do");
            None
        }
    }
}
