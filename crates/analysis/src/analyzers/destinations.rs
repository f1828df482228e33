//! Where the rules of a VirtualService lead to.

use crate::object::Object;
use crate::value::Val;

/// A destination as it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Destination<'a> {
    pub value: Val<'a>,
    /// Gets a copy of the traffic only.
    pub is_mirror: bool,
}

impl<'a> Destination<'a> {
    pub fn host(&self) -> &'a str {
        self.value.get("host").str()
    }

    pub fn subset(&self) -> &'a str {
        self.value.get("subset").str()
    }
}

/// Every destination of a VirtualService.
pub(crate) fn destinations(object: &Object) -> Vec<Destination<'_>> {
    let spec = object.spec();
    let routed = ["tcp", "tls", "http"]
        .into_iter()
        .flat_map(|field| spec.get(field).items())
        .flat_map(|rule| rule.get("route").items())
        .map(|route| Destination { value: route.get("destination"), is_mirror: false });
    let mirrored = spec.get("http").items().flat_map(|rule| {
        let one = Some(rule.get("mirror")).filter(|mirror| mirror.exists());
        let several = rule.get("mirrors").items().map(|mirror| mirror.get("destination"));
        one.into_iter().chain(several).map(|value| Destination { value, is_mirror: true })
    });
    routed.chain(mirrored).collect()
}
