//! MeshConfig: <https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/>.

pub mod connection_settings;
pub mod namespaces;
pub mod proxy;
mod read;

use std::sync::Arc;
use std::time::Duration;

use model::{Finding, Str};

use crate::codes;
use crate::networking::connection_pool::TcpKeepalive;
use crate::networking::gateway::TlsVersion;
use crate::networking::load_balancer::LocalityLbSetting;
use crate::networking::{ClientTls, ConnectionPool, OutlierDetection, Retries};
use crate::reader::{Cx, Item};
use crate::units::ExportTo;
use crate::yaml::{self, Node};

use namespaces::{LabelSelector, ServiceEntryVisibility};
use proxy::ProxySettings;

/// Settings of the whole mesh, with Istio's defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct MeshConfig {
    pub trust_domain: Str,
    /// Other trust domains whose identities count as ours in policies.
    pub trust_domain_aliases: Vec<Str>,
    /// Policies here hold for the whole mesh.
    pub root_namespace: Str,
    /// Empty: no access log.
    pub access_log_file: Str,
    /// Envoy's text format; empty: Istio's default.
    pub access_log_format: Str,
    pub outbound_traffic_policy: OutboundTrafficPolicy,
    /// Of connections to hosts that the proxy resolves.
    pub outbound_tls: Option<ClientTls>,
    pub inbound_traffic_policy: InboundTrafficPolicy,
    /// Where applications find their proxy as an HTTP proxy, at the loopback address. `None`: nowhere.
    pub proxy_http_port: Option<u16>,
    /// Clients use mutual TLS to endpoints that can, without being told.
    pub enable_auto_mtls: bool,
    /// Of TCP connections to endpoints.
    pub connect_timeout: Duration,
    /// How long a proxy waits for a client's first bytes; zero: without a limit.
    pub protocol_detection_timeout: Duration,
    pub default_service_export_to: ExportTo,
    pub default_virtual_service_export_to: ExportTo,
    pub default_destination_rule_export_to: ExportTo,
    /// Where no route has its own. `None`: Istio's, 2 attempts on connection failures.
    pub default_http_retry_policy: Option<Retries>,
    pub path_normalization: PathNormalization,
    /// For services whose DestinationRule says nothing of localities; Istio's default is `enabled`.
    pub locality_lb_setting: Option<LocalityLbSetting>,
    /// Of connections to endpoints.
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// HTTP/1.1 to the mesh's own services becomes HTTP/2.
    pub h2_upgrade: bool,
    /// Where no DestinationRule says anything.
    pub default_traffic_policy: DefaultTrafficPolicy,
    /// How long DNS clusters wait after a lookup that failed.
    pub dns_refresh_rate: Duration,
    /// Whether access logs are JSON; the format is then an object of strings.
    pub access_log_json: bool,
    /// No log of connections that no filter chain serves.
    pub disable_envoy_listener_log: bool,
    /// For proxies that say nothing of their own.
    pub default_config: Arc<ProxySettings>,
    /// Patterns for the names of clusters in statistics; empty: the cluster's own.
    pub inbound_cluster_stat_name: Str,
    pub outbound_cluster_stat_name: Str,
    /// `meshMTLS`: of mutual TLS between workloads.
    pub mesh_mtls: TlsLimits,
    /// `tlsDefaults`: of all other TLS that says nothing of its own.
    pub tls_defaults: TlsLimits,
    /// Where connections of workloads are captured to: `virtualOutbound` of sidecars.
    pub proxy_listen_port: u16,
    /// Where connections to workloads are captured to: `virtualInbound`.
    pub proxy_inbound_listen_port: u16,
    /// Objects of other namespaces than these select are not looked at; empty: of none.
    pub discovery_selectors: Vec<LabelSelector>,
    pub service_entry_visibility: Option<ServiceEntryVisibility>,
}

/// What TLS may be made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TlsLimits {
    pub min_protocol_version: Option<TlsVersion>,
    /// Of TLS 1.2, by OpenSSL's names; empty: no limit.
    pub cipher_suites: Vec<Str>,
    /// Empty: no limit.
    pub ecdh_curves: Vec<Str>,
}

impl MeshConfig {
    /// Whether workloads ask the agent for names, where their proxies do not say.
    pub fn dns_capture(&self) -> bool {
        let capture = self.default_config.variable("ISTIO_META_DNS_CAPTURE");
        capture.is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }
}

/// What holds where no DestinationRule says anything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DefaultTrafficPolicy {
    pub connection_pool: Option<ConnectionPool>,
    pub outlier_detection: Option<OutlierDetection>,
}

/// What happens to requests for destinations nobody declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutboundTrafficPolicy {
    RegistryOnly,
    AllowAny,
    /// As `AllowAny`; names in plaintext HTTP are resolved by the proxy.
    AllowAnyDynamicDns,
}

