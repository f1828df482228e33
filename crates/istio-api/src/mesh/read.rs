//! Reading of a MeshConfig.

use model::{Level, Str};

use super::namespaces::{LabelSelector, ServiceEntryVisibility};
use super::{
    DefaultTrafficPolicy, InboundTrafficPolicy, MeshConfig, OutboundTrafficPolicy, PathNormalization,
    TlsLimits, namespaces, proxy,
};
use crate::networking::{ClientTls, http_route, traffic_policy};
use crate::reader::{Absent, Fields, Item};
use crate::{access_log, codes, validate};

pub(super) fn read(fields: Fields<'_>) -> MeshConfig {
    let default = MeshConfig::default();
    let text = |name, default: Str| fields.get(name).and_then(|item| item.str()).unwrap_or(default);
    let name = |name, default: Str| fields.get(name).and_then(|item| item.non_empty()).unwrap_or(default);
    let export = |name, default| fields.get(name).map(|item| validate::export_to(&item)).unwrap_or(default);
    let retries = fields.get("defaultHttpRetryPolicy").and_then(|item| item.object());
    let (outbound_traffic_policy, outbound_tls) = read_outbound(&fields);
    let config = MeshConfig {
        trust_domain: name("trustDomain", default.trust_domain),
        trust_domain_aliases: fields.get("trustDomainAliases").map(|i| i.strings()).unwrap_or_default(),
        root_namespace: name("rootNamespace", default.root_namespace),
        access_log_file: text("accessLogFile", default.access_log_file),
        access_log_format: fields.get("accessLogFormat").map(|item| read_format(&item)).unwrap_or_default(),
        outbound_traffic_policy,
        outbound_tls,
        inbound_traffic_policy: read_inbound(&fields),
        proxy_http_port: fields
            .get("proxyHttpPort")
            .and_then(|item| item.int(0, u16::MAX.into()))
            .and_then(|port| u16::try_from(port).ok())
            .filter(|port| *port != 0),
        enable_auto_mtls: fields.get("enableAutoMtls").and_then(|item| item.bool()).unwrap_or(true),
        connect_timeout: fields
            .get("connectTimeout")
            .and_then(|i| i.duration())
            .unwrap_or(default.connect_timeout),
        protocol_detection_timeout: fields
            .get("protocolDetectionTimeout")
            .and_then(|item| item.any_duration())
            .unwrap_or_default(),
        default_service_export_to: export("defaultServiceExportTo", default.default_service_export_to),
        default_virtual_service_export_to: export(
            "defaultVirtualServiceExportTo",
            default.default_virtual_service_export_to,
        ),
        default_destination_rule_export_to: export(
            "defaultDestinationRuleExportTo",
            default.default_destination_rule_export_to,
        ),
        default_http_retry_policy: retries.map(|retries| {
            validate::retries(retries.item());
            http_route::read_retries(retries)
        }),
        path_normalization: read_normalization(&fields),
        locality_lb_setting: match fields.get("localityLbSetting") {
            Some(item) => Absent::from_item(Some(item)),
            None => default.locality_lb_setting,
        },
        tcp_keepalive: Absent::from_item(fields.get("tcpKeepalive")),
        h2_upgrade: fields
            .get("h2UpgradePolicy")
            .and_then(|item| item.one_of(&[("DO_NOT_UPGRADE", false), ("UPGRADE", true)]))
            .unwrap_or(false),
        default_traffic_policy: read_traffic_policy(&fields),
        dns_refresh_rate: fields
            .get("dnsRefreshRate")
            .and_then(|item| item.duration())
            .unwrap_or(default.dns_refresh_rate),
        access_log_json: read_encoding(&fields),
        disable_envoy_listener_log: Absent::from_item(fields.get("disableEnvoyListenerLog")),
        default_config: match fields.get("defaultConfig").and_then(|item| proxy::read(&item)) {
            Some(own) => own.over(&default.default_config).into(),
            None => default.default_config,
        },
        inbound_cluster_stat_name: text("inboundClusterStatName", Str::default()),
        outbound_cluster_stat_name: text("outboundClusterStatName", Str::default()),
        mesh_mtls: read_tls(&fields, "meshMTLS"),
        tls_defaults: read_tls(&fields, "tlsDefaults"),
        proxy_listen_port: read_port(&fields, "proxyListenPort").unwrap_or(default.proxy_listen_port),
        proxy_inbound_listen_port: read_port(&fields, "proxyInboundListenPort")
            .unwrap_or(default.proxy_inbound_listen_port),
        discovery_selectors: read_selectors(&fields),
        service_entry_visibility: read_visibility(&fields),
    };
    if config.proxy_listen_port == config.proxy_inbound_listen_port
        && let Some(item) = fields.get("proxyInboundListenPort").or_else(|| fields.get("proxyListenPort"))
    {
        item.invalid("proxyListenPort and proxyInboundListenPort are the same".into());
    }
    fields.no_effect(&NO_EFFECT);
    fields.finish();
    config
}

