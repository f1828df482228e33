//! Istio's name table.

use ir::NameTable;
use ir::name_table::NameInfo;

use super::at::At;
use super::strict::refuse;
use crate::istio;

pub(super) fn name_table(at: At<'_>, it: istio::NameTable) -> NameTable {
    let istio::NameTable { table, name_info } = it;
    refuse!(at; name_info);
    let one = |(host, it): (String, _)| {
        let info = info(at.key("table", &host), it);
        (host.into(), info)
    };
    NameTable { table: table.into_iter().map(one).collect() }
}

fn info(at: At<'_>, it: istio::NameInfo) -> NameInfo {
    let istio::NameInfo { ips: addresses, registry, shortname, namespace, alt_hosts } = it;
    refuse!(at; alt_hosts);
    let mut ips = Vec::with_capacity(addresses.len());
    for (index, text) in addresses.into_iter().enumerate() {
        match text.parse() {
            Ok(ip) => ips.push(ip),
            Err(_) => at.index("ips", index).refuse(format!("{text:?} is not an IP address")),
        }
    }
    NameInfo { ips, registry: registry.into(), shortname: shortname.into(), namespace: namespace.into() }
}
