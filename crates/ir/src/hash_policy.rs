//! What of a request makes it stick to an endpoint.

use std::time::Duration;

use stdx::Str;

/// `envoy.config.route.v3.RouteAction.HashPolicy`. The hashes of all policies that apply are
/// combined.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashPolicy {
    pub by: HashBy,
    /// If there is a hash by now, the policies after this one are not looked at.
    pub terminal: bool,
}

/// What is hashed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashBy {
    /// Lower case.
    Header(Str),
    Cookie(HashCookie),
    /// The client's address, without the port.
    SourceIp,
    QueryParameter(Str),
}

/// A cookie, given to clients without one where there is a time to live.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HashCookie {
    pub name: Str,
    /// Zero: until the client ends. `None`: no cookie is given.
    pub ttl: Option<Duration>,
    /// May be empty.
    pub path: Str,
    /// Names and values; an empty value is left out (`HttpOnly`).
    pub attributes: Vec<(Str, Str)>,
}