fn read_outbound(fields: &Fields<'_>) -> (OutboundTrafficPolicy, Option<ClientTls>) {
    const MODES: [(&str, OutboundTrafficPolicy); 3] = [
        ("REGISTRY_ONLY", OutboundTrafficPolicy::RegistryOnly),
        ("ALLOW_ANY", OutboundTrafficPolicy::AllowAny),
        ("ALLOW_ANY_DYNAMIC_DNS", OutboundTrafficPolicy::AllowAnyDynamicDns),
    ];
    let Some(policy) = fields.get("outboundTrafficPolicy").and_then(|item| item.object()) else {
        return (OutboundTrafficPolicy::AllowAny, None);
    };
    // Absent means protobuf's first value.
    let mode = policy.get("mode").and_then(|item| item.one_of(&MODES));
    let mode = mode.unwrap_or(OutboundTrafficPolicy::RegistryOnly);
    let tls = policy.get("tls").and_then(|item| {
        // A ConfigMap's namespace is the one of the rule that names it, and this is none's.
        validate::client_tls(&item, "");
        if mode != OutboundTrafficPolicy::AllowAnyDynamicDns {
            let message = "is of connections under ALLOW_ANY_DYNAMIC_DNS alone";
            item.report(Level::Warning, codes::NO_EFFECT, message.into());
        }
        if let Some(item) = item.field("credentialName") {
            item.no_effect_as("credentialName at sidecars");
        }
        traffic_policy::read_tls(&item)
    });
    policy.finish();
    (mode, tls)
}

fn read_inbound(fields: &Fields<'_>) -> InboundTrafficPolicy {
    const MODES: [(&str, InboundTrafficPolicy); 2] =
        [("PASSTHROUGH", InboundTrafficPolicy::Passthrough), ("LOCALHOST", InboundTrafficPolicy::Localhost)];
    let Some(policy) = fields.get("inboundTrafficPolicy").and_then(|item| item.object()) else {
        return InboundTrafficPolicy::Passthrough;
    };
    let mode = policy.get("mode").and_then(|item| item.one_of(&MODES));
    policy.finish();
    mode.unwrap_or(InboundTrafficPolicy::Passthrough)
}

fn read_selectors(fields: &Fields<'_>) -> Vec<LabelSelector> {
    let Some(item) = fields.get("discoverySelectors") else { return Vec::new() };
    namespaces::judge(&item.list());
    Absent::from_item(Some(item))
}

fn read_visibility(fields: &Fields<'_>) -> Option<ServiceEntryVisibility> {
    let item = fields.get("serviceEntryVisibility")?;
    let rules = item.each("policies").into_iter().flat_map(|policy| policy.each("matchingRules"));
    let selectors: Vec<Item<'_>> = rules.filter_map(|rule| rule.field("namespaceSelector")).collect();
    namespaces::judge(&selectors);
    Absent::from_item(Some(item))
}

fn read_port(fields: &Fields<'_>, name: &'static str) -> Option<u16> {
    fields.get(name)?.port()
}

fn read_tls(fields: &Fields<'_>, name: &'static str) -> TlsLimits {
    let Some(part) = fields.get(name).and_then(|item| item.object()) else { return TlsLimits::default() };
    let limits = TlsLimits {
        min_protocol_version: Absent::from_item(part.get("minProtocolVersion")),
        cipher_suites: Absent::from_item(part.get("cipherSuites")),
        ecdh_curves: Absent::from_item(part.get("ecdhCurves")),
    };
    part.finish();
    limits
}

/// An operator that Envoy has not would make it refuse every listener: it is logged as `-`.
fn read_format(item: &Item<'_>) -> Str {
    let Some(format) = item.str() else { return Str::default() };
    for operator in access_log::unknown_operators(&format) {
        let message = format!(
            "%{}% at character {} is no operator of access logs; it is logged as -",
            operator.name,
            format.get(..operator.at.start).map_or(0, |before| before.chars().count() + 1)
        );
        item.report(Level::Warning, codes::LOG_OPERATOR, message);
    }
    access_log::without_unknown(&format).into()
}

fn read_encoding(fields: &Fields<'_>) -> bool {
    let Some(item) = fields.get("accessLogEncoding") else { return false };
    item.one_of(&[("TEXT", false), ("JSON", true)]) == Some(true)
}

fn read_traffic_policy(fields: &Fields<'_>) -> DefaultTrafficPolicy {
    let Some(policy) = fields.get("defaultTrafficPolicy").and_then(|item| item.object()) else {
        return DefaultTrafficPolicy::default();
    };
    let read = DefaultTrafficPolicy {
        connection_pool: Absent::from_item(policy.get("connectionPool")),
        outlier_detection: Absent::from_item(policy.get("outlierDetection")),
    };
    policy.finish();
    read
}

fn read_normalization(fields: &Fields<'_>) -> PathNormalization {
    const MODES: [(&str, PathNormalization); 5] = [
        ("DEFAULT", PathNormalization::Base),
        ("NONE", PathNormalization::None),
        ("BASE", PathNormalization::Base),
        ("MERGE_SLASHES", PathNormalization::MergeSlashes),
        ("DECODE_AND_MERGE_SLASHES", PathNormalization::DecodeAndMergeSlashes),
    ];
    let Some(part) = fields.get("pathNormalization").and_then(|item| item.object()) else {
        return PathNormalization::Base;
    };
    let mode = part.get("normalization").and_then(|item| item.one_of(&MODES));
    part.finish();
    mode.unwrap_or(PathNormalization::Base)
}

/// Fields of a MeshConfig that Istio knows.
const NO_EFFECT: [&str; 18] = [
    "ca",
    "caCertificates",
    "certificates",
    "configSources",
    "defaultProviders",
    "enableEnvoyAccessLogService",
    "enablePrometheusMerge",
    "enableTracing",
    "extensionProviders",
    "hboneIdleTimeout",
    "ingressClass",
    "ingressControllerMode",
    "ingressSelector",
    "ingressService",
    "serviceScopeConfigs",
    "serviceSettings",
    "verifyCertificateAtClient",
    "zoneAwareLbSetting",
];
