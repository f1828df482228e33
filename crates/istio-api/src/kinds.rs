//! Which kind is read by what, and what is said about the others.

use model::{Level, Str};

use crate::codes;
use crate::document::Kind;
use crate::k8s;
use crate::reader::Read;
use crate::reader::{Fields, Item, nearest};
use crate::schema::{Resource, resources};
use crate::{extensions, mesh, networking, security, telemetry};

/// What is known about a kind before its content is read.
pub(crate) enum Known {
    /// We read it.
    Read { namespaced: bool },
    /// One of Istio's kinds that have a schema.
    Istio(&'static Resource),
    /// Istio or the Gateway API has it; we do nothing with it yet.
    NoEffect,
    /// Not in Istio's groups, though the group is Istio's.
    Unknown { hint: Option<&'static str> },
    /// The group is Istio's and the kind too, but there is no such version.
    BadVersion { served: &'static [&'static str] },
    /// Not a mesh's business.
    Other,
}

/// Kinds that are read, shown to analysis, and do nothing yet.
const WITHOUT_EFFECT: [&str; 5] =
    ["EnvoyFilter", "RequestAuthentication", "Telemetry", "WasmPlugin", "TrafficExtension"];

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
        | ("apps", "v1", "Deployment")
        | ("discovery.k8s.io", "v1", "EndpointSlice") => return Known::Read { namespaced: true },
        // Routed by Istio like its own, which we do not do.
        ("networking.k8s.io", _, "Ingress" | "IngressClass") => return Known::NoEffect,
        _ if GATEWAY_API.contains(&group) => return Known::NoEffect,
        _ => {}
    }
    if group != "istio.io" && !group.ends_with(".istio.io") {
        return Known::Other;
    }
    if (group, version, kind) == ("install.istio.io", "v1alpha1", "IstioOperator") {
        return Known::NoEffect;
    }
    match resources().iter().find(|resource| resource.group == group && resource.kind == kind) {
        Some(resource) if !resource.versions.contains(&version) => {
            Known::BadVersion { served: resource.versions }
        }
        Some(resource) => Known::Istio(resource),
        None => Known::Unknown { hint: nearest(kind, resources().iter().map(|resource| resource.kind)) },
    }
}

/// Says why an object is not read. `true` if that is an error.
pub(crate) fn report_unread(known: &Known, api_version: &str, kind: &str, root: &Item<'_>) {
    match known {
        Known::Read { .. } | Known::Istio(_) => {}
        Known::NoEffect => report_no_effect(kind, root),
        Known::Unknown { hint } => {
            let hint = hint.map_or_else(String::new, |name| format!("; did you mean {name}?"));
            let message = format!("{api_version} has no kind {kind}{hint}");
            root.report(Level::Error, codes::UNKNOWN_KIND, message);
        }
        Known::BadVersion { served } => {
            let served = served.join(", ");
            let message = format!("{kind} is not served in {api_version} (versions: {served})");
            root.report(Level::Error, codes::UNKNOWN_KIND, message);
        }
        Known::Other => {
            let message = format!("the kind {kind} ({api_version}) means nothing to a mesh; ignored");
            root.report(Level::Info, codes::OTHER_KIND, message);
        }
    }
}

fn report_no_effect(kind: &str, root: &Item<'_>) {
    root.report(Level::Warning, codes::KIND_NO_EFFECT, format!("the kind {kind} has no effect yet"));
}

/// What of the metadata the content depends on.
pub(crate) struct Context {
    pub name: Str,
    pub owner: Option<(Str, Str)>,
    pub dry_run: bool,
}

/// Reads the content of an object of a kind of Kubernetes' own. `None` if there is nothing that
/// could be called one; that has been reported.
pub(crate) fn read(kind: &str, document: &Fields<'_>, context: Context) -> Option<Kind> {
    let spec = || document.get("spec").map_or_else(|| Some(Fields::empty(document.item())), |i| i.object());
    Some(match kind {
        "Namespace" => Kind::Namespace,
        "ServiceAccount" => Kind::ServiceAccount,
        "Service" => Kind::Service(k8s::service::read(spec()?).into()),
        "Pod" => Kind::Pod(k8s::pod::read(document, context.owner).into()),
        "Deployment" => Kind::Deployment(k8s::deployment::read(document.require("spec")?.object()?).into()),
        "EndpointSlice" => Kind::EndpointSlice(k8s::endpoint_slice::read(document).into()),
        "ConfigMap" => Kind::ConfigMap(read_config_map(document, &context.name).into()),
        "Secret" => Kind::Secret(k8s::config::read_secret(document).into()),
        _ => return None,
    })
}

