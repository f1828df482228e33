//! Where an endpoint or a proxy is: region, zone, sub-zone.

use stdx::Str;

/// A place in Envoy's three levels; an unknown level is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Locality {
    pub region: Str,
    pub zone: Str,
    pub sub_zone: Str,
}

impl Locality {
    /// Reads Istio's `region/zone/sub-zone`; missing parts are empty.
    pub fn parse(text: &str) -> Self {
        let mut parts = text.splitn(3, '/').map(Str::from);
        let mut next = || parts.next().unwrap_or_default();
        Locality { region: next(), zone: next(), sub_zone: next() }
    }
}
