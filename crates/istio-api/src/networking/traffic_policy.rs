//! TrafficPolicy and ClientTLSSettings of a DestinationRule.

use model::Str;

use super::http_route::PORT_SELECTOR;
use super::upstream::{ProxyProtocol, RetryBudget, Tunnel};
use super::{ConnectionPool, LoadBalancerSettings, OutlierDetection};
use crate::reader::{Absent, Fields, Item, Read as _};
use crate::schema::macros::message;
use crate::schema::{boolean, choice, list, object, text, texts};

message! {
    /// Settings for all ports of a service or subset, and for single ports.
    table TRAFFIC_POLICY {
        "loadBalancer" = object(&LoadBalancerSettings::MESSAGE),
        "connectionPool" = object(&ConnectionPool::MESSAGE),
        "outlierDetection" = object(&OutlierDetection::MESSAGE),
        "tls" = object(&TLS),
        /// For single ports, to which nothing else of this policy applies.
        "portLevelSettings" = list(&object(&PORT_POLICY)).max(4096),
        "tunnel" = object(&Tunnel::MESSAGE),
        "proxyProtocol" = object(&ProxyProtocol::MESSAGE),
        "retryBudget" = object(&RetryBudget::MESSAGE),
    }
}

message! {
    /// Settings for one port.
    table PORT_POLICY {
        "port" = object(&PORT_SELECTOR),
        "loadBalancer" = object(&LoadBalancerSettings::MESSAGE),
        "connectionPool" = object(&ConnectionPool::MESSAGE),
        "outlierDetection" = object(&OutlierDetection::MESSAGE),
        "tls" = object(&TLS),
    }
}

message! {
    /// How clients secure their connections to the service.
    table TLS {
        "mode" = choice(&["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"]),
        /// A file with the client's certificate.
        "clientCertificate" = text(),
        /// A file with the client's key.
        "privateKey" = text(),
        /// A file with the certificates that the server's must come from.
        "caCertificates" = text(),
        /// A Secret or ConfigMap in the place of the files, at gateways.
        "credentialName" = text(),
        /// One of these must be in the server's certificate.
        "subjectAltNames" = texts(),
        "sni" = text(),
        "insecureSkipVerify" = boolean().nullable(),
        /// A file with revoked certificates.
        "caCrl" = text(),
    }
}

/// Settings for all ports of a service or subset, and for single ports.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrafficPolicy {
    /// `loadBalancer.simple`; all of it is in `load_balancer_settings`.
    pub load_balancer: Option<LoadBalancer>,
    pub load_balancer_settings: Option<LoadBalancerSettings>,
    pub connection_pool: Option<ConnectionPool>,
    pub outlier_detection: Option<OutlierDetection>,
    pub tunnel: Option<Tunnel>,
    pub proxy_protocol: Option<ProxyProtocol>,
    pub retry_budget: Option<RetryBudget>,
    pub tls: Option<ClientTls>,
    /// Where a port is named here, nothing of the settings above holds for it.
    pub ports: Vec<PortTrafficPolicy>,
    /// Field path: `spec.trafficPolicy`.
    pub path: Str,
}

/// Settings for one port.
#[derive(Clone, Debug, PartialEq)]
pub struct PortTrafficPolicy {
    pub port: u16,
    pub load_balancer: Option<LoadBalancer>,
    pub load_balancer_settings: Option<LoadBalancerSettings>,
    pub connection_pool: Option<ConnectionPool>,
    pub outlier_detection: Option<OutlierDetection>,
    pub tls: Option<ClientTls>,
    /// Field path: `spec.trafficPolicy.portLevelSettings[0]`.
    pub path: Str,
}

/// `loadBalancer.simple`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LoadBalancer {
    Unspecified,
    Random,
    /// To the address that the client asked for.
    Passthrough,
    RoundRobin,
    LeastRequest,
}

/// How clients secure the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTls {
    pub mode: ClientTlsMode,
    pub sni: Option<Str>,
    /// One of these must be in the server's certificate; empty: not asked for, except that
    /// `IstioMutual` then expects the service accounts of the endpoints.
    pub subject_alt_names: Vec<Str>,
    /// A file.
    pub client_certificate: Option<Str>,
    /// A file.
    pub private_key: Option<Str>,
    /// A file.
    pub ca_certificates: Option<Str>,
    /// A file.
    pub ca_crl: Option<Str>,
    /// A Secret in the place of the files, at gateways; sidecars take the files.
    pub credential_name: Option<Str>,
    pub insecure_skip_verify: Option<bool>,
    pub path: Str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClientTlsMode {
    Disable,
    Simple,
    Mutual,
    IstioMutual,
}

