//! Access control.

use ir::Rbac;
use ir::rbac::{Permission, Policy, Principal, RbacAction};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use super::{matcher, text};

pub fn rbac() -> BoxedStrategy<Rbac> {
    let policy = (vec(permission(), 1..3), vec(principal(), 1..3))
        .prop_map(|(permissions, principals)| Policy { permissions, principals });
    let action = prop_oneof![Just(RbacAction::Allow), Just(RbacAction::Deny), Just(RbacAction::Log)];
    (action, btree_map(text::name(), policy, 0..3))
        .prop_map(|(action, policies)| Rbac { action, policies })
        .boxed()
}

fn permission() -> BoxedStrategy<Permission> {
    let range = (0u32..65_536).prop_flat_map(|start| (Just(start), start + 1..=65_536));
    let leaf = prop_oneof![
        Just(Permission::Any),
        matcher::header().prop_map(Permission::Header),
        matcher::string().prop_map(Permission::UrlPath),
        text::cidr().prop_map(Permission::DestinationIp),
        any::<u16>().prop_map(Permission::DestinationPort),
        range.prop_map(|(start, end)| Permission::DestinationPortRange { start, end }),
        matcher::string().prop_map(Permission::RequestedServerName),
        matcher::metadata().prop_map(Permission::Metadata),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..3).prop_map(Permission::And),
            vec(inner.clone(), 1..3).prop_map(Permission::Or),
            inner.prop_map(|it| Permission::Not(Box::new(it))),
        ]
    })
    .boxed()
}

fn principal() -> BoxedStrategy<Principal> {
    let leaf = prop_oneof![
        Just(Principal::Any),
        option::of(matcher::string()).prop_map(Principal::Authenticated),
        text::cidr().prop_map(Principal::DirectRemoteIp),
        text::cidr().prop_map(Principal::RemoteIp),
        matcher::header().prop_map(Principal::Header),
        matcher::string().prop_map(Principal::UrlPath),
        matcher::metadata().prop_map(Principal::Metadata),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..3).prop_map(Principal::And),
            vec(inner.clone(), 1..3).prop_map(Principal::Or),
            inner.prop_map(|it| Principal::Not(Box::new(it))),
        ]
    })
    .boxed()
}
