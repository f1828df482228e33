//! Istio's name table.

use ir::NameTable;

use crate::istio;

/// Encodes the table of host names for the agent's DNS server.
pub fn name_table(it: &NameTable) -> istio::NameTable {
    let one = |it: &ir::name_table::NameInfo| istio::NameInfo {
        ips: it.ips.iter().map(|ip| ip.to_string()).collect(),
        registry: it.registry.to_string(),
        shortname: it.shortname.to_string(),
        namespace: it.namespace.to_string(),
        alt_hosts: Vec::new(),
    };
    let table = it.table.iter().map(|(host, info)| (host.to_string(), one(info))).collect();
    istio::NameTable { table, name_info: None }
}
