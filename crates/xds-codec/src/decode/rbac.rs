//! Role based access control.

use ir::overrides::RbacOverride;
use ir::rbac::{Permission, Policy, Principal, RbacAction};
use ir::{Rbac, RbacFilter, StringMatcher};

use super::at::At;
use super::strict::{harmless, refuse};
use super::{address, matcher, wire};
use crate::pb::http_rbac;
use crate::pb::matcher as pb_matcher;
use crate::pb::rbac::{self, permission::Rule, principal::Identifier};

pub(super) fn filter(
    at: At<'_>,
    stat_prefix: String,
    enforced: Option<rbac::Rbac>,
    shadow: Option<rbac::Rbac>,
    shadow_stat_prefix: String,
) -> RbacFilter {
    if enforced.is_none() && shadow.is_none() {
        at.field("rules").refuse("is required: without rules nothing is enforced");
    }
    RbacFilter {
        stat_prefix: stat_prefix.into(),
        rules: enforced.map(|it| rules(at.field("rules"), it)),
        shadow_rules: shadow.map(|it| rules(at.field("shadow_rules"), it)),
        shadow_stat_prefix: shadow_stat_prefix.into(),
    }
}

/// Of the filter on requests.
pub(super) fn http(at: At<'_>, it: http_rbac::Rbac) -> RbacFilter {
    let http_rbac::Rbac {
        rules,
        rules_stat_prefix,
        matcher,
        shadow_rules,
        shadow_matcher,
        shadow_rules_stat_prefix,
        track_per_rule_stats,
    } = it;
    refuse!(at; matcher, shadow_matcher);
    harmless!(Statistics; track_per_rule_stats);
    filter(at, rules_stat_prefix, rules, shadow_rules, shadow_rules_stat_prefix)
}

/// Without rules the filter is off.
pub(super) fn per_route(at: At<'_>, it: http_rbac::RbacPerRoute) -> RbacOverride {
    let http_rbac::RbacPerRoute { rbac } = it;
    rbac.map_or(RbacOverride::Disabled, |it| RbacOverride::Rules(http(at.field("rbac"), it)))
}

fn rules(at: At<'_>, it: rbac::Rbac) -> Rbac {
    let rbac::Rbac { action, policies, audit_logging_options } = it;
    refuse!(at; audit_logging_options);
    let action = match wire::enumeration(at.field("action"), action) {
        rbac::rbac::Action::Allow => RbacAction::Allow,
        rbac::rbac::Action::Deny => RbacAction::Deny,
        rbac::rbac::Action::Log => RbacAction::Log,
    };
    let one = |(name, it): (String, _)| {
        let policy = policy(at.key("policies", &name), it);
        (name.into(), policy)
    };
    Rbac { action, policies: policies.into_iter().map(one).collect() }
}

fn policy(at: At<'_>, it: rbac::Policy) -> Policy {
    let rbac::Policy { permissions: what, principals: who, condition, checked_condition, cel_config } = it;
    refuse!(at; condition, checked_condition, cel_config);
    Policy {
        permissions: permissions(at, "permissions", what),
        principals: principals(at, "principals", who),
    }
}

/// An empty list is refused, as by Envoy: "all of nothing" would be true.
fn permissions(at: At<'_>, name: &str, all: Vec<rbac::Permission>) -> Vec<Permission> {
    if all.is_empty() {
        at.field(name).refuse("must not be empty");
    }
    all.into_iter().enumerate().map(|(index, it)| permission(at.index(name, index), it)).collect()
}

