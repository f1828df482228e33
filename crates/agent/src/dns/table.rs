//! The mesh's names, by every form in which a workload may ask for them. Pure.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ir::NameTable;
use stdx::Str;

/// Where the asking workload is: decides which short names exist for it.
#[derive(Clone, Debug, Default)]
pub struct SearchContext {
    pub namespace: Str,
    /// `svc.cluster.local`: only services of this domain have short names.
    pub service_domain: Str,
    /// `search` of resolv.conf; the first is what resolvers append first.
    pub search: Vec<Str>,
}

/// Names that can be looked up. All are lower case, without the last dot.
#[derive(Debug, Default)]
pub struct Names {
    hosts: HashMap<Str, Arc<Addresses>>,
    /// There is a `*.` somewhere.
    wildcards: bool,
    /// `.` and the first search domain, empty if there is none.
    search_suffix: String,
}

#[derive(Debug, Default)]
struct Addresses {
    v4: Vec<Ipv4Addr>,
    v6: Vec<Ipv6Addr>,
}

/// What is known of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Not of the mesh: someone else may know.
    Unknown,
    /// Of the mesh. No addresses: none of the family asked for.
    Known {
        /// The name is a host with the search domain behind it; the answer is a chain.
        canonical: Option<Str>,
        addresses: Vec<IpAddr>,
    },
}

/// Which family is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Names {
    /// Reads a name table. A host without addresses is passed over, as in Istio.
    pub fn new(table: &NameTable, context: &SearchContext) -> Self {
        let mut names = Names::default();
        if let Some(first) = context.search.first() {
            names.search_suffix = format!(".{}", first.trim_matches('.').to_ascii_lowercase());
        }
        let mut short = Vec::new();
        for (host, info) in &table.table {
            let addresses = Arc::new(Addresses::of(&info.ips));
            if addresses.v4.is_empty() && addresses.v6.is_empty() {
                continue;
            }
            let host = host.trim_end_matches('.').to_ascii_lowercase();
            names.wildcards |= host.starts_with("*.");
            if info.registry == "Kubernetes" {
                short.extend(
                    context.short_names(&host, info).into_iter().map(|name| (name, addresses.clone())),
                );
            }
            names.hosts.insert(host.into(), addresses);
        }
        // Whole names first: a short form never hides a host of that very name.
        for (name, addresses) in short {
            names.hosts.entry(name).or_insert(addresses);
        }
        names
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// Looks a name up (without the last dot, any case).
    pub(crate) fn lookup(&self, name: &str, family: Family) -> Lookup {
        let name = name.to_ascii_lowercase();
        let known = |canonical, addresses: &Addresses| Lookup::Known {
            canonical,
            addresses: addresses.of_family(family),
        };
        if let Some(addresses) = self.hosts.get(name.as_str()) {
            return known(None, addresses);
        }
        // `www.example.com.shop.svc.cluster.local`, made by a resolver from `www.example.com`: the
        // answer names the host, and so spares the client the other search domains.
        let expanded = self.without_search(&name);
        if let Some((host, addresses)) = expanded.and_then(|host| Some((host, self.hosts.get(host)?))) {
            return known(Some(host.into()), addresses);
        }
        if let Some((host, addresses)) = expanded.and_then(|host| Some((host, self.wildcard(host)?))) {
            return known(Some(host.into()), addresses);
        }
        match self.wildcard(&name) {
            Some(addresses) => known(None, addresses),
            None => Lookup::Unknown,
        }
    }

    fn without_search<'a>(&self, name: &'a str) -> Option<&'a str> {
        if self.search_suffix.is_empty() {
            return None;
        }
        name.strip_suffix(self.search_suffix.as_str()).filter(|host| !host.is_empty())
    }

    /// The closest `*.` above a name.
    fn wildcard(&self, name: &str) -> Option<&Addresses> {
        if !self.wildcards {
            return None;
        }
        let mut rest = name;
        while let Some((_, parent)) = rest.split_once('.') {
            if let Some(addresses) = self.hosts.get(format!("*.{parent}").as_str()) {
                return Some(addresses);
            }
            rest = parent;
        }
        None
    }
}

impl SearchContext {
    /// `reviews`, `reviews.shop` and `reviews.shop.svc` for `reviews.shop.svc.cluster.local`.
    fn short_names(&self, host: &str, info: &ir::name_table::NameInfo) -> Vec<Str> {
        if self.service_domain.is_empty() || !host.ends_with(self.service_domain.as_str()) {
            return Vec::new();
        }
        let (name, namespace) = (info.shortname.to_ascii_lowercase(), info.namespace.to_ascii_lowercase());
        if name.is_empty() || namespace.is_empty() {
            return Vec::new();
        }
        let first = self.service_domain.split('.').next().unwrap_or("svc");
        let mut all =
            vec![Str::from(format!("{name}.{namespace}")), format!("{name}.{namespace}.{first}").into()];
        if namespace == self.namespace.as_str() {
            all.push(name.into());
        }
        all
    }
}

