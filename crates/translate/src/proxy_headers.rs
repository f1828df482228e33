//! `proxyHeaders` and `gatewayTopology` of a proxy's settings: what proxies write into headers, and whom
//! they believe. See <https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#ProxyConfig>.

use std::sync::Arc;

use ir::http::{ClientCertDetails, ForwardClientCert, ServerHeader};
use ir::listener::ListenerFilter;
use ir::route::RouteAction;
use ir::{Cluster, HttpConnectionManager, HttpProtocol, RouteConfig};
use istio_api::mesh::proxy::{ForwardClientCert as Written, parse_proxy_config};
use stdx::Str;

use crate::settings::Settings;

/// What all connection managers have in common.
pub fn common(settings: &Settings, manager: &mut HttpConnectionManager) {
    let Some(headers) = settings.headers() else { return };
    if let Some(server) = &headers.server {
        if server.disabled == Some(true) {
            (manager.server_name, manager.server_header) = (None, ServerHeader::PassThrough);
        } else if !server.value.is_empty() {
            manager.server_name = Some(server.value.clone());
        }
    }
    if headers.request_id.as_ref().is_some_and(|id| id.disabled == Some(true)) {
        manager.generate_request_id = false;
    }
    let is_quiet = headers.debug_headers.as_ref().is_some_and(|debug| debug.disabled == Some(true));
    manager.suppress_envoy_headers = is_quiet;
    manager.append_x_forwarded_port =
        headers.forwarded_port.as_ref().is_some_and(|port| port.enabled == Some(true));
    manager.preserve_header_case = headers.preserve_case == Some(true);
}

/// Names of headers keep their case towards endpoints, too.
pub fn cluster(settings: &Settings, cluster: &mut Cluster) {
    let keeps = settings.headers().is_some_and(|headers| headers.preserve_case == Some(true));
    cluster.preserve_header_case = keeps && cluster.protocol != HttpProtocol::Http2;
}

/// What of a proxy's own settings is for its clusters: nothing, as a rule, so that proxies share them.
pub fn of_clusters(proxy_config: &str) -> Str {
    // Most settings say nothing of it, and are not to be read once for each service.
    if !["preserveHttp1HeaderCase", "preserve_http1_header_case"].iter().any(|it| proxy_config.contains(it)) {
        return Str::default();
    }
    match parse_proxy_config(proxy_config).headers.and_then(|headers| headers.preserve_case) {
        Some(keeps) => format!("proxyHeaders: {{preserveHttp1HeaderCase: {keeps}}}").into(),
        None => Str::default(),
    }
}

/// `x-forwarded-client-cert` towards the application.
pub fn inbound(settings: &Settings, manager: &mut HttpConnectionManager) {
    let Some(headers) = settings.headers() else { return };
    if let Some(written) = headers.forward_client_cert.and_then(forward) {
        manager.forward_client_cert = written;
    }
    if let Some(details) = &headers.client_cert_details {
        manager.client_cert_details = ClientCertDetails {
            subject: details.subject.unwrap_or(true),
            cert: details.cert.unwrap_or(false),
            chain: details.chain.unwrap_or(false),
            dns: details.dns.unwrap_or(true),
            uri: details.uri.unwrap_or(true),
        };
    }
}

/// Whom a gateway believes. What `proxyHeaders` says of certificates is for sidecars.
pub fn gateway(settings: &Settings, manager: &mut HttpConnectionManager) {
    let Some(topology) = settings.topology() else { return };
    manager.xff_num_trusted_hops = topology.num_trusted_proxies.unwrap_or(0);
    let Some(written) = topology.forward_client_cert.and_then(forward) else { return };
    manager.forward_client_cert = written;
    if !matches!(written, ForwardClientCert::AppendForward | ForwardClientCert::SanitizeSet) {
        // Nothing is written, so nothing is to be said.
        manager.client_cert_details = ClientCertDetails::default();
    }
}

/// What a gateway's listener reads before all else.
pub fn listener_filter(settings: &Settings) -> Option<ListenerFilter> {
    settings.topology()?.proxy_protocol?;
    Some(ListenerFilter::ProxyProtocol { optional: false, disallowed: Vec::new() })
}

/// What requests say of their way.
pub fn routes(settings: &Settings, config: &mut RouteConfig) {
    let Some(headers) = settings.headers() else { return };
    let no_count = headers.attempt_count.as_ref().is_some_and(|count| count.disabled == Some(true));
    let tells_host = headers.forwarded_host.as_ref().is_some_and(|host| host.enabled == Some(true));
    if !no_count && !tells_host {
        return;
    }
    for host in config.virtual_hosts.iter_mut().map(Arc::make_mut) {
        host.include_request_attempt_count &= !no_count;
        for route in &mut host.routes {
            if let RouteAction::Forward(forward) = &mut route.action {
                forward.append_x_forwarded_host |= tells_host;
            }
        }
    }
}

fn forward(written: Written) -> Option<ForwardClientCert> {
    Some(match written {
        Written::Undefined => return None,
        Written::Sanitize => ForwardClientCert::Sanitize,
        Written::ForwardOnly => ForwardClientCert::ForwardOnly,
        Written::AppendForward => ForwardClientCert::AppendForward,
        Written::SanitizeSet => ForwardClientCert::SanitizeSet,
        Written::AlwaysForwardOnly => ForwardClientCert::AlwaysForwardOnly,
    })
}
