//! Workload identities: `spiffe://TRUST_DOMAIN/ns/NAMESPACE/sa/SERVICE_ACCOUNT`.

use std::fmt;
use std::str::FromStr;

use stdx::Str;

/// A workload's identity as Istio writes it in certificates and policies.
/// See <https://istio.io/latest/docs/concepts/security/#istio-identity>.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpiffeId {
    pub trust_domain: Str,
    pub namespace: Str,
    pub service_account: Str,
}

impl SpiffeId {
    pub fn new(trust_domain: &str, namespace: &str, service_account: &str) -> Self {
        SpiffeId {
            trust_domain: trust_domain.into(),
            namespace: namespace.into(),
            service_account: service_account.into(),
        }
    }
}

/// The text is no SPIFFE id of Istio's form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadSpiffeId(pub String);

impl fmt::Display for BadSpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not of the form spiffe://DOMAIN/ns/NAMESPACE/sa/ACCOUNT", self.0)
    }
}

impl std::error::Error for BadSpiffeId {}

impl FromStr for SpiffeId {
    type Err = BadSpiffeId;

    fn from_str(text: &str) -> Result<Self, BadSpiffeId> {
        let bad = || BadSpiffeId(text.to_owned());
        let rest = text.strip_prefix("spiffe://").ok_or_else(bad)?;
        let parts: Vec<&str> = rest.split('/').collect();
        match parts.as_slice() {
            [domain, "ns", namespace, "sa", account]
                if ![domain, namespace, account].iter().any(|p| p.is_empty()) =>
            {
                Ok(SpiffeId::new(domain, namespace, account))
            }
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}/ns/{}/sa/{}", self.trust_domain, self.namespace, self.service_account)
    }
}

impl fmt::Debug for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_nothing_else() {
        let id = SpiffeId::new("cluster.local", "shop", "reviews");
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in
            ["", "spiffe://a/ns/b", "spiffe://a/ns//sa/c", "spiffe://a/ns/b/sa/c/d", "http://a/ns/b/sa/c"]
        {
            assert!(bad.parse::<SpiffeId>().is_err(), "{bad}");
        }
    }
}
