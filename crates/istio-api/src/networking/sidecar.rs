//! Sidecar: <https://istio.io/latest/docs/reference/config/networking/sidecar/>.

use model::{Level, Str};

use super::connection_pool::ConnectionPool;
use super::gateway::{ServerTls, TLS};
use super::http_route::DESTINATION;
use super::{Destination, WorkloadSelector};
use crate::codes;
use crate::reader::{Fields, Item};
use crate::schema::macros::{choice, message};
use crate::schema::{choice as one_of, list, object, text, texts, uint32};

message! {
    /// What a workload's proxy accepts, and which services it can reach.
    pub struct Sidecar {
        /// Absent: all workloads of the namespace, or of the mesh in the root namespace.
        "workloadSelector" workload_selector: Option<WorkloadSelector> = object(&WorkloadSelector::MESSAGE),
        "ingress" ingress: Vec<IngressListener> = list(&object(&IngressListener::MESSAGE)),
        "egress" egress: Vec<EgressListener> = list(&object(&EgressListener::MESSAGE)),
        /// For connections from the proxy to its application.
        "inboundConnectionPool" inbound_connection_pool: Option<ConnectionPool> = object(&ConnectionPool::MESSAGE),
        /// Absent: as the mesh says.
        "outboundTrafficPolicy" outbound_traffic_policy: Option<OutboundPolicy> = object(&OutboundPolicy::MESSAGE),
    }
}

message! {
    /// A port on which traffic for the workload is accepted.
    pub struct IngressListener {
        "port" port: Option<SidecarPort> = object(&SidecarPort::MESSAGE).required(),
        /// An IP address; the workload's own without.
        "bind" bind: Option<Str> = text(),
        "captureMode" capture_mode: Option<CaptureMode> = one_of(CaptureMode::NAMES),
        /// Where traffic goes: 127.0.0.1:PORT, 0.0.0.0:PORT, [::1]:PORT, [::]:PORT or unix:///PATH.
        "defaultEndpoint" default_endpoint: Option<Str> = text(),
        "tls" tls: Option<ServerTls> = object(&TLS),
        "connectionPool" connection_pool: Option<ConnectionPool> = object(&ConnectionPool::MESSAGE),
    }
}

message! {
    /// A port or socket on which the workload's own traffic is accepted.
    pub struct EgressListener {
        /// Absent: every port that no other listener names.
        "port" port: Option<SidecarPort> = object(&SidecarPort::MESSAGE),
        "bind" bind: Option<Str> = text(),
        "captureMode" capture_mode: Option<CaptureMode> = one_of(CaptureMode::NAMES),
        /// NAMESPACE/HOST of the services that can be reached.
        "hosts" hosts: Vec<Str> = texts().required(),
    }
}

message! {
    /// A port of a listener.
    pub struct SidecarPort {
        /// 0 with a Unix socket.
        "number" number: Option<u32> = uint32(),
        "protocol" protocol: Str = text(),
        "name" name: Str = text(),
        /// Has no meaning here.
        "targetPort" target_port: Option<u32> = uint32(),
    }
}

message! {
    /// What becomes of traffic to hosts that the mesh does not know.
    pub struct OutboundPolicy {
        "mode" mode: Option<OutboundMode> = one_of(OutboundMode::NAMES),
        /// With ALLOW_ANY: the service that such traffic goes through.
        "egressProxy" egress_proxy: Option<Destination> = object(&DESTINATION),
    }
}

choice! {
    /// Whether unknown hosts can be reached.
    pub enum OutboundMode {
        "REGISTRY_ONLY" RegistryOnly,
        "ALLOW_ANY" AllowAny,
    }
}

choice! {
    /// Whether a listener's traffic is redirected to it.
    pub enum CaptureMode {
        "DEFAULT" Default,
        "IPTABLES" Iptables,
        "NONE" None,
    }
}

pub(crate) fn read(spec: Fields<'_>) -> Sidecar {
    let sidecar = Sidecar::from_fields(&spec);
    let at = |name: &str| spec.item().each(name);
    at("egress").iter().for_each(report_socket);
    let of_ingress = at("ingress").into_iter().filter_map(|listener| listener.field("connectionPool"));
    spec.get("inboundConnectionPool").into_iter().chain(of_ingress).for_each(report_pool);
    spec.finish();
    sidecar
}

/// Towards the application these change nothing yet.
fn report_pool(pool: Item<'_>) {
    let http = pool.field("http");
    for name in ["h2UpgradePolicy", "useClientProtocol", "http2KeepAlive"] {
        if let Some(item) = http.as_ref().and_then(|http| http.field(name)) {
            item.no_effect();
        }
    }
}

fn report_socket(listener: &Item<'_>) {
    if let Some(item) = listener.field("bind").filter(|item| item.text().starts_with("unix:")) {
        let message = "a Unix socket has no effect yet: this listener is not opened";
        item.report(Level::Warning, codes::NO_EFFECT, message.into());
    }
}

impl EgressListener {
    /// Whether it asks for something that cannot be done.
    pub fn unsupported(&self) -> bool {
        is_socket(&self.bind)
    }

    /// Whether applications use it as an HTTP proxy.
    pub fn is_http_proxy(&self) -> bool {
        self.port.as_ref().is_some_and(|port| port.protocol.eq_ignore_ascii_case("http_proxy"))
    }
}

fn is_socket(address: &Option<Str>) -> bool {
    address.as_ref().is_some_and(|address| address.starts_with("unix:"))
}
