//! `connectionSettings` of a proxy's settings: what clients of its listeners may take. See
//! <https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#ProxyConfig-ConnectionSettings>.

use ir::HttpConnectionManager;
use ir::http::{EscapedSlashes, HeadersWithUnderscores};
use istio_api::mesh::connection_settings::{ConnectionSettings, EscapedSlashes as Slashes, Underscores};

use crate::settings::Settings;

/// At a sidecar, whichever way connections go.
pub fn sidecar(settings: &Settings, manager: &mut HttpConnectionManager) {
    if let Some(connections) = &settings.proxy.connections {
        apply(connections, manager);
    }
}

/// At a gateway, whose profile may be one of its own.
pub fn gateway(settings: &Settings, manager: &mut HttpConnectionManager) {
    if let Some(connections) = &settings.proxy.connections {
        apply(&connections.clone().at_gateways(), manager);
    }
}

/// What is said goes before what the mesh says of paths.
fn apply(connections: &ConnectionSettings, manager: &mut HttpConnectionManager) {
    fn set<T: Copy>(to: &mut Option<T>, from: Option<T>) {
        *to = from.or(*to);
    }
    set(&mut manager.idle_timeout, connections.idle_timeout);
    set(&mut manager.max_connection_duration, connections.max_connection_duration);
    set(&mut manager.max_stream_duration, connections.max_stream_duration);
    set(&mut manager.drain_timeout, connections.drain_timeout);
    set(&mut manager.request_timeout, connections.request_timeout);
    set(&mut manager.request_headers_timeout, connections.request_headers_timeout);
    set(&mut manager.stream_idle_timeout, connections.stream_idle_timeout);
    set(&mut manager.http2.max_concurrent_streams, connections.max_concurrent_streams);
    set(&mut manager.http2.initial_stream_window_size, connections.stream_window);
    set(&mut manager.http2.initial_connection_window_size, connections.connection_window);
    manager.headers_with_underscores = match connections.underscores {
        Some(Underscores::Allow) => HeadersWithUnderscores::Allow,
        Some(Underscores::RejectRequest) => HeadersWithUnderscores::RejectRequest,
        Some(Underscores::DropHeader) => HeadersWithUnderscores::DropHeader,
        None | Some(Underscores::Unspecified) => manager.headers_with_underscores,
    };
    manager.merge_slashes = connections.merge_slashes.unwrap_or(manager.merge_slashes);
    manager.escaped_slashes = match connections.escaped_slashes {
        Some(Slashes::KeepUnchanged) => EscapedSlashes::KeepUnchanged,
        Some(Slashes::RejectRequest) => EscapedSlashes::RejectRequest,
        Some(Slashes::UnescapeAndRedirect) => EscapedSlashes::UnescapeAndRedirect,
        Some(Slashes::UnescapeAndForward) => EscapedSlashes::UnescapeAndForward,
        None | Some(Slashes::Unspecified) => manager.escaped_slashes,
    };
}
