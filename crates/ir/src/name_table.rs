//! Istio's name table: what the agent's DNS server answers from.

use std::collections::BTreeMap;
use std::net::IpAddr;

use stdx::Str;

/// `istio.networking.nds.v1.NameTable`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NameTable {
    /// By host, lower case, without a trailing dot.
    pub table: BTreeMap<Str, NameInfo>,
}

/// One host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NameInfo {
    pub ips: Vec<IpAddr>,
    /// `Kubernetes` or `External`.
    pub registry: Str,
    /// The Service's name, for Kubernetes services.
    pub shortname: Str,
    pub namespace: Str,
}
