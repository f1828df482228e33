//! One rule of an AuthorizationPolicy as an RBAC policy.
//!
//! Three things decide what becomes of a condition that cannot be judged (it needs HTTP and the
//! connection is none, or nothing implements it): an ALLOW rule with one never matches; any other
//! rule is evaluated without it, so it denies more, never less.

use ir::rbac::{Permission, Policy, Principal};
use istio_api::security::{Operation, Rule, Source};

use super::values;

/// How a rule is read.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    /// Not judgeable means "does not match"; else it means "is no condition".
    pub allow: bool,
    /// The connection is not HTTP.
    pub tcp: bool,
    /// Of the policy.
    pub namespace: &'a str,
}

/// `None`: it can never match.
pub fn policy(rule: &Rule, reading: Reading<'_>) -> Option<Policy> {
    if reading.allow && !rule.unsupported.is_empty() {
        return None;
    }
    // Istio leaves the whole rule out here, not the one operation.
    if reading.allow && reading.tcp && rule.to.iter().any(needs_http) {
        return None;
    }
    let permissions = match rule.to.as_slice() {
        [] => vec![Permission::And(vec![Permission::Any])],
        operations => operations.iter().filter_map(|to| permission(to, reading)).collect(),
    };
    let principals = match rule.from.as_slice() {
        [] => vec![Principal::And(vec![Principal::Any])],
        sources => sources.iter().filter_map(|from| principal(from, reading)).collect(),
    };
    (!permissions.is_empty() && !principals.is_empty()).then_some(Policy { permissions, principals })
}

/// Never matches. A policy without rules has it, so that it is seen in what a proxy runs.
pub fn never() -> Policy {
    Policy {
        permissions: vec![Permission::Not(Box::new(Permission::Any))],
        principals: vec![Principal::Not(Box::new(Principal::Any))],
    }
}

fn needs_http(to: &Operation) -> bool {
    [&to.hosts, &to.not_hosts, &to.methods, &to.not_methods, &to.paths, &to.not_paths]
        .iter()
        .any(|list| !list.is_empty())
}

fn permission(to: &Operation, reading: Reading<'_>) -> Option<Permission> {
    if reading.allow && !to.unsupported.is_empty() {
        return None;
    }
    let mut all = Vec::new();
    if !reading.tcp {
        both(&mut all, &to.hosts, &to.not_hosts, |v| Permission::Header(values::host(v)));
        both(&mut all, &to.methods, &to.not_methods, |v| Permission::Header(values::method(v)));
        both(&mut all, &to.paths, &to.not_paths, |v| Permission::UrlPath(values::text(v)));
    }
    both(&mut all, &to.ports, &to.not_ports, |port| Permission::DestinationPort(*port));
    if all.is_empty() {
        all.push(Permission::Any);
    }
    Some(Permission::And(all))
}

fn principal(from: &Source, reading: Reading<'_>) -> Option<Principal> {
    if !from.unsupported.is_empty() && reading.allow {
        return None;
    }
    let mut all = Vec::new();
    let authenticated = |matcher| Principal::Authenticated(Some(matcher));
    both(&mut all, &from.principals, &from.not_principals, |v| authenticated(values::principal(v)));
    both(&mut all, &from.service_accounts, &from.not_service_accounts, |v| {
        authenticated(values::service_account(v, reading.namespace))
    });
    both(&mut all, &from.namespaces, &from.not_namespaces, |v| authenticated(values::namespace(v)));
    if all.is_empty() {
        all.push(Principal::Any);
    }
    Some(Principal::And(all))
}

/// Adds "one of `values`" and "none of `not_values`", each where it says anything.
fn both<T, V>(all: &mut Vec<T>, values: &[V], not_values: &[V], one: impl Fn(&V) -> T)
where
    T: Term,
{
    let any = |list: &[V]| T::or(list.iter().map(&one).collect());
    if !values.is_empty() {
        all.push(any(values));
    }
    if !not_values.is_empty() {
        all.push(any(not_values).not());
    }
}

/// What permissions and principals have in common.
trait Term: Sized {
    fn or(terms: Vec<Self>) -> Self;
    fn not(self) -> Self;
}

impl Term for Permission {
    fn or(terms: Vec<Self>) -> Self {
        Permission::Or(terms)
    }
    fn not(self) -> Self {
        Permission::Not(Box::new(self))
    }
}

impl Term for Principal {
    fn or(terms: Vec<Self>) -> Self {
        Principal::Or(terms)
    }
    fn not(self) -> Self {
        Principal::Not(Box::new(self))
    }
}