fn permission(at: At<'_>, it: rbac::Permission) -> Permission {
    let name = match it.rule {
        Some(Rule::Any(true)) => return Permission::Any,
        Some(Rule::AndRules(set)) => {
            return Permission::And(permissions(at.field("and_rules"), "rules", set.rules));
        }
        Some(Rule::OrRules(set)) => {
            return Permission::Or(permissions(at.field("or_rules"), "rules", set.rules));
        }
        Some(Rule::NotRule(it)) => {
            return Permission::Not(Box::new(permission(at.field("not_rule"), *it)));
        }
        Some(Rule::Header(it)) => return Permission::Header(matcher::header(at.field("header"), it)),
        Some(Rule::UrlPath(it)) => return Permission::UrlPath(url_path(at.field("url_path"), it)),
        Some(Rule::DestinationIp(it)) => {
            return Permission::DestinationIp(address::cidr(at.field("destination_ip"), it));
        }
        Some(Rule::DestinationPort(port)) => {
            return Permission::DestinationPort(wire::port(at.field("destination_port"), port));
        }
        Some(Rule::DestinationPortRange(range)) => {
            return port_range(at.field("destination_port_range"), range);
        }
        Some(Rule::RequestedServerName(it)) => {
            return Permission::RequestedServerName(matcher::text(at.field("requested_server_name"), it));
        }
        Some(Rule::Metadata(it)) => {
            return Permission::Metadata(matcher::metadata(at.field("metadata"), it));
        }
        Some(Rule::Any(false)) => "any: false",
        Some(Rule::Matcher(_)) => "matcher",
        Some(Rule::UriTemplate(_)) => "uri_template",
        Some(Rule::SourcedMetadata(_)) => "sourced_metadata",
        None => "a permission without a rule",
    };
    at.refuse(format!("{name} is not supported"));
    Permission::Any
}

fn port_range(at: At<'_>, it: crate::pb::envoy_type::Int32Range) -> Permission {
    let bound = |name, port: i32| match u32::try_from(port) {
        Ok(port) if port <= 65_536 => port,
        _ => {
            at.field(name).refuse(format!("{port} is not a port"));
            0
        }
    };
    let (start, end) = (bound("start", it.start), bound("end", it.end));
    if start >= end {
        at.refuse(format!("the range from {start} to before {end} is empty"));
    }
    Permission::DestinationPortRange { start, end }
}

fn principals(at: At<'_>, name: &str, all: Vec<rbac::Principal>) -> Vec<Principal> {
    if all.is_empty() {
        at.field(name).refuse("must not be empty");
    }
    all.into_iter().enumerate().map(|(index, it)| principal(at.index(name, index), it)).collect()
}

fn principal(at: At<'_>, it: rbac::Principal) -> Principal {
    let name = match it.identifier {
        Some(Identifier::Any(true)) => return Principal::Any,
        Some(Identifier::AndIds(set)) => {
            return Principal::And(principals(at.field("and_ids"), "ids", set.ids));
        }
        Some(Identifier::OrIds(set)) => {
            return Principal::Or(principals(at.field("or_ids"), "ids", set.ids));
        }
        Some(Identifier::NotId(it)) => return Principal::Not(Box::new(principal(at.field("not_id"), *it))),
        Some(Identifier::Authenticated(rbac::principal::Authenticated { principal_name })) => {
            let at = at.field("authenticated");
            return Principal::Authenticated(
                principal_name.map(|it| matcher::text(at.field("principal_name"), it)),
            );
        }
        Some(Identifier::DirectRemoteIp(it)) => {
            return Principal::DirectRemoteIp(address::cidr(at.field("direct_remote_ip"), it));
        }
        Some(Identifier::RemoteIp(it)) => {
            return Principal::RemoteIp(address::cidr(at.field("remote_ip"), it));
        }
        Some(Identifier::Header(it)) => return Principal::Header(matcher::header(at.field("header"), it)),
        Some(Identifier::UrlPath(it)) => return Principal::UrlPath(url_path(at.field("url_path"), it)),
        Some(Identifier::Metadata(it)) => {
            return Principal::Metadata(matcher::metadata(at.field("metadata"), it));
        }
        Some(Identifier::Any(false)) => "any: false",
        Some(Identifier::SourceIp(_)) => "source_ip",
        Some(Identifier::FilterState(_)) => "filter_state",
        Some(Identifier::SourcedMetadata(_)) => "sourced_metadata",
        Some(Identifier::Custom(_)) => "custom",
        None => "a principal without an identifier",
    };
    at.refuse(format!("{name} is not supported"));
    Principal::Any
}

fn url_path(at: At<'_>, it: pb_matcher::PathMatcher) -> StringMatcher {
    match it.rule {
        Some(pb_matcher::path_matcher::Rule::Path(it)) => matcher::text(at.field("path"), it),
        None => {
            at.field("path").refuse("is required");
            StringMatcher::exact("")
        }
    }
}
