//! `networking.istio.io`: <https://istio.io/latest/docs/reference/config/networking/>.

pub mod destination_rule;
pub mod fault;
pub mod gateway;
pub mod http_match;
pub mod http_route;
pub mod service_entry;
pub mod traffic_policy;
pub mod virtual_service;

pub use destination_rule::{DestinationRule, Subset};
pub use fault::{AbortStatus, Fault, FaultAbort, FaultDelay};
pub use gateway::{Gateway, GatewayPort, Server, ServerTls, ServerTlsMode};
pub use http_match::{HeaderMatch, HttpMatch};
pub use http_route::{Destination, HttpRoute, Retries, RouteDestination};
pub use service_entry::{EntryEndpoint, EntryPort, Location, Resolution, ServiceEntry};
pub use traffic_policy::{ClientTls, ClientTlsMode, LoadBalancer, PortTrafficPolicy, TrafficPolicy};
pub use virtual_service::VirtualService;
