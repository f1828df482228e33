//! AuthorizationPolicies as RBAC filters. Those that deny come before those that allow; without
//! an ALLOW policy everything is allowed that nothing denies.

mod rule;
mod values;

use std::collections::BTreeMap;

use ir::rbac::RbacAction;
use ir::{HttpFilter, NetworkFilter, Rbac, RbacFilter};
use istio_api::security::{Action, AuthorizationPolicy};
use model::ObjectRef;
use stdx::Str;

use rule::Reading;

/// A policy to be enforced at the workload: the registry leaves out all others.
pub type Selected<'a> = (&'a ObjectRef, &'a AuthorizationPolicy);

/// The filters of an HTTP chain.
pub fn http(policies: &[Selected<'_>]) -> Vec<HttpFilter> {
    let filter = |rules| HttpFilter::Rbac(RbacFilter::enforce("", rules));
    rbacs(policies, false).into_iter().map(filter).collect()
}

/// The filters of a TCP chain.
pub fn tcp(policies: &[Selected<'_>]) -> Vec<NetworkFilter> {
    let filter = |rules| NetworkFilter::Rbac(RbacFilter::enforce("tcp.", rules));
    rbacs(policies, true).into_iter().map(filter).collect()
}

fn rbacs(policies: &[Selected<'_>], tcp: bool) -> Vec<Rbac> {
    let mut rbacs = Vec::new();
    if policies.iter().any(|(_, policy)| policy.broken) {
        // Allows what one of no policies allows.
        rbacs.push(Rbac { action: RbacAction::Allow, policies: BTreeMap::new() });
    }
    let valid = |wanted: &[Action]| -> Vec<Selected<'_>> {
        policies
            .iter()
            .filter(|(_, policy)| !policy.broken && wanted.contains(&policy.action))
            .copied()
            .collect()
    };
    // An external authorizer that cannot be asked has not agreed.
    let (deny, allow) = (valid(&[Action::Deny, Action::Custom]), valid(&[Action::Allow]));
    rbacs.extend(rbac(&deny, RbacAction::Deny, tcp));
    rbacs.extend(rbac(&allow, RbacAction::Allow, tcp));
    rbacs
}

fn rbac(policies: &[Selected<'_>], action: RbacAction, tcp: bool) -> Option<Rbac> {
    if policies.is_empty() {
        return None;
    }
    let mut compiled = BTreeMap::new();
    for (object, policy) in policies {
        let name =
            |index| Str::from(format!("ns[{}]-policy[{}]-rule[{index}]", object.namespace, object.name));
        let reading = Reading { allow: action == RbacAction::Allow, tcp, namespace: &object.namespace };
        for (index, written) in policy.rules.iter().enumerate() {
            compiled.extend(rule::policy(written, reading).map(|policy| (name(index), policy)));
        }
        if policy.rules.is_empty() {
            compiled.insert(name(0), rule::never());
        }
    }
    Some(Rbac { action, policies: compiled })
}
