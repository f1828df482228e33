//! Role based access control.

use ir::overrides::RbacOverride;
use ir::rbac::{Permission, Policy, Principal, RbacAction};
use ir::{Rbac, RbacFilter};

use super::{address, matcher};
use crate::pb::rbac::{self, permission::Rule, principal::Identifier};
use crate::pb::{envoy_type, http_rbac, matcher as pb_matcher};

pub(super) fn http(it: &RbacFilter) -> http_rbac::Rbac {
    http_rbac::Rbac {
        rules: it.rules.as_ref().map(rules),
        shadow_rules: it.shadow_rules.as_ref().map(rules),
        rules_stat_prefix: it.stat_prefix.to_string(),
        shadow_rules_stat_prefix: it.shadow_stat_prefix.to_string(),
        ..Default::default()
    }
}

pub(super) fn per_route(it: &RbacOverride) -> http_rbac::RbacPerRoute {
    match it {
        RbacOverride::Disabled => http_rbac::RbacPerRoute { rbac: None },
        RbacOverride::Rules(it) => http_rbac::RbacPerRoute { rbac: Some(http(it)) },
    }
}

pub(super) fn rules(it: &Rbac) -> rbac::Rbac {
    let action = match it.action {
        RbacAction::Allow => rbac::rbac::Action::Allow,
        RbacAction::Deny => rbac::rbac::Action::Deny,
        RbacAction::Log => rbac::rbac::Action::Log,
    };
    rbac::Rbac {
        action: action.into(),
        policies: it.policies.iter().map(|(name, it)| (name.to_string(), policy(it))).collect(),
        audit_logging_options: None,
    }
}

fn policy(it: &Policy) -> rbac::Policy {
    rbac::Policy {
        permissions: permissions(&it.permissions),
        principals: principals(&it.principals),
        ..Default::default()
    }
}

fn permissions(all: &[Permission]) -> Vec<rbac::Permission> {
    all.iter().map(permission).collect()
}

fn permission(it: &Permission) -> rbac::Permission {
    let rule = match it {
        Permission::Any => Rule::Any(true),
        Permission::And(all) => Rule::AndRules(rbac::permission::Set { rules: permissions(all) }),
        Permission::Or(all) => Rule::OrRules(rbac::permission::Set { rules: permissions(all) }),
        Permission::Not(it) => Rule::NotRule(Box::new(permission(it))),
        Permission::Header(it) => Rule::Header(matcher::header(it)),
        Permission::UrlPath(it) => Rule::UrlPath(url_path(it)),
        Permission::DestinationIp(it) => Rule::DestinationIp(address::cidr(it)),
        Permission::DestinationPort(port) => Rule::DestinationPort((*port).into()),
        Permission::DestinationPortRange { start, end } => {
            let bound = |port: u32| i32::try_from(port).unwrap_or(i32::MAX);
            Rule::DestinationPortRange(envoy_type::Int32Range { start: bound(*start), end: bound(*end) })
        }
        Permission::RequestedServerName(it) => Rule::RequestedServerName(matcher::text(it)),
        Permission::Metadata(it) => Rule::Metadata(matcher::metadata(it)),
    };
    rbac::Permission { rule: Some(rule) }
}

fn principals(all: &[Principal]) -> Vec<rbac::Principal> {
    all.iter().map(principal).collect()
}

fn principal(it: &Principal) -> rbac::Principal {
    let identifier = match it {
        Principal::Any => Identifier::Any(true),
        Principal::And(all) => Identifier::AndIds(rbac::principal::Set { ids: principals(all) }),
        Principal::Or(all) => Identifier::OrIds(rbac::principal::Set { ids: principals(all) }),
        Principal::Not(it) => Identifier::NotId(Box::new(principal(it))),
        Principal::Authenticated(name) => Identifier::Authenticated(rbac::principal::Authenticated {
            principal_name: name.as_ref().map(matcher::text),
        }),
        Principal::DirectRemoteIp(it) => Identifier::DirectRemoteIp(address::cidr(it)),
        Principal::RemoteIp(it) => Identifier::RemoteIp(address::cidr(it)),
        Principal::Header(it) => Identifier::Header(matcher::header(it)),
        Principal::UrlPath(it) => Identifier::UrlPath(url_path(it)),
        Principal::Metadata(it) => Identifier::Metadata(matcher::metadata(it)),
    };
    rbac::Principal { identifier: Some(identifier) }
}

fn url_path(it: &ir::StringMatcher) -> pb_matcher::PathMatcher {
    pb_matcher::PathMatcher { rule: Some(pb_matcher::path_matcher::Rule::Path(matcher::text(it))) }
}
