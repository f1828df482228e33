//! DNS caches by their names: as in Envoy all that names one configures it alike, or is refused.

use std::collections::HashMap;

use ir::{ClusterDiscovery, DnsCache, HttpFilter, NetworkFilter, Resource, ResourceType, Terminal};
use stdx::Str;

/// A cluster or listener, by type and name.
pub type Owner = (ResourceType, Str);

/// Who configures which cache, and how.
#[derive(Default)]
pub struct DnsCaches(HashMap<Str, Vec<(Owner, DnsCache)>>);

impl DnsCaches {
    /// # Errors
    /// What `owner` says of a cache is not what another says of it, or what it says elsewhere itself.
    pub fn check(&self, owner: &Owner, caches: &[DnsCache]) -> Result<(), String> {
        for (index, cache) in caches.iter().enumerate() {
            let known = self.0.get(&cache.name).into_iter().flatten();
            let mut others = known.filter(|(other, _)| other != owner).map(|(_, other)| other);
            let mut own = caches[..index].iter().filter(|other| other.name == cache.name);
            if others.any(|other| other != cache) || own.any(|other| other != cache) {
                return Err(format!("config specified DNS cache '{}' with different settings", cache.name));
            }
        }
        Ok(())
    }

    /// Takes what `owner` says from now on; nothing if it is gone.
    pub fn replace(&mut self, owner: &Owner, caches: Vec<DnsCache>) {
        if self.0.is_empty() && caches.is_empty() {
            return;
        }
        self.0.retain(|_, known| {
            known.retain(|(other, _)| other != owner);
            !known.is_empty()
        });
        for cache in caches {
            self.0.entry(cache.name.clone()).or_default().push((owner.clone(), cache));
        }
    }
}

/// The caches that a resource configures.
pub fn of(resource: &Resource) -> Vec<DnsCache> {
    match resource {
        Resource::Cluster(cluster) => match &cluster.discovery {
            ClusterDiscovery::DynamicForwardProxy(it) => vec![it.cache.clone()],
            _ => Vec::new(),
        },
        Resource::Listener(listener) => {
            listener.filter_chains.iter().chain(&listener.default_filter_chain).flat_map(of_chain).collect()
        }
        _ => Vec::new(),
    }
}

fn of_chain(chain: &ir::FilterChain) -> Vec<DnsCache> {
    let network = chain.filters.iter().filter_map(|filter| match filter {
        NetworkFilter::SniDynamicForwardProxy(it) => Some(it.cache.clone()),
        _ => None,
    });
    let mut caches: Vec<DnsCache> = network.collect();
    if let Terminal::Http(manager) = &chain.terminal {
        caches.extend(manager.http_filters.iter().filter_map(|filter| match filter {
            HttpFilter::DynamicForwardProxy(cache) => Some((**cache).clone()),
            _ => None,
        }));
    }
    caches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_one_configuration() {
        let owner = |name: &str| (ResourceType::Cluster, Str::from(name));
        let cache =
            |max_hosts| DnsCache { name: "c".into(), max_hosts: Some(max_hosts), ..DnsCache::default() };
        let mut caches = DnsCaches::default();
        let check = |caches: &DnsCaches, name: &str, of: &[DnsCache]| caches.check(&owner(name), of).is_ok();
        assert!(check(&caches, "a", &[cache(1)]));
        assert!(!check(&caches, "a", &[cache(1), cache(2)]), "in one resource");
        caches.replace(&owner("a"), vec![cache(1)]);
        assert!(check(&caches, "b", &[cache(1)]) && !check(&caches, "b", &[cache(2)]));
        assert!(check(&caches, "a", &[cache(2)]), "nobody else has it");
        caches.replace(&owner("b"), vec![cache(1)]);
        assert!(!check(&caches, "a", &[cache(2)]));
        caches.replace(&owner("b"), Vec::new());
        caches.replace(&owner("a"), vec![cache(2)]);
        assert!(check(&caches, "b", &[cache(2)]) && !check(&caches, "b", &[cache(1)]));
    }
}
