//! TrafficPolicy and ClientTLSSettings of a DestinationRule.

use model::Str;

use crate::reader::{Fields, Item};

/// Settings for all ports of a service or subset, and for single ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrafficPolicy {
    pub load_balancer: Option<LoadBalancer>,
    pub tls: Option<ClientTls>,
    /// Where a port is named here, nothing of the settings above holds for it.
    pub ports: Vec<PortTrafficPolicy>,
    /// Field path: `spec.trafficPolicy`.
    pub path: Str,
}

/// Settings for one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortTrafficPolicy {
    pub port: u16,
    pub load_balancer: Option<LoadBalancer>,
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
    /// Field paths of certificate settings that cannot be honoured yet: if there is one, a
    /// connection cannot be made as its author wants it, so it must not be made at all.
    pub unsupported: Vec<Str>,
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

const SIMPLE: [(&str, LoadBalancer); 6] = [
    ("UNSPECIFIED", LoadBalancer::Unspecified),
    ("LEAST_CONN", LoadBalancer::LeastRequest),
    ("RANDOM", LoadBalancer::Random),
    ("PASSTHROUGH", LoadBalancer::Passthrough),
    ("ROUND_ROBIN", LoadBalancer::RoundRobin),
    ("LEAST_REQUEST", LoadBalancer::LeastRequest),
];

const CERTIFICATES: [&str; 5] =
    ["clientCertificate", "privateKey", "caCertificates", "credentialName", "caCrl"];

pub(crate) fn read(fields: Fields<'_>) -> TrafficPolicy {
    if fields.is_empty() {
        fields.item().invalid("must not be empty".into());
    }
    let (load_balancer, tls) = read_common(&fields);
    let ports = fields.get("portLevelSettings").map(|item| item.objects(read_port)).unwrap_or_default();
    fields.no_effect(&["tunnel", "proxyProtocol", "retryBudget"]);
    let path = fields.path();
    fields.finish();
    TrafficPolicy { load_balancer, tls, ports, path }
}

fn read_port(fields: Fields<'_>) -> Option<PortTrafficPolicy> {
    let (load_balancer, tls) = read_common(&fields);
    let port = fields.require("port").and_then(|item| item.object()).and_then(|port| {
        let number = port.require("number").and_then(|n| n.port());
        port.finish();
        number
    });
    let path = fields.path();
    fields.finish();
    Some(PortTrafficPolicy { port: port?, load_balancer, tls, path })
}

fn read_common(fields: &Fields<'_>) -> (Option<LoadBalancer>, Option<ClientTls>) {
    let load_balancer = fields.get("loadBalancer").and_then(|item| read_load_balancer(&item));
    let tls = fields.get("tls").and_then(|item| read_tls(&item));
    fields.no_effect(&["connectionPool", "outlierDetection"]);
    (load_balancer, tls)
}

fn read_load_balancer(item: &Item<'_>) -> Option<LoadBalancer> {
    let fields = item.object()?;
    let simple = fields.get("simple");
    let hash = fields.get("consistentHash");
    if let (Some(_), Some(hash)) = (&simple, &hash) {
        hash.invalid("cannot stand beside simple".into());
    }
    fields.no_effect(&["consistentHash", "localityLbSetting", "zoneAwareLbSetting"]);
    fields.no_effect(&["warmup", "warmupDurationSecs", "backendUtilization"]);
    fields.finish();
    simple?.one_of(&SIMPLE)
}

fn read_tls(item: &Item<'_>) -> Option<ClientTls> {
    let fields = item.object()?;
    // Protobuf's default is the first value.
    let mode = match fields.get("mode") {
        Some(item) => item.one_of(&MODES),
        None => Some(ClientTlsMode::Disable),
    };
    let sni = fields.get("sni").and_then(|i| i.str()).filter(|s| !s.is_empty());
    let sans = fields.get("subjectAltNames");
    let skip = fields.get("insecureSkipVerify");
    if let (Some(skip), Some(_)) = (&skip, &sans)
        && skip.bool() == Some(true)
    {
        skip.invalid("cannot stand beside subjectAltNames".into());
    }
    check_certificates(&fields, mode);
    // Verifying where none is asked for is stricter, so it needs no closing.
    fields.no_effect(&["insecureSkipVerify"]);
    let unsupported = fields.conditions(&CERTIFICATES);
    let path = fields.path();
    fields.finish();
    let subject_alt_names = sans.map(|item| item.strings()).unwrap_or_default();
    Some(ClientTls { mode: mode?, sni, subject_alt_names, unsupported, path })
}

fn check_certificates(fields: &Fields<'_>, mode: Option<ClientTlsMode>) {
    let has = |name| fields.get(name).is_some();
    let files = has("clientCertificate") || has("privateKey") || has("caCertificates");
    if mode == Some(ClientTlsMode::Mutual) && !has("credentialName") {
        for name in ["clientCertificate", "privateKey"] {
            if !has(name) {
                fields.item().invalid(format!("MUTUAL needs {name}, or credentialName"));
            }
        }
    }
    if mode == Some(ClientTlsMode::IstioMutual) && (files || has("credentialName")) {
        fields.item().invalid("ISTIO_MUTUAL brings its own certificates; none may be named".into());
    }
    if has("credentialName") && (files || has("caCrl")) {
        fields.item().invalid("credentialName cannot stand beside certificate files".into());
    }
}
