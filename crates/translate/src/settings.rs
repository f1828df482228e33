//! What translation reads of MeshConfig, in the form it needs it.

use std::sync::Arc;
use std::time::Duration;

use ir::access_log::{AccessLogFilter, AccessLogSink, LogFormat};
use ir::http::EscapedSlashes;
use ir::{AccessLog, RetryPolicy};
use istio_api::MeshConfig;
use istio_api::mesh::proxy::{ProxyHeaders, ProxySettings, Topology};
use istio_api::mesh::{InboundTrafficPolicy, OutboundTrafficPolicy, PathNormalization, TlsLimits};
use istio_api::networking::ClientTls;
use registry::Features;
use stdx::Str;

use crate::access_log;
use crate::names;
use crate::routes::policy;

/// What becomes of a sidecar's traffic to destinations that nobody declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outbound {
    RegistryOnly,
    AllowAny,
    /// Plaintext HTTP has a cluster of its own.
    DynamicDns,
    /// All of it to this cluster.
    Through(Str),
}

impl Outbound {
    /// The cluster of such connections.
    pub fn cluster(&self) -> Str {
        match self {
            Outbound::RegistryOnly => names::BLACK_HOLE_CLUSTER.into(),
            Outbound::AllowAny | Outbound::DynamicDns => names::PASSTHROUGH_CLUSTER.into(),
            Outbound::Through(cluster) => cluster.clone(),
        }
    }
}

/// The mesh's settings.
#[derive(Clone, Debug)]
pub struct Settings {
    pub connect_timeout: Duration,
    /// What becomes of traffic that nothing claims.
    pub outbound: Outbound,
    /// Of connections to hosts that the proxy resolves.
    pub outbound_tls: Option<ClientTls>,
    pub features: Features,
    pub auto_mtls: bool,
    /// The mesh's own first, then its aliases.
    pub trust_domains: Vec<Str>,
    /// How long a connection may be looked at; zero: without a limit.
    pub protocol_detection_timeout: Duration,
    pub normalize_path: bool,
    pub merge_slashes: bool,
    pub escaped_slashes: EscapedSlashes,
    /// For routes that say nothing of retries.
    pub retry: Option<RetryPolicy>,
    pub outbound_port: u16,
    pub inbound_port: u16,
    pub access_log: Option<(AccessLogSink, LogFormat)>,
    /// Connections that no filter chain serves are logged too.
    pub log_at_listeners: bool,
    /// The pattern of `inbound|PORT||` in statistics; empty: none.
    pub inbound_stat_name: Str,
    /// Of mutual TLS between workloads.
    pub mesh_mtls: TlsLimits,
    /// Of all other TLS.
    pub tls_defaults: TlsLimits,
    /// Applications are asked at the loopback address.
    pub inbound_to_localhost: bool,
    /// Of the proxy that the resources are for.
    pub proxy: Arc<ProxySettings>,
}

impl Settings {
    pub fn of(mesh: &MeshConfig, features: &Features) -> Self {
        let normalization = mesh.path_normalization;
        let mut trust_domains = vec![mesh.trust_domain.clone()];
        trust_domains.extend(mesh.trust_domain_aliases.iter().filter(|d| **d != mesh.trust_domain).cloned());
        Settings {
            connect_timeout: mesh.connect_timeout,
            outbound: match mesh.outbound_traffic_policy {
                OutboundTrafficPolicy::RegistryOnly => Outbound::RegistryOnly,
                OutboundTrafficPolicy::AllowAny => Outbound::AllowAny,
                OutboundTrafficPolicy::AllowAnyDynamicDns => Outbound::DynamicDns,
            },
            outbound_tls: mesh.outbound_tls.clone(),
            features: features.clone(),
            auto_mtls: mesh.enable_auto_mtls,
            trust_domains,
            protocol_detection_timeout: mesh.protocol_detection_timeout,
            normalize_path: normalization != PathNormalization::None,
            merge_slashes: matches!(
                normalization,
                PathNormalization::MergeSlashes | PathNormalization::DecodeAndMergeSlashes
            ),
            escaped_slashes: match normalization {
                PathNormalization::DecodeAndMergeSlashes => EscapedSlashes::UnescapeAndForward,
                _ => EscapedSlashes::KeepUnchanged,
            },
            retry: mesh
                .default_http_retry_policy
                .as_ref()
                .map_or_else(|| Some(policy::default_retry()), policy::retry),
            outbound_port: mesh.proxy_listen_port,
            inbound_port: mesh.proxy_inbound_listen_port,
            log_at_listeners: !mesh.disable_envoy_listener_log,
            inbound_stat_name: mesh.inbound_cluster_stat_name.clone(),
            mesh_mtls: mesh.mesh_mtls.clone(),
            tls_defaults: mesh.tls_defaults.clone(),
            inbound_to_localhost: mesh.inbound_traffic_policy == InboundTrafficPolicy::Localhost,
            proxy: mesh.default_config.clone(),
            access_log: log_sink(&mesh.access_log_file).map(|sink| (sink, access_log::format(mesh))),
        }
    }

    /// What the proxy is told of headers.
    pub fn headers(&self) -> Option<&ProxyHeaders> {
        self.proxy.headers.as_ref()
    }

    /// Who stands before a gateway.
    pub fn topology(&self) -> Option<&Topology> {
        self.proxy.gateway_topology.as_ref()
    }

    /// How long anybody may take for a TLS handshake; `None`: as long as they like.
    pub fn handshake_timeout(&self) -> Option<Duration> {
        Some(self.features.handshake_timeout).filter(|timeout| !timeout.is_zero())
    }

    /// The log of requests and connections.
    pub fn access_log(&self) -> Vec<AccessLog> {
        self.log_with(None)
    }

    /// The log of connections that no filter chain serves.
    pub fn listener_access_log(&self) -> Vec<AccessLog> {
        if !self.log_at_listeners {
            return Vec::new();
        }
        self.log_with(Some(AccessLogFilter::ResponseFlags(vec!["NR".into()])))
    }

    fn log_with(&self, filter: Option<AccessLogFilter>) -> Vec<AccessLog> {
        let Some((sink, format)) = &self.access_log else { return Vec::new() };
        vec![AccessLog { sink: sink.clone(), format: Some(format.clone()), filter }]
    }
}

/// `/dev/stdout` and its like are not files: a container may not be able to open them.
fn log_sink(file: &str) -> Option<AccessLogSink> {
    match file {
        "" => None,
        "/dev/stdout" => Some(AccessLogSink::Stdout),
        "/dev/stderr" => Some(AccessLogSink::Stderr),
        path => Some(AccessLogSink::File(path.into())),
    }
}
