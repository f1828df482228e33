//! DestinationRule: <https://istio.io/latest/docs/reference/config/networking/destination-rule/>.

use model::{Labels, Str};

use super::{TrafficPolicy, traffic_policy};
use crate::reader::{Absent, Fields};
use crate::schema::macros::message;
use crate::schema::{list, object, text, text_map, texts};
use crate::selector::Selector;
use crate::units::ExportTo;

message! {
    /// What happens to traffic for a service after routing.
    table SPEC {
        /// A short name belongs to the rule's namespace.
        "host" = text().required(),
        "trafficPolicy" = object(&traffic_policy::TRAFFIC_POLICY),
        "subsets" = list(&object(&SUBSET)),
        /// Namespaces that see it, `.` for its own, `*` for all (without).
        "exportTo" = texts(),
        /// The clients that it is for.
        "workloadSelector" = object(&Selector::MESSAGE),
    }
}

message! {
    /// A named set of a service's endpoints.
    table SUBSET {
        "name" = text().required(),
        /// Endpoints have these; empty: all endpoints.
        "labels" = text_map(),
        "trafficPolicy" = object(&traffic_policy::TRAFFIC_POLICY),
    }
}

/// What happens to traffic for a service after routing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DestinationRule {
    /// As written: a short name belongs to the object's namespace.
    pub host: Str,
    pub traffic_policy: Option<TrafficPolicy>,
    pub subsets: Vec<Subset>,
    pub export_to: ExportTo,
    /// The clients that it is for; `None`: all.
    pub workload_selector: Option<Selector>,
}

/// A named set of a service's endpoints.
#[derive(Clone, Debug, PartialEq)]
pub struct Subset {
    pub name: Str,
    /// Endpoints have these; empty: all endpoints.
    pub labels: Labels,
    pub traffic_policy: Option<TrafficPolicy>,
    /// Field path: `spec.subsets[0]`.
    pub path: Str,
}

pub(crate) fn read(spec: Fields<'_>) -> DestinationRule {
    if spec.get("workloadSelector").is_some() {
        // Istio lets sidecars have Secrets then.
        let of_subsets = spec.item().each("subsets");
        for holder in std::iter::once(spec.item()).chain(&of_subsets) {
            let Some(policy) = holder.field("trafficPolicy") else { continue };
            for part in std::iter::once(&policy).chain(&policy.each("portLevelSettings")) {
                if let Some(item) = part.field("tls").and_then(|tls| tls.field("credentialName")) {
                    item.no_effect_as("a Secret at sidecars");
                }
            }
        }
    }
    let policy = spec.get("trafficPolicy").and_then(|item| item.object());
    let rule = DestinationRule {
        host: Absent::from_item(spec.get("host")),
        traffic_policy: policy.map(traffic_policy::read),
        subsets: spec.get("subsets").map(|item| item.objects(read_subset)).unwrap_or_default(),
        export_to: Absent::from_item(spec.get("exportTo")),
        workload_selector: Absent::from_item(spec.get("workloadSelector")),
    };
    spec.finish();
    rule
}

fn read_subset(fields: Fields<'_>) -> Option<Subset> {
    let policy = fields.get("trafficPolicy").and_then(|item| item.object()).map(traffic_policy::read);
    let subset = Subset {
        name: Absent::from_item(fields.get("name")),
        labels: Absent::from_item(fields.get("labels")),
        traffic_policy: policy,
        path: fields.path(),
    };
    fields.finish();
    (!subset.name.is_empty()).then_some(subset)
}
