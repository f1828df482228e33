//! `NAMESPACE/HOST`, as egress listeners write what they import.

use istio_api::networking::VirtualService;
use model::{Host, Str};
use registry::{Config, Service, View};

/// What is imported, and what is excluded from it.
#[derive(Debug, Default)]
pub struct Imports {
    included: Vec<Import>,
    excluded: Vec<Import>,
}

#[derive(Debug)]
struct Import {
    /// `None`: every namespace.
    namespace: Option<Str>,
    host: Host,
}

impl Import {
    fn is_of(&self, namespace: &str) -> bool {
        self.namespace.as_ref().is_none_or(|own| *own == *namespace)
    }
}

impl Imports {
    pub fn everything() -> Self {
        Imports { included: vec![Import { namespace: None, host: Host::new("*") }], excluded: Vec::new() }
    }

    pub fn is_everything(&self) -> bool {
        let all = |import: &Import| import.namespace.is_none() && import.host.as_str() == "*";
        self.excluded.is_empty() && self.included.iter().any(all)
    }

    /// Reads the hosts of a listener of a proxy in `namespace`, which `.` stands for. A `~` before
    /// the namespace excludes; alone it stands for all of them.
    pub fn read(hosts: &[Str], namespace: &str) -> Self {
        let mut imports = Imports::default();
        for written in hosts {
            let Some((owner, host)) = written.split_once('/') else { continue };
            let (owner, excludes) = match owner.strip_prefix('~') {
                Some("") => ("*", true),
                Some(rest) => (rest, true),
                None => (owner, false),
            };
            let namespace = match owner {
                "*" => None,
                "." => Some(Str::from(namespace)),
                name => Some(Str::from(name)),
            };
            let import = Import { namespace, host: Host::new(host) };
            if excludes { imports.excluded.push(import) } else { imports.included.push(import) }
        }
        imports
    }

    /// Whether a service is imported.
    pub fn has(&self, service: &Service) -> bool {
        let names = |import: &Import| import.is_of(&service.namespace) && import.host.covers(&service.host);
        self.included.iter().any(names) && !self.excluded.iter().any(names)
    }

    /// Whether a VirtualService is imported: one of its hosts overlaps an import. (Istio's rule; a
    /// VirtualService for `*.com` routes requests for an imported `a.com` too.)
    pub fn has_rules(&self, view: &View<'_>, rule: &Config<VirtualService>) -> bool {
        let namespace = &rule.object.namespace;
        let imported = |host: Host| {
            let included = |import: &Import| import.is_of(namespace) && import.host.overlaps(&host);
            let excluded = |import: &Import| import.is_of(namespace) && import.host.covers(&host);
            self.included.iter().any(included) && !self.excluded.iter().any(excluded)
        };
        rule.spec.hosts.iter().any(|host| imported(view.resolve(host, namespace)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_named_own_all_or_excluded() {
        let check = |hosts: &[&str], namespace: &str, host: &str, expected: bool| {
            let hosts: Vec<Str> = hosts.iter().map(|host| Str::from(*host)).collect();
            let imports = Imports::read(&hosts, "shop");
            let host = Host::new(host);
            let names = |import: &Import| import.is_of(namespace) && import.host.covers(&host);
            let found = imports.included.iter().any(names) && !imports.excluded.iter().any(names);
            assert_eq!(found, expected, "{hosts:?} {namespace}/{host}");
        };
        check(&["./*"], "shop", "a.com", true);
        check(&["./*"], "other", "a.com", false);
        check(&["*/a.com"], "other", "a.com", true);
        check(&["other/*.com"], "other", "a.com", true);
        check(&["other/*.com"], "other", "a.org", false);
        check(&["~/*"], "shop", "a.com", false);
        check(&["*/*", "~other/*"], "other", "a.com", false);
        check(&["*/*", "~other/*"], "shop", "a.com", true);
    }
}