/// As [`read`], for Istio's own, whose content was checked before. An absent `spec` is an empty one.
pub(crate) fn read_istio(kind: &str, document: &Fields<'_>, context: Context) -> Option<Kind> {
    let cx = document.item().cx();
    if WITHOUT_EFFECT.contains(&kind) {
        report_no_effect(kind, document.item());
        return cx.without_effect(|| read_without_effect(kind, document));
    }
    let spec = document.get("spec").map_or_else(|| Some(Fields::empty(document.item())), |i| i.object());
    Some(match (kind, spec) {
        // A policy without readable content still selects, and denies.
        ("PeerAuthentication", None) => Kind::PeerAuthentication(
            security::PeerAuthentication { broken: true, ..Default::default() }.into(),
        ),
        ("AuthorizationPolicy", None) => Kind::AuthorizationPolicy(
            security::AuthorizationPolicy { broken: true, ..Default::default() }.into(),
        ),
        (_, None) => return None,
        ("VirtualService", Some(spec)) => {
            Kind::VirtualService(networking::virtual_service::read(spec).into())
        }
        ("DestinationRule", Some(spec)) => {
            Kind::DestinationRule(networking::destination_rule::read(spec).into())
        }
        ("Gateway", Some(spec)) => Kind::Gateway(networking::gateway::read(spec).into()),
        ("WorkloadEntry", Some(spec)) => {
            let entry = networking::WorkloadEntry::from_fields(&spec);
            spec.finish();
            Kind::WorkloadEntry(entry.into())
        }
        ("WorkloadGroup", Some(spec)) => {
            // Istio's agents run it, from a file that a command has written for them.
            spec.no_effect(&["probe"]);
            let group = cx.without_effect(|| networking::WorkloadGroup::from_fields(&spec));
            spec.finish();
            Kind::WorkloadGroup(group.into())
        }
        ("ProxyConfig", Some(spec)) => {
            // There are no images here to choose from.
            spec.get("image").and_then(|image| image.field("imageType")).inspect(Item::no_effect);
            let config = networking::ProxyConfig::from_fields(&spec);
            spec.finish();
            Kind::ProxyConfig(config.into())
        }
        ("Sidecar", Some(spec)) => Kind::Sidecar(networking::sidecar::read(spec).into()),
        ("ServiceEntry", Some(spec)) => Kind::ServiceEntry(networking::service_entry::read(spec).into()),
        ("PeerAuthentication", Some(spec)) => {
            Kind::PeerAuthentication(security::peer_authentication::read(spec).into())
        }
        ("AuthorizationPolicy", Some(spec)) => {
            let policy = security::authorization_policy::read(spec, context.dry_run);
            Kind::AuthorizationPolicy(policy.into())
        }
        _ => return None,
    })
}

fn read_without_effect(kind: &str, document: &Fields<'_>) -> Option<Kind> {
    let spec = document.get("spec");
    Some(match kind {
        "EnvoyFilter" => Kind::EnvoyFilter(content::<networking::EnvoyFilter>(spec)?.into()),
        "RequestAuthentication" => {
            Kind::RequestAuthentication(content::<security::RequestAuthentication>(spec)?.into())
        }
        "Telemetry" => Kind::Telemetry(content::<telemetry::Telemetry>(spec)?.into()),
        "WasmPlugin" => Kind::WasmPlugin(content::<extensions::WasmPlugin>(spec)?.into()),
        "TrafficExtension" => Kind::TrafficExtension(content::<extensions::TrafficExtension>(spec)?.into()),
        _ => return None,
    })
}

fn content<T: Read + Default>(spec: Option<Item<'_>>) -> Option<T> {
    spec.map_or_else(|| Some(T::default()), |item| T::read(&item))
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
