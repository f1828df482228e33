//! What of a request makes it stick to an endpoint, by the DestinationRules of where it may go.

use ir::RetryPolicy;
use ir::hash_policy::{HashBy, HashCookie, HashPolicy};
use istio_api::networking::load_balancer::ConsistentHash;
use model::Host;
use registry::View;

use crate::cluster::policy::Effective;
use crate::unit::ScopeKey;

/// The policy of one destination.
pub fn hash_policy(
    view: &View<'_>,
    scope: &ScopeKey,
    host: &Host,
    port: u16,
    subset: Option<&str>,
) -> Option<HashPolicy> {
    let service = view.service(&scope.namespace, host)?;
    let rule = view.destination_rule_for(&scope.namespace, &scope.labels, service)?;
    let subset = subset.and_then(|name| rule.subset(name));
    let effective = Effective::of(view.mesh(), Some(rule), subset, port);
    let hash = effective.load_balancer?.consistent_hash.as_ref()?;
    Some(HashPolicy { by: by(hash)?, terminal: false })
}

/// Where a request sticks, leaving out the endpoint that failed would send it elsewhere for good.
pub fn retry(policy: RetryPolicy, sticks: bool) -> RetryPolicy {
    if !sticks {
        return policy;
    }
    RetryPolicy { avoid_previous_hosts: false, host_selection_attempts: 1, ..policy }
}

fn by(hash: &ConsistentHash) -> Option<HashBy> {
    let some = |text: &Option<model::Str>| text.clone().filter(|text| !text.is_empty());
    if let Some(name) = some(&hash.http_header_name) {
        return Some(HashBy::Header(name.to_ascii_lowercase().into()));
    }
    if let Some(cookie) = &hash.http_cookie {
        let attributes = cookie.attributes.iter().map(|one| (one.name.clone(), one.value.clone()));
        return Some(HashBy::Cookie(HashCookie {
            name: cookie.name.clone(),
            ttl: cookie.ttl,
            path: cookie.path.clone(),
            attributes: attributes.collect(),
        }));
    }
    if hash.use_source_ip == Some(true) {
        return Some(HashBy::SourceIp);
    }
    some(&hash.http_query_parameter_name).map(HashBy::QueryParameter)
}
