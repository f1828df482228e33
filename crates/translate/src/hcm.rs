//! HTTP connection managers of the three kinds: towards services, towards the own application,
//! at a gateway.

use std::sync::Arc;
use std::time::Duration;

use ir::filter::Reporter;
use ir::http::{ClientCertDetails, CodecType, ForwardClientCert, RouteSource};
use ir::{HttpConnectionManager, HttpFilter, RouteConfig};
use model::DataPlane;
use stdx::Str;

use crate::names::strs;
use crate::settings::Settings;
use crate::{connection_settings, proxy_headers};

/// Where traffic comes in. What leaves an application comes back with Envoy's own name, `envoy`, as in Istio
/// (`GetProxyHeadersFromProxyConfig`, which calls that a mistake that is kept).
const SERVER_NAME: Option<&str> = Some("istio-envoy");

/// ALPN for clusters whose HTTP version follows the client, where only stock filters may be used:
/// names that lead to an HTTP chain but promise no version, so that the server looks at the bytes.
const ANY_HTTP_ALPN: [&str; 3] = ["istio-http/1.1", "istio-h2", "istio"];

/// Between the application and a service.
pub fn outbound(
    settings: &Settings,
    data_plane: DataPlane,
    stat_prefix: Str,
    routes: Str,
    detects: bool,
) -> HttpConnectionManager {
    let mut filters = Vec::new();
    match data_plane {
        DataPlane::Lateen => {
            filters.push(HttpFilter::PeerMetadata);
            filters.push(HttpFilter::GrpcStats);
            filters.push(istio_alpn());
        }
        DataPlane::Envoy => {
            filters.push(HttpFilter::GrpcStats);
            if detects {
                filters.push(HttpFilter::UpstreamAlpn { protocols: strs(&ANY_HTTP_ALPN) });
            }
        }
    }
    filters.extend([HttpFilter::Fault(Box::default()), HttpFilter::Cors]);
    filters.extend(stats(data_plane, Reporter::Source));
    let mut manager = HttpConnectionManager {
        routes: RouteSource::Rds(routes),
        ..base(settings, None, stat_prefix, filters)
    };
    connection_settings::sidecar(settings, &mut manager);
    manager
}

/// Between a client and the own application. `rbac` is what policies demand.
pub fn inbound(
    settings: &Settings,
    data_plane: DataPlane,
    stat_prefix: Str,
    routes: RouteConfig,
    rbac: Vec<HttpFilter>,
) -> HttpConnectionManager {
    let mut filters = peer_metadata(data_plane);
    filters.extend(rbac);
    filters.extend([HttpFilter::GrpcStats, HttpFilter::Fault(Box::default()), HttpFilter::Cors]);
    filters.extend(stats(data_plane, Reporter::Destination));
    let mut manager = HttpConnectionManager {
        routes: RouteSource::Inline(Arc::new(routes)),
        forward_client_cert: ForwardClientCert::AppendForward,
        client_cert_details: ClientCertDetails {
            subject: true,
            cert: false,
            chain: false,
            dns: true,
            uri: true,
        },
        ..base(settings, SERVER_NAME, stat_prefix, filters)
    };
    proxy_headers::inbound(settings, &mut manager);
    connection_settings::sidecar(settings, &mut manager);
    manager
}

/// Where traffic enters the mesh: the client's address is the connection's, and nothing that it
/// says of certificates is believed.
pub fn gateway(
    settings: &Settings,
    data_plane: DataPlane,
    stat_prefix: Str,
    routes: Str,
    rbac: Vec<HttpFilter>,
) -> HttpConnectionManager {
    let mut filters = peer_metadata(data_plane);
    filters.extend(rbac);
    filters.push(HttpFilter::GrpcStats);
    if data_plane == DataPlane::Lateen {
        filters.push(istio_alpn());
    }
    filters.extend([HttpFilter::Fault(Box::default()), HttpFilter::Cors]);
    filters.extend(stats(data_plane, Reporter::Gateway));
    let mut manager = HttpConnectionManager {
        routes: RouteSource::Rds(routes),
        use_remote_address: true,
        forward_client_cert: ForwardClientCert::SanitizeSet,
        client_cert_details: ClientCertDetails {
            subject: true,
            cert: true,
            chain: false,
            dns: true,
            uri: true,
        },
        ..base(settings, SERVER_NAME, stat_prefix, filters)
    };
    proxy_headers::gateway(settings, &mut manager);
    connection_settings::gateway(settings, &mut manager);
    manager
}

fn base(
    settings: &Settings,
    server_name: Option<&str>,
    stat_prefix: Str,
    http_filters: Vec<HttpFilter>,
) -> HttpConnectionManager {
    let mut manager = HttpConnectionManager {
        stat_prefix,
        codec: CodecType::Auto,
        http_filters,
        access_log: settings.access_log(),
        upgrades: strs(&["websocket"]),
        server_name: server_name.map(Str::from),
        generate_request_id: true,
        proxy_100_continue: settings.features.proxy_100_continue,
        accept_http_10: settings.features.http10,
        normalize_path: settings.normalize_path,
        merge_slashes: settings.merge_slashes,
        escaped_slashes: settings.escaped_slashes,
        stream_idle_timeout: Some(Duration::ZERO),
        ..HttpConnectionManager::default()
    };
    proxy_headers::common(settings, &mut manager);
    manager
}

/// Which protocol the upstream connection offers, by the version of HTTP that is spoken on it.
fn istio_alpn() -> HttpFilter {
    HttpFilter::IstioAlpn {
        http10: strs(&["istio-http/1.0", "istio", "http/1.0"]),
        http11: strs(&["istio-http/1.1", "istio", "http/1.1"]),
        http2: strs(&["istio-h2", "istio", "h2"]),
    }
}

/// Stock Envoy refuses what it does not know, so Istio's own filters go to our proxy only.
fn peer_metadata(data_plane: DataPlane) -> Vec<HttpFilter> {
    match data_plane {
        DataPlane::Lateen => vec![HttpFilter::PeerMetadata],
        DataPlane::Envoy => Vec::new(),
    }
}

fn stats(data_plane: DataPlane, reporter: Reporter) -> Option<HttpFilter> {
    (data_plane == DataPlane::Lateen).then_some(HttpFilter::IstioStats { reporter })
}