const MODES: [(&str, ClientTlsMode); 4] = [
    ("DISABLE", ClientTlsMode::Disable),
    ("SIMPLE", ClientTlsMode::Simple),
    ("MUTUAL", ClientTlsMode::Mutual),
    ("ISTIO_MUTUAL", ClientTlsMode::IstioMutual),
];

pub(crate) const SIMPLE: [(&str, LoadBalancer); 6] = [
    ("UNSPECIFIED", LoadBalancer::Unspecified),
    ("LEAST_CONN", LoadBalancer::LeastRequest),
    ("RANDOM", LoadBalancer::Random),
    ("PASSTHROUGH", LoadBalancer::Passthrough),
    ("ROUND_ROBIN", LoadBalancer::RoundRobin),
    ("LEAST_REQUEST", LoadBalancer::LeastRequest),
];

pub(crate) fn read(fields: Fields<'_>) -> TrafficPolicy {
    let common = read_common(&fields);
    let policy = TrafficPolicy {
        load_balancer: common.load_balancer_settings.as_ref().and_then(|settings| settings.simple),
        ports: fields.get("portLevelSettings").map(|item| item.objects(read_port)).unwrap_or_default(),
        tunnel: fields.get("tunnel").and_then(|item| read_tunnel(&item)),
        proxy_protocol: Absent::from_item(fields.get("proxyProtocol")),
        retry_budget: Absent::from_item(fields.get("retryBudget")),
        path: fields.path(),
        ..common
    };
    fields.finish();
    policy
}

fn read_port(fields: Fields<'_>) -> Option<PortTrafficPolicy> {
    let common = read_common(&fields);
    let port = fields.get("port").and_then(|item| item.object()).and_then(|port| {
        let number = port.get("number").and_then(|n| n.port());
        port.finish();
        number
    });
    let path = fields.path();
    fields.finish();
    Some(PortTrafficPolicy {
        port: port?,
        load_balancer: common.load_balancer_settings.as_ref().and_then(|settings| settings.simple),
        load_balancer_settings: common.load_balancer_settings,
        connection_pool: common.connection_pool,
        outlier_detection: common.outlier_detection,
        tls: common.tls,
        path,
    })
}

/// What a policy has for all ports and for single ones.
fn read_common(fields: &Fields<'_>) -> TrafficPolicy {
    report_inside(fields, "outlierDetection", "outlierDetectionHttpErrorCodes");
    TrafficPolicy {
        load_balancer_settings: fields.get("loadBalancer").and_then(|item| read_load_balancer(&item)),
        tls: fields.get("tls").and_then(|item| read_tls(&item)),
        connection_pool: Absent::from_item(fields.get("connectionPool")),
        outlier_detection: Absent::from_item(fields.get("outlierDetection")),
        ..TrafficPolicy::default()
    }
}

/// As [`Fields::no_effect`], one step further in.
fn report_inside(fields: &Fields<'_>, outer: &'static str, name: &str) {
    if let Some(item) = fields.get(outer).and_then(|item| item.field(name)) {
        item.no_effect();
    }
}

fn read_tunnel(item: &Item<'_>) -> Option<Tunnel> {
    let tunnel = Tunnel::read(item)?;
    if tunnel.is_post() {
        item.no_effect_as("a tunnel by POST");
    }
    Some(tunnel)
}

fn read_load_balancer(item: &Item<'_>) -> Option<LoadBalancerSettings> {
    let fields = item.object()?;
    fields.no_effect(&["zoneAwareLbSetting", "backendUtilization"]);
    let settings = item.cx().without_effect(|| LoadBalancerSettings::from_fields(&fields));
    fields.finish();
    Some(settings)
}

pub(crate) fn read_tls(item: &Item<'_>) -> Option<ClientTls> {
    let fields = item.object()?;
    // Protobuf's default is the first value.
    let mode = match fields.get("mode") {
        Some(item) => item.one_of(&MODES),
        None => Some(ClientTlsMode::Disable),
    };
    let some = |name| fields.get(name).and_then(|item| item.str()).filter(|text| !text.is_empty());
    let tls = ClientTls {
        mode: mode?,
        sni: some("sni"),
        subject_alt_names: Absent::from_item(fields.get("subjectAltNames")),
        client_certificate: some("clientCertificate"),
        private_key: some("privateKey"),
        ca_certificates: some("caCertificates"),
        ca_crl: some("caCrl"),
        credential_name: some("credentialName"),
        insecure_skip_verify: Absent::from_item(fields.get("insecureSkipVerify")),
        path: fields.path(),
    };
    fields.finish();
    Some(tls)
}
