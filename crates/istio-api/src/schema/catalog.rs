//! Istio's kinds: names, versions, columns, and the schema of `spec`.

use super::{Schema, Shape, object};
use crate::extensions::{traffic_extension, wasm_plugin};
use crate::networking::{
    destination_rule, envoy_filter, gateway, proxy_config, service_entry, sidecar, virtual_service,
    workload_entry, workload_group,
};
use crate::security::{authorization_schema, peer_authentication, request_authentication};
use crate::telemetry;

/// A kind of Istio's.
#[derive(Debug)]
pub struct Resource {
    pub group: &'static str,
    pub kind: &'static str,
    pub plural: &'static str,
    /// Empty: none.
    pub short: &'static str,
    /// All of them are served, with the same schema.
    pub versions: &'static [&'static str],
    /// The version in which objects are stored.
    pub storage: &'static str,
    pub columns: &'static [Column],
    pub spec: Schema,
}

/// A column of `kubectl get`.
#[derive(Debug)]
pub struct Column {
    pub name: &'static str,
    pub path: &'static str,
    pub ty: &'static str,
    pub about: &'static str,
}

impl Resource {
    /// What the kind is for.
    pub fn spec_about(&self) -> &'static str {
        match self.spec.shape {
            Shape::Object(message) => message.about,
            _ => "",
        }
    }
}

/// All of Istio's kinds that have a definition.
pub fn resources() -> &'static [Resource] {
    RESOURCES
}

const THREE: &[&str] = &["v1", "v1alpha3", "v1beta1"];
const TWO: &[&str] = &["v1", "v1beta1"];

const AGE: Column = Column {
    name: "Age",
    path: ".metadata.creationTimestamp",
    ty: "date",
    about: "Time since the object was created",
};

const fn column(name: &'static str, path: &'static str, about: &'static str) -> Column {
    Column { name, path, ty: "string", about }
}

const fn networking(
    kind: &'static str,
    plural: &'static str,
    short: &'static str,
    columns: &'static [Column],
    spec: Schema,
) -> Resource {
    Resource {
        group: "networking.istio.io",
        kind,
        plural,
        short,
        versions: THREE,
        storage: "v1",
        columns,
        spec,
    }
}

const fn security(
    kind: &'static str,
    plural: &'static str,
    short: &'static str,
    columns: &'static [Column],
    spec: Schema,
) -> Resource {
    Resource { group: "security.istio.io", kind, plural, short, versions: TWO, storage: "v1", columns, spec }
}

const fn extension(kind: &'static str, plural: &'static str, spec: Schema) -> Resource {
    Resource {
        group: "extensions.istio.io",
        kind,
        plural,
        short: "",
        versions: &["v1alpha1"],
        storage: "v1alpha1",
        columns: &[AGE],
        spec,
    }
}

const RESOURCES: &[Resource] = &[
    extension(
        "TrafficExtension",
        "trafficextensions",
        object(&traffic_extension::TrafficExtension::MESSAGE).required(),
    ),
    extension("WasmPlugin", "wasmplugins", object(&wasm_plugin::WasmPlugin::MESSAGE).required()),
    networking(
        "DestinationRule",
        "destinationrules",
        "dr",
        &[column("Host", ".spec.host", "The service that it is for"), AGE],
        object(&destination_rule::SPEC),
    ),
    Resource {
        versions: &["v1alpha3"],
        storage: "v1alpha3",
        ..networking("EnvoyFilter", "envoyfilters", "", &[], object(&envoy_filter::EnvoyFilter::MESSAGE))
    },
    networking("Gateway", "gateways", "gw", &[], object(&gateway::SPEC)),
    Resource {
        versions: &["v1beta1"],
        storage: "v1beta1",
        ..networking("ProxyConfig", "proxyconfigs", "", &[], object(&proxy_config::ProxyConfig::MESSAGE))
    },
    networking(
        "ServiceEntry",
        "serviceentries",
        "se",
        &[
            column("Hosts", ".spec.hosts", "The hosts of the service"),
            column("Location", ".spec.location", "Whether it is part of the mesh"),
            column("Resolution", ".spec.resolution", "How its addresses are found"),
            AGE,
        ],
        object(&service_entry::SPEC).required(),
    ),
    networking("Sidecar", "sidecars", "", &[], object(&sidecar::Sidecar::MESSAGE)),
    networking(
        "VirtualService",
        "virtualservices",
        "vs",
        &[
            column("Gateways", ".spec.gateways", "The gateways and sidecars that apply it"),
            column("Hosts", ".spec.hosts", "The hosts whose requests it routes"),
            AGE,
        ],
        object(&virtual_service::SPEC),
    ),
    networking(
        "WorkloadEntry",
        "workloadentries",
        "we",
        &[AGE, column("Address", ".spec.address", "The address of the workload")],
        workload_entry::SCHEMA.required(),
    ),
    networking(
        "WorkloadGroup",
        "workloadgroups",
        "wg",
        &[AGE],
        object(&workload_group::WorkloadGroup::MESSAGE).required(),
    ),
    security(
        "AuthorizationPolicy",
        "authorizationpolicies",
        "ap",
        &[column("Action", ".spec.action", "What happens to requests that a rule matches"), AGE],
        object(&authorization_schema::SPEC),
    ),
    security(
        "PeerAuthentication",
        "peerauthentications",
        "pa",
        &[column("Mode", ".spec.mtls.mode", "Which connections are accepted"), AGE],
        object(&peer_authentication::SPEC),
    ),
    security(
        "RequestAuthentication",
        "requestauthentications",
        "ra",
        &[],
        object(&request_authentication::RequestAuthentication::MESSAGE),
    ),
    Resource {
        group: "telemetry.istio.io",
        versions: &["v1", "v1alpha1"],
        storage: "v1alpha1",
        ..security("Telemetry", "telemetries", "telemetry", &[AGE], object(&telemetry::Telemetry::MESSAGE))
    },
];
