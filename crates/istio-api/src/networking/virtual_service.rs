//! VirtualService: <https://istio.io/latest/docs/reference/config/networking/virtual-service/>.

use model::Str;

use super::{HttpRoute, http_route};
use crate::reader::Fields;
use crate::units::ExportTo;
use crate::validate;

/// How requests to some hosts are routed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VirtualService {
    /// As written: short names belong to the object's namespace.
    pub hosts: Vec<Str>,
    /// As written: `mesh`, `NAME` or `NAMESPACE/NAME`. Empty means `mesh`.
    pub gateways: Vec<Str>,
    /// In order: the first that matches wins.
    pub http: Vec<HttpRoute>,
    pub export_to: ExportTo,
}

impl VirtualService {
    /// Whether it routes what sidecars send.
    pub fn on_mesh(&self) -> bool {
        self.gateways.is_empty() || self.gateways.iter().any(|g| g == "mesh")
    }
}

pub(crate) fn read(spec: Fields<'_>) -> VirtualService {
    let hosts = spec.get("hosts");
    let gateways = spec.get("gateways").map(|g| g.strings()).unwrap_or_default();
    // Without hosts it is a delegate, which only other VirtualServices refer to.
    match &hosts {
        None => spec.item().no_effect_as("a VirtualService without hosts (a delegate)"),
        Some(hosts) => validate::hosts(hosts, validate::HostUse::Routed),
    }
    if let Some(item) = spec.get("gateways") {
        item.list().iter().for_each(validate::gateway_reference);
    }
    let http = spec.get("http").map(|item| http_route::read_all(&item)).unwrap_or_default();
    let others = [spec.get("tls"), spec.get("tcp")];
    let other = others.iter().any(Option::is_some);
    for rule in others.iter().flatten().flat_map(|item| item.list()) {
        http_route::check_other(&rule);
    }
    if http.is_empty() && !other {
        spec.item().invalid("needs http, tls or tcp routes".into());
    }
    spec.no_effect(&["tls", "tcp"]);
    let export_to = spec.get("exportTo").map(|item| validate::export_to(&item)).unwrap_or_default();
    spec.finish();
    VirtualService { hosts: hosts.map(|h| h.strings()).unwrap_or_default(), gateways, http, export_to }
}
