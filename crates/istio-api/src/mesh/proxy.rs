//! ProxyConfig as MeshConfig's `defaultConfig` and the annotation `proxy.istio.io/config` have it:
//! <https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#ProxyConfig>.

use std::collections::BTreeMap;
use std::time::Duration;

use model::Str;

use super::connection_settings::{self, ConnectionSettings};
use crate::codes;
use crate::networking::ProxyConfig;
use crate::reader::{Cx, Fields, Item, Read};
use crate::schema::macros::{choice, message};
use crate::schema::{Message, boolean, choice as one_of, object, port, text, text_map, uint32};
use crate::yaml;

/// What of it is heeded.
pub const SCHEMA: &Message = &ProxySettings::MESSAGE;
/// The annotation of a pod that has one.
pub const ANNOTATION: &str = "proxy.istio.io/config";

message! {
    /// What a proxy is told before it starts, and what the control plane heeds in its configuration.
    pub struct ProxySettings {
        /// Worker threads; 0: as many as there are cores.
        "concurrency" concurrency: Option<u32> = uint32().nullable(),
        /// Environment variables of the proxy.
        "proxyMetadata" proxy_metadata: BTreeMap<Str, Str> = text_map(),
        /// How long a proxy drains after SIGTERM.
        "terminationDrainDuration" termination_drain: Option<Duration> = text(),
        /// Who stands before gateways.
        "gatewayTopology" gateway_topology: Option<Topology> = object(&Topology::MESSAGE),
        "proxyHeaders" headers: Option<ProxyHeaders> = object(&ProxyHeaders::MESSAGE),
        /// Of the proxy's administration, on the loopback address.
        "proxyAdminPort" admin_port: Option<u16> = port(),
        /// Of the agent's health and merged statistics.
        "statusPort" status_port: Option<u16> = port(),
        /// How long listeners take connections while they drain.
        "drainDuration" drain_duration: Option<Duration> = text(),
        /// How often, and from how many KiB on, logs are written.
        "fileFlushInterval" file_flush_interval: Option<Duration> = text(),
        "fileFlushMinSizeKb" file_flush_min_size_kb: Option<u32> = uint32(),
        /// How connections come to the proxy.
        "interceptionMode" interception: Option<Interception> = one_of(Interception::NAMES),
        "connectionSettings" connections: Option<ConnectionSettings> = object(&ConnectionSettings::MESSAGE),
    }
}

choice! {
    /// How connections come to a proxy.
    pub enum Interception {
        "REDIRECT" Redirect,
        /// Has no effect.
        "TPROXY" Tproxy,
        /// To ports of its own alone.
        "NONE" None,
    }
}

message! {
    /// Who stands before gateways.
    pub struct Topology {
        /// So many of the last addresses of `x-forwarded-for` are proxies of ours.
        "numTrustedProxies" num_trusted_proxies: Option<u32> = uint32(),
        "forwardClientCertDetails" forward_client_cert: Option<ForwardClientCert> =
            one_of(ForwardClientCert::NAMES),
        /// Connections begin with the PROXY protocol's header.
        "proxyProtocol" proxy_protocol: Option<Present> = object(&PRESENT),
    }
}

message! {
    /// Headers that proxies write.
    pub struct ProxyHeaders {
        /// At sidecars.
        "forwardedClientCert" forward_client_cert: Option<ForwardClientCert> =
            one_of(ForwardClientCert::NAMES),
        "setCurrentClientCertDetails" client_cert_details: Option<ClientCertDetails> =
            object(&ClientCertDetails::MESSAGE),
        "requestId" request_id: Option<Toggle> = object(&Toggle::MESSAGE),
        "server" server: Option<ServerHeader> = object(&ServerHeader::MESSAGE),
        "attemptCount" attempt_count: Option<Toggle> = object(&Toggle::MESSAGE),
        "xForwardedHost" forwarded_host: Option<Switch> = object(&Switch::MESSAGE),
        "xForwardedPort" forwarded_port: Option<Switch> = object(&Switch::MESSAGE),
        /// `x-envoy-upstream-service-time` and its like.
        "envoyDebugHeaders" debug_headers: Option<Toggle> = object(&Toggle::MESSAGE),
        /// Workloads tell each other who they are over the mesh's mutual TLS alone, whatever it says.
        "metadataExchangeHeaders" metadata_exchange: Option<MetadataExchange> =
            object(&MetadataExchange::MESSAGE),
        /// Names of headers keep their case over HTTP/1.
        "preserveHttp1HeaderCase" preserve_case: Option<bool> = boolean(),
    }
}

message! {
    /// Whether peers tell each other who they are.
    pub struct MetadataExchange {
        "mode" mode: Option<ExchangeMode> = one_of(ExchangeMode::NAMES),
    }
}

choice! {
    /// Whom a workload tells who it is.
    pub enum ExchangeMode {
        "UNDEFINED" Undefined,
        /// Workloads of the mesh.
        "IN_MESH" InMesh,
    }
}

