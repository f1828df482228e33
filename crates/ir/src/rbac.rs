//! Role based access control, for requests and connections.

use std::collections::BTreeMap;

use stdx::Str;

use crate::{Cidr, HeaderMatcher, MetadataMatcher, StringMatcher};

/// `envoy.config.rbac.v3.RBAC`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rbac {
    pub action: RbacAction,
    /// By name; the name of the policy that decided goes into `%RESPONSE_CODE_DETAILS%`.
    pub policies: BTreeMap<Str, Policy>,
}

/// What a matching policy means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RbacAction {
    /// Allowed if some policy matches, else denied.
    Allow,
    /// Denied if some policy matches, else allowed.
    Deny,
    /// Allowed; the log is told whether some policy matches. Of requests only.
    Log,
}

/// Matches when some permission and some principal do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    pub permissions: Vec<Permission>,
    pub principals: Vec<Principal>,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Permission {
    Any,
    And(Vec<Permission>),
    Or(Vec<Permission>),
    Not(Box<Permission>),
    Header(HeaderMatcher),
    /// The path without query and fragment.
    UrlPath(StringMatcher),
    DestinationIp(Cidr),
    DestinationPort(u16),
    /// From `start` to before `end`.
    DestinationPortRange {
        start: u32,
        end: u32,
    },
    RequestedServerName(StringMatcher),
    /// What filters before this one have said of the request.
    Metadata(MetadataMatcher),
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Principal {
    Any,
    And(Vec<Principal>),
    Or(Vec<Principal>),
    Not(Box<Principal>),
    /// A peer with a verified certificate; with a matcher, one of its URI SANs (else DNS SANs,
    /// else the subject) matches.
    Authenticated(Option<StringMatcher>),
    /// The address of the TCP peer.
    DirectRemoteIp(Cidr),
    /// The address of the client, as believed from `x-forwarded-for`.
    RemoteIp(Cidr),
    Header(HeaderMatcher),
    UrlPath(StringMatcher),
    /// What filters before this one have said of the request.
    Metadata(MetadataMatcher),
}