/// Where requests for a workload are sent on to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InboundTrafficPolicy {
    /// To the address that the client asked for.
    Passthrough,
    /// To the loopback address: for applications that listen there alone.
    Localhost,
}

/// How paths are normalised before they are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathNormalization {
    None,
    /// RFC 3986, and `\` becomes `/`. Istio's DEFAULT.
    Base,
    /// As `Base`, and `//` becomes `/`.
    MergeSlashes,
    /// As `MergeSlashes`, after `%2F` and `%5C` are decoded.
    DecodeAndMergeSlashes,
}

impl Default for MeshConfig {
    fn default() -> Self {
        let all = || vec![Str::from("*")];
        MeshConfig {
            trust_domain: "cluster.local".into(),
            trust_domain_aliases: Vec::new(),
            root_namespace: "istio-system".into(),
            access_log_file: Str::default(),
            access_log_format: Str::default(),
            outbound_traffic_policy: OutboundTrafficPolicy::AllowAny,
            outbound_tls: None,
            inbound_traffic_policy: InboundTrafficPolicy::Passthrough,
            proxy_http_port: None,
            enable_auto_mtls: true,
            connect_timeout: Duration::from_secs(10),
            protocol_detection_timeout: Duration::ZERO,
            default_service_export_to: all(),
            default_virtual_service_export_to: all(),
            default_destination_rule_export_to: all(),
            default_http_retry_policy: None,
            path_normalization: PathNormalization::Base,
            locality_lb_setting: Some(LocalityLbSetting { enabled: Some(true), ..Default::default() }),
            tcp_keepalive: None,
            h2_upgrade: false,
            default_traffic_policy: DefaultTrafficPolicy::default(),
            dns_refresh_rate: Duration::from_secs(60),
            access_log_json: false,
            disable_envoy_listener_log: false,
            default_config: Arc::new(ProxySettings {
                termination_drain: Some(Duration::from_secs(5)),
                drain_duration: Some(Duration::from_secs(45)),
                admin_port: Some(15000),
                status_port: Some(15020),
                ..ProxySettings::default()
            }),
            inbound_cluster_stat_name: Str::default(),
            outbound_cluster_stat_name: Str::default(),
            mesh_mtls: TlsLimits::default(),
            tls_defaults: TlsLimits::default(),
            proxy_listen_port: 15001,
            proxy_inbound_listen_port: 15006,
            discovery_selectors: Vec::new(),
            service_entry_visibility: None,
        }
    }
}

/// What was read, and what is to be said about it.
#[derive(Clone, Debug)]
pub struct ParsedMeshConfig {
    /// The defaults, with what could be read laid over them.
    pub config: MeshConfig,
    /// Whether something was wrong: then the version before should stay in effect.
    pub broken: bool,
    pub findings: Vec<Finding>,
}

/// Reads a file that holds a MeshConfig.
pub fn parse_mesh_config(file: &str, text: &str) -> ParsedMeshConfig {
    parse_at(&Cx::new(&file.into()), text, "", 0)
}

/// As [`parse_mesh_config`], for a text that begins after `lines` lines under the field `path`.
pub(crate) fn parse_embedded(cx: &Cx, text: &str, path: &str, lines: u32) -> (MeshConfig, bool) {
    let inner = cx.embedded();
    let parsed = parse_at(&inner, text, path, lines);
    parsed.findings.into_iter().for_each(|finding| cx.push(finding));
    (parsed.config, parsed.broken)
}

fn parse_at(cx: &Cx, text: &str, path: &str, lines: u32) -> ParsedMeshConfig {
    let mut config = MeshConfig::default();
    match load_one(text, lines) {
        Ok(Some(node)) => {
            if let Some(fields) = Item::under(path, &node, cx).object() {
                config = read::read(fields);
            }
        }
        Ok(None) => {}
        Err(error) => {
            cx.break_object();
            cx.report(model::Level::Error, codes::SYNTAX, path, (error.line, error.column), error.message);
        }
    }
    ParsedMeshConfig { config, broken: cx.is_broken(), findings: cx.take_findings() }
}

fn load_one(text: &str, lines: u32) -> Result<Option<Node>, yaml::SyntaxError> {
    let mut first = None;
    for mut chunk in yaml::split(text) {
        chunk.lines_before = chunk.lines_before.saturating_add(lines);
        for node in yaml::load(chunk)? {
            if first.is_some() {
                let message = "a mesh configuration is one document".to_owned();
                return Err(yaml::SyntaxError {
                    line: node.line,
                    column: node.column,
                    message,
                    limit: false,
                });
            }
            first = Some(node);
        }
    }
    Ok(first)
}