message! {
    /// Something that is on where nobody says otherwise.
    pub struct Toggle {
        "disabled" disabled: Option<bool> = boolean(),
    }
}

message! {
    /// Something that is off where nobody says otherwise.
    pub struct Switch {
        "enabled" enabled: Option<bool> = boolean(),
    }
}

message! {
    /// The header `server`; as the endpoint wrote it where disabled.
    pub struct ServerHeader {
        "disabled" disabled: Option<bool> = boolean(),
        "value" value: Str = text(),
    }
}

message! {
    /// What is said of the client's certificate; without: subject, names and URI.
    pub struct ClientCertDetails {
        "subject" subject: Option<bool> = boolean(),
        "cert" cert: Option<bool> = boolean(),
        "chain" chain: Option<bool> = boolean(),
        "dns" dns: Option<bool> = boolean(),
        "uri" uri: Option<bool> = boolean(),
    }
}

choice! {
    /// What becomes of `x-forwarded-client-cert`.
    pub enum ForwardClientCert {
        "UNDEFINED" Undefined,
        "SANITIZE" Sanitize,
        "FORWARD_ONLY" ForwardOnly,
        "APPEND_FORWARD" AppendForward,
        "SANITIZE_SET" SanitizeSet,
        "ALWAYS_FORWARD_ONLY" AlwaysForwardOnly,
    }
}

message! {
    /// A message without fields.
    table PRESENT {}
}

/// A message without fields is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Present;

impl Read for Present {
    fn read(item: &Item<'_>) -> Option<Self> {
        item.object()?.finish();
        Some(Present)
    }
}

impl ProxySettings {
    /// These settings, and those of `base` where they say nothing. Maps are merged by their keys,
    /// messages field by field.
    pub fn over(mut self, base: &ProxySettings) -> ProxySettings {
        self.concurrency = self.concurrency.or(base.concurrency);
        for (name, value) in &base.proxy_metadata {
            self.proxy_metadata.entry(name.clone()).or_insert_with(|| value.clone());
        }
        self.termination_drain = self.termination_drain.or(base.termination_drain);
        self.gateway_topology = merge(self.gateway_topology, &base.gateway_topology, Topology::over);
        self.headers = merge(self.headers, &base.headers, ProxyHeaders::over);
        self.connections = merge(self.connections, &base.connections, ConnectionSettings::over);
        self.drain_duration = self.drain_duration.or(base.drain_duration);
        self.file_flush_interval = self.file_flush_interval.or(base.file_flush_interval);
        let kib = self.file_flush_min_size_kb.filter(|kib| *kib > 0);
        self.file_flush_min_size_kb = kib.or(base.file_flush_min_size_kb);
        self.interception =
            self.interception.filter(|own| *own != Interception::Redirect).or(base.interception);
        self.admin_port = self.admin_port.or(base.admin_port);
        self.status_port = self.status_port.or(base.status_port);
        self
    }

    /// As an environment variable says it, or the mesh for all.
    pub fn variable(&self, name: &str) -> Option<&Str> {
        self.proxy_metadata.get(name)
    }
}

fn merge<T: Clone>(own: Option<T>, base: &Option<T>, over: impl Fn(T, &T) -> T) -> Option<T> {
    match (own, base) {
        (Some(own), Some(base)) => Some(over(own, base)),
        (own, base) => own.or_else(|| base.clone()),
    }
}

/// The first value of an enumeration counts as absent.
fn choose(own: Option<ForwardClientCert>, base: Option<ForwardClientCert>) -> Option<ForwardClientCert> {
    own.filter(|own| *own != ForwardClientCert::Undefined).or(base)
}

impl Topology {
    fn over(self, base: &Topology) -> Topology {
        Topology {
            num_trusted_proxies: self
                .num_trusted_proxies
                .filter(|count| *count > 0)
                .or(base.num_trusted_proxies),
            forward_client_cert: choose(self.forward_client_cert, base.forward_client_cert),
            proxy_protocol: self.proxy_protocol.or(base.proxy_protocol),
        }
    }
}

impl ProxyHeaders {
    fn over(self, base: &ProxyHeaders) -> ProxyHeaders {
        let toggle = |own: Toggle, base: &Toggle| Toggle { disabled: own.disabled.or(base.disabled) };
        let switch = |own: Switch, base: &Switch| Switch { enabled: own.enabled.or(base.enabled) };
        ProxyHeaders {
            forward_client_cert: choose(self.forward_client_cert, base.forward_client_cert),
            client_cert_details: merge(self.client_cert_details, &base.client_cert_details, |own, base| {
                ClientCertDetails {
                    subject: own.subject.or(base.subject),
                    cert: own.cert.or(base.cert),
                    chain: own.chain.or(base.chain),
                    dns: own.dns.or(base.dns),
                    uri: own.uri.or(base.uri),
                }
            }),
            request_id: merge(self.request_id, &base.request_id, toggle),
            server: merge(self.server, &base.server, |own, base| ServerHeader {
                disabled: own.disabled.or(base.disabled),
                value: if own.value.is_empty() { base.value.clone() } else { own.value },
            }),
            attempt_count: merge(self.attempt_count, &base.attempt_count, toggle),
            forwarded_host: merge(self.forwarded_host, &base.forwarded_host, switch),
            forwarded_port: merge(self.forwarded_port, &base.forwarded_port, switch),
            debug_headers: merge(self.debug_headers, &base.debug_headers, toggle),
            metadata_exchange: self.metadata_exchange.or_else(|| base.metadata_exchange.clone()),
            preserve_case: self.preserve_case.or(base.preserve_case),
        }
    }
}