impl Addresses {
    fn of(ips: &[IpAddr]) -> Self {
        let mut addresses = Addresses::default();
        for ip in ips {
            match ip {
                IpAddr::V4(ip) => addresses.v4.push(*ip),
                IpAddr::V6(ip) => addresses.v6.push(*ip),
            }
        }
        addresses
    }

    fn of_family(&self, family: Family) -> Vec<IpAddr> {
        match family {
            Family::V4 => self.v4.iter().copied().map(IpAddr::V4).collect(),
            Family::V6 => self.v6.iter().copied().map(IpAddr::V6).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ir::name_table::NameInfo;

    fn names() -> Names {
        let service = |ips: &[&str], name: &str, namespace: &str| NameInfo {
            ips: ips.iter().map(|ip| ip.parse().unwrap()).collect(),
            registry: "Kubernetes".into(),
            shortname: name.into(),
            namespace: namespace.into(),
        };
        let external = |ip: &str| NameInfo {
            ips: vec![ip.parse().unwrap()],
            registry: "External".into(),
            ..NameInfo::default()
        };
        let table = [
            ("reviews.shop.svc.cluster.local", service(&["10.96.0.1"], "reviews", "shop")),
            ("ratings.other.svc.cluster.local", service(&["10.96.0.2", "fd00::2"], "ratings", "other")),
            ("ghost.shop.svc.cluster.local", service(&[], "ghost", "shop")),
            ("elsewhere.shop.svc.other.domain", service(&["10.96.0.9"], "elsewhere", "shop")),
            ("api.example.com", external("240.240.0.1")),
            ("*.wild.example", external("240.240.0.2")),
            ("ratings.other", external("240.240.0.3")),
        ];
        let table = NameTable { table: table.into_iter().map(|(host, info)| (host.into(), info)).collect() };
        let context = SearchContext {
            namespace: "shop".into(),
            service_domain: "svc.cluster.local".into(),
            search: vec!["shop.svc.cluster.local".into(), "svc.cluster.local".into()],
        };
        Names::new(&table, &context)
    }

    #[track_caller]
    fn check(name: &str, family: Family, expected: Option<(Option<&str>, &[&str])>) {
        let expected = expected.map_or(Lookup::Unknown, |(canonical, ips)| Lookup::Known {
            canonical: canonical.map(Str::from),
            addresses: ips.iter().map(|ip| ip.parse().unwrap()).collect(),
        });
        assert_eq!(names().lookup(name, family), expected, "{name}");
    }

    #[test]
    fn services_have_short_names() {
        let reviews: Option<(Option<&str>, &[&str])> = Some((None, &["10.96.0.1"]));
        for name in ["reviews", "reviews.shop", "reviews.shop.svc", "Reviews.Shop.svc.Cluster.local"] {
            check(name, Family::V4, reviews);
        }
        check("ratings", Family::V4, None);
        check("ratings.other.svc", Family::V4, Some((None, &["10.96.0.2"])));
        // A host of that very name wins over a short form.
        check("ratings.other", Family::V4, Some((None, &["240.240.0.3"])));
        check("elsewhere.shop", Family::V4, None);
        check("elsewhere.shop.svc.other.domain", Family::V4, Some((None, &["10.96.0.9"])));
    }

    #[test]
    fn the_other_family_is_known_and_empty() {
        check("reviews", Family::V6, Some((None, &[])));
        check("ratings.other.svc", Family::V6, Some((None, &["fd00::2"])));
        check("ghost.shop.svc.cluster.local", Family::V4, None);
    }

    #[test]
    fn search_domains_are_answered_with_a_chain() {
        let api: Option<(Option<&str>, &[&str])> = Some((Some("api.example.com"), &["240.240.0.1"]));
        check("api.example.com", Family::V4, Some((None, &["240.240.0.1"])));
        check("api.example.com.shop.svc.cluster.local", Family::V4, api);
        check(
            "ratings.other.svc.shop.svc.cluster.local",
            Family::V6,
            Some((Some("ratings.other.svc"), &["fd00::2"])),
        );
        check("reviews.shop.svc.cluster.local", Family::V4, Some((None, &["10.96.0.1"])));
        check("unknown.shop.svc.cluster.local", Family::V4, None);
        check("unknown.example.com", Family::V4, None);
    }

    #[test]
    fn wildcards_have_any_number_of_labels() {
        check("a.wild.example", Family::V4, Some((None, &["240.240.0.2"])));
        check("a.b.wild.example", Family::V4, Some((None, &["240.240.0.2"])));
        check("wild.example", Family::V4, None);
        let expanded: Option<(Option<&str>, &[&str])> = Some((Some("a.wild.example"), &["240.240.0.2"]));
        check("a.wild.example.shop.svc.cluster.local", Family::V4, expanded);
    }
}
