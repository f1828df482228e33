//! Virtual hosts by domain: exact, then the longest `*suffix`, then the longest `prefix*`,
//! then `*`. Case does not count.

use std::sync::Arc;

use stdx::Str;

use super::Map;

use crate::Problem;

#[derive(Debug, Default)]
pub(super) struct HostTable {
    exact: Map<Str, usize>,
    /// By length, longest first.
    suffixes: Vec<(usize, Map<Str, usize>)>,
    prefixes: Vec<(usize, Map<Str, usize>)>,
    any: Option<usize>,
}

impl HostTable {
    pub(super) fn compile(vhosts: &[Arc<ir::VirtualHost>]) -> Result<Self, Problem> {
        let mut table = HostTable::default();
        table.exact.reserve(vhosts.iter().map(|vhost| vhost.domains.len()).sum());
        for (vhost, config) in vhosts.iter().enumerate() {
            for (i, domain) in config.domains.iter().enumerate() {
                if table.insert(domain, vhost).is_some() {
                    let message = format!("the domain {domain:?} is claimed twice");
                    return Err(Problem::new(format!("virtual_hosts[{vhost}].domains[{i}]"), message));
                }
            }
        }
        table.suffixes.sort_by_key(|(len, _)| std::cmp::Reverse(*len));
        table.prefixes.sort_by_key(|(len, _)| std::cmp::Reverse(*len));
        Ok(table)
    }

    fn insert(&mut self, domain: &Str, vhost: usize) -> Option<usize> {
        let lower = match domain.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Str::from(domain.to_ascii_lowercase()),
            false => domain.clone(),
        };
        let domain = lower.as_str();
        if domain == "*" {
            return self.any.replace(vhost);
        }
        let (group, key) = if let Some(suffix) = domain.strip_prefix('*') {
            (by_length(&mut self.suffixes, suffix.len()), suffix)
        } else if let Some(prefix) = domain.strip_suffix('*') {
            (by_length(&mut self.prefixes, prefix.len()), prefix)
        } else {
            return self.exact.insert(lower, vhost);
        };
        group.insert(Str::from(key), vhost)
    }

    pub(super) fn find(&self, host: &[u8]) -> Option<usize> {
        let text = std::str::from_utf8(host).ok()?;
        let lower;
        let host = if text.bytes().any(|b| b.is_ascii_uppercase()) {
            lower = text.to_ascii_lowercase();
            lower.as_str()
        } else {
            text
        };
        if let Some(vhost) = self.exact.get(host) {
            return Some(*vhost);
        }
        // A wildcard stands for at least one character, as in Envoy.
        let suffix = self.suffixes.iter().filter(|(len, _)| *len < host.len());
        let suffix = suffix.filter_map(|(len, group)| group.get(host.get(host.len() - len..)?));
        let prefix = self.prefixes.iter().filter(|(len, _)| *len < host.len());
        let prefix = prefix.filter_map(|(len, group)| group.get(host.get(..*len)?));
        suffix.chain(prefix).next().copied().or(self.any)
    }
}

fn by_length(groups: &mut Vec<(usize, Map<Str, usize>)>, len: usize) -> &mut Map<Str, usize> {
    let index = groups.iter().position(|(l, _)| *l == len).unwrap_or_else(|| {
        groups.push((len, Map::default()));
        groups.len() - 1
    });
    &mut groups[index].1
}