/// What of a ProxyConfig of its own kind is a setting; its image is none here.
impl From<&ProxyConfig> for ProxySettings {
    fn from(config: &ProxyConfig) -> ProxySettings {
        ProxySettings {
            concurrency: config.concurrency.and_then(|count| count.try_into().ok()),
            proxy_metadata: config.environment_variables.clone(),
            ..ProxySettings::default()
        }
    }
}

/// Reads the text of the annotation, or a proxy's own account of its settings. What cannot be read is
/// left out.
pub fn parse_proxy_config(text: &str) -> ProxySettings {
    read_text(&Cx::new(&Str::default()), "", text)
}

/// Says what of the settings among a pod's annotations has no effect. What is wrong with them is said
/// by analysis.
pub(crate) fn report_annotation(annotations: &Item<'_>) {
    let Some(item) = annotations.field(ANNOTATION) else { return };
    let Some(text) = item.str() else { return };
    let cx = item.cx().embedded();
    read_text(&cx, &item.path(), &text);
    for finding in cx.take_findings().into_iter().filter(|finding| finding.code == codes::NO_EFFECT) {
        // Its own lines are not those of the file.
        let at = item.node();
        item.cx().report(
            finding.level,
            codes::NO_EFFECT,
            &finding.field,
            (at.line, at.column),
            finding.message.to_string(),
        );
    }
}

fn read_text(cx: &Cx, path: &str, text: &str) -> ProxySettings {
    let documents = yaml::split(text).into_iter().filter_map(|chunk| yaml::load(chunk).ok());
    let Some(node) = documents.flatten().next() else { return ProxySettings::default() };
    read(&Item::under(path, &node, cx)).unwrap_or_default()
}

pub(super) fn read(item: &Item<'_>) -> Option<ProxySettings> {
    let fields = item.object()?;
    // In a local mesh every application waits for its proxy.
    if let Some(hold) =
        fields.get("holdApplicationUntilProxyStarts").filter(|hold| hold.bool() == Some(false))
    {
        hold.no_effect();
    }
    let mut settings = ProxySettings::from_fields(&fields);
    for (name, number) in
        [("proxyAdminPort", &mut settings.admin_port), ("statusPort", &mut settings.status_port)]
    {
        refuse(&fields, name, number, |port| port > 0, "must be a port, 1 to 65535");
    }
    if settings.interception == Some(Interception::Tproxy) {
        settings.interception = None;
        fields.get("interceptionMode").inspect(Item::no_effect);
    }
    // Envoy knows whole seconds of the one, and milliseconds of the other.
    let whole = |time: Duration| time.as_secs() > 0 && time.subsec_nanos() == 0;
    refuse(
        &fields,
        "drainDuration",
        &mut settings.drain_duration,
        whole,
        "must be whole seconds, one at least",
    );
    let some = |time: Duration| time >= Duration::from_millis(1);
    let flush = &mut settings.file_flush_interval;
    refuse(&fields, "fileFlushInterval", flush, some, "must be one millisecond at least");
    if let (Some(item), Some(connections)) = (fields.get("connectionSettings"), &mut settings.connections) {
        connection_settings::judge(&item, connections);
    }
    fields.no_effect(&NO_EFFECT);
    fields.finish();
    Some(settings)
}

/// Takes out a value that is not `good`, and says why.
fn refuse<T: Copy>(
    fields: &Fields<'_>,
    name: &'static str,
    value: &mut Option<T>,
    good: impl Fn(T) -> bool,
    why: &str,
) {
    if value.is_some_and(|value| !good(value)) {
        *value = None;
        fields.get(name).inspect(|item| item.invalid(why.to_owned()));
    }
}

/// Fields of a ProxyConfig that Istio knows.
const NO_EFFECT: [&str; 27] = [
    "availabilityZone",
    "binaryPath",
    "caCertificatesPem",
    "configPath",
    "controlPlaneAuthPolicy",
    "customConfigFile",
    "discoveryAddress",
    "discoveryRefreshDelay",
    "envoyAccessLogService",
    "envoyMetricsService",
    "envoyMetricsServiceAddress",
    "extraStatTags",
    "image",
    "meshId",
    "privateKeyProvider",
    "proxyBootstrapTemplatePath",
    "proxyStatsMatcher",
    "readinessProbe",
    "runtimeValues",
    "sds",
    "serviceCluster",
    "statNameLength",
    "statsCompression",
    "statsdUdpAddress",
    "tracing",
    "tracingServiceName",
    "zipkinAddress",
];
