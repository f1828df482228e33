//! VirtualService: <https://istio.io/latest/docs/reference/config/networking/virtual-service/>.

use model::Str;

use super::{HttpRoute, TcpRoute, TlsRoute, http_route};
use crate::reader::{Absent, Fields};
use crate::schema::macros::message;
use crate::schema::{list, object, texts};
use crate::units::ExportTo;

message! {
    /// How requests to some hosts are routed.
    table SPEC {
        /// Names or wildcards. Empty: a delegate, to which others refer.
        "hosts" = texts(),
        /// NAMESPACE/NAME of gateways, and `mesh` for all sidecars; `mesh` without.
        "gateways" = texts(),
        /// For HTTP, in order: the first that matches wins.
        "http" = list(&object(&http_route::HTTP_ROUTE)),
        /// For TLS that is not terminated.
        "tls" = list(&object(&TlsRoute::MESSAGE)),
        "tcp" = list(&object(&TcpRoute::MESSAGE)),
        /// Namespaces that see it, `.` for its own, `*` for all (without).
        "exportTo" = texts(),
    }
}

/// How requests to some hosts are routed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VirtualService {
    /// As written: short names belong to the object's namespace. Empty: a delegate, to which others
    /// refer.
    pub hosts: Vec<Str>,
    /// As written: `mesh`, `NAME` or `NAMESPACE/NAME`. Empty means `mesh`.
    pub gateways: Vec<Str>,
    /// In order: the first that matches wins.
    pub http: Vec<HttpRoute>,
    pub tls: Vec<TlsRoute>,
    pub tcp: Vec<TcpRoute>,
    pub export_to: ExportTo,
}

impl VirtualService {
    /// Whether it routes what sidecars send.
    pub fn on_mesh(&self) -> bool {
        !self.hosts.is_empty() && (self.gateways.is_empty() || self.gateways.iter().any(|g| g == "mesh"))
    }
}

pub(crate) fn read(spec: Fields<'_>) -> VirtualService {
    let virtual_service = VirtualService {
        hosts: Absent::from_item(spec.get("hosts")),
        gateways: Absent::from_item(spec.get("gateways")),
        http: spec.get("http").map(|item| http_route::read_all(&item)).unwrap_or_default(),
        tls: Absent::from_item(spec.get("tls")),
        tcp: Absent::from_item(spec.get("tcp")),
        export_to: Absent::from_item(spec.get("exportTo")),
    };
    spec.finish();
    virtual_service
}
