//! Which kind is read by what, and what is said about the others.

use model::{Level, Str};

use crate::codes;
use crate::document::Kind;
use crate::k8s;
use crate::reader::{Fields, Item, nearest};
use crate::{mesh, networking, security};

/// What is known about a kind before its content is read.
pub(crate) enum Known {
    /// We read it.
    Read { namespaced: bool },
    /// Istio or the Gateway API has it; we do nothing with it yet.
    NoEffect,
    /// Not in Istio's groups, though the group is Istio's.
    Unknown { hint: Option<&'static str> },
    /// The group is Istio's and the kind too, but there is no such version.
    BadVersion { served: &'static str },
    /// Not a mesh's business.
    Other,
}

/// Istio's kinds by group: name, versions, whether we read it.
const ISTIO: [(&str, &str, &str, bool); 16] = [
    ("networking.istio.io", "VirtualService", "v1 v1beta1 v1alpha3", true),
    ("networking.istio.io", "DestinationRule", "v1 v1beta1 v1alpha3", true),
    ("networking.istio.io", "Gateway", "v1 v1beta1 v1alpha3", true),
    ("networking.istio.io", "ServiceEntry", "v1 v1beta1 v1alpha3", true),
    ("networking.istio.io", "Sidecar", "v1 v1beta1 v1alpha3", false),
    ("networking.istio.io", "WorkloadEntry", "v1 v1beta1 v1alpha3", false),
    ("networking.istio.io", "WorkloadGroup", "v1 v1beta1 v1alpha3", false),
    ("networking.istio.io", "ProxyConfig", "v1beta1", false),
    ("networking.istio.io", "EnvoyFilter", "v1alpha3", false),
    ("security.istio.io", "PeerAuthentication", "v1 v1beta1", true),
    ("security.istio.io", "AuthorizationPolicy", "v1 v1beta1", true),
    ("security.istio.io", "RequestAuthentication", "v1 v1beta1", false),
    ("telemetry.istio.io", "Telemetry", "v1 v1alpha1", false),
    ("extensions.istio.io", "WasmPlugin", "v1alpha1", false),
    ("extensions.istio.io", "TrafficExtension", "v1alpha1", false),
    ("install.istio.io", "IstioOperator", "v1alpha1", false),
];

const GATEWAY_API: [&str; 4] = [
    "gateway.networking.k8s.io",
    "gateway.networking.x-k8s.io",
    "inference.networking.k8s.io",
    "multicluster.x-k8s.io",
];

pub(crate) fn lookup(api_version: &str, kind: &str) -> Known {
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
    match (group, version, kind) {
        ("", "v1", "Namespace") => return Known::Read { namespaced: false },
        ("", "v1", "Service" | "ServiceAccount" | "Pod" | "ConfigMap" | "Secret")
        | ("apps", "v1", "Deployment") => return Known::Read { namespaced: true },
        // Routed by Istio like its own, which we do not do.
        ("networking.k8s.io", _, "Ingress" | "IngressClass") => return Known::NoEffect,
        _ if GATEWAY_API.contains(&group) => return Known::NoEffect,
        _ => {}
    }
    if group != "istio.io" && !group.ends_with(".istio.io") {
        return Known::Other;
    }
    match ISTIO.iter().find(|(g, k, ..)| *g == group && *k == kind) {
        Some((_, _, served, _)) if !served.split(' ').any(|v| v == version) => Known::BadVersion { served },
        Some((.., true)) => Known::Read { namespaced: true },
        Some((.., false)) => Known::NoEffect,
        None => Known::Unknown { hint: nearest(kind, ISTIO.iter().map(|(_, k, ..)| *k)) },
    }
}

/// Says why an object is not read. `true` if that is an error.
pub(crate) fn report_unread(known: &Known, api_version: &str, kind: &str, root: &Item<'_>) {
    match known {
        Known::Read { .. } => {}
        Known::NoEffect => {
            root.report(Level::Warning, codes::KIND_NO_EFFECT, format!("the kind {kind} has no effect yet"));
        }
        Known::Unknown { hint } => {
            let hint = hint.map_or_else(String::new, |name| format!("; did you mean {name}?"));
            let message = format!("{api_version} has no kind {kind}{hint}");
            root.report(Level::Error, codes::UNKNOWN_KIND, message);
        }
        Known::BadVersion { served } => {
            let served = served.replace(' ', ", ");
            let message = format!("{kind} is not served in {api_version} (versions: {served})");
            root.report(Level::Error, codes::UNKNOWN_KIND, message);
        }
        Known::Other => {
            let message = format!("the kind {kind} ({api_version}) means nothing to a mesh; ignored");
            root.report(Level::Info, codes::OTHER_KIND, message);
        }
    }
}

/// What of the metadata the content depends on.
pub(crate) struct Context {
    pub name: Str,
    pub owner: Option<(Str, Str)>,
    pub dry_run: bool,
}

/// Reads the content of an object of a kind that [`lookup`] knows to be read. `None` if there is
/// nothing that could be called one; that has been reported.
pub(crate) fn read(kind: &str, document: &Fields<'_>, context: Context) -> Option<Kind> {
    // Istio's kinds may leave `spec` out, which means an empty one.
    let spec = || document.get("spec").map_or_else(|| Some(Fields::empty(document.item())), |i| i.object());
    Some(match kind {
        "Namespace" => Kind::Namespace,
        "ServiceAccount" => Kind::ServiceAccount,
        "Service" => Kind::Service(k8s::service::read(spec()?).into()),
        "Pod" => Kind::Pod(k8s::pod::read(document, context.owner).into()),
        "Deployment" => Kind::Deployment(k8s::deployment::read(document.require("spec")?.object()?).into()),
        "ConfigMap" => Kind::ConfigMap(read_config_map(document, &context.name).into()),
        "Secret" => Kind::Secret(k8s::config::read_secret(document).into()),
        "VirtualService" => Kind::VirtualService(networking::virtual_service::read(spec()?).into()),
        "DestinationRule" => Kind::DestinationRule(networking::destination_rule::read(spec()?).into()),
        "Gateway" => Kind::Gateway(networking::gateway::read(spec()?).into()),
        "ServiceEntry" => Kind::ServiceEntry(networking::service_entry::read(spec()?).into()),
        "PeerAuthentication" => Kind::PeerAuthentication(
            match spec() {
                Some(spec) => security::peer_authentication::read(spec),
                None => security::PeerAuthentication { broken: true, ..Default::default() },
            }
            .into(),
        ),
        "AuthorizationPolicy" => Kind::AuthorizationPolicy(
            match spec() {
                Some(spec) => security::authorization_policy::read(spec, context.dry_run),
                None => security::AuthorizationPolicy { broken: true, ..Default::default() },
            }
            .into(),
        ),
        _ => return None,
    })
}

fn read_config_map(document: &Fields<'_>, name: &str) -> k8s::ConfigMap {
    let mut map = k8s::config::read_config_map(document);
    let data = document.get("data").map(|item| item.entries()).unwrap_or_default();
    let mesh = data.iter().find(|(key, _)| name == "istio" && *key == "mesh");
    if let Some((item, text)) = mesh.and_then(|(_, item)| Some((item, item.str()?))) {
        let lines_before = item.node().line.saturating_sub(1);
        let (config, broken) = mesh::parse_embedded(item.cx(), &text, "data.mesh", lines_before);
        if broken {
            item.cx().break_object();
        }
        map.mesh = Some(config.into());
    }
    map
}
