//! DestinationRule: <https://istio.io/latest/docs/reference/config/networking/destination-rule/>.

use std::collections::BTreeSet;

use model::{Labels, Str};

use super::{TrafficPolicy, traffic_policy};
use crate::reader::{Fields, Item};
use crate::units::ExportTo;
use crate::validate;

/// What happens to traffic for a service after routing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DestinationRule {
    /// As written: a short name belongs to the object's namespace.
    pub host: Str,
    pub traffic_policy: Option<TrafficPolicy>,
    pub subsets: Vec<Subset>,
    pub export_to: ExportTo,
    /// Field paths of conditions on clients that cannot be evaluated: if there is one, this rule
    /// applies to no client.
    pub unsupported: Vec<Str>,
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
    let host = spec.require("host").and_then(|host| validate::service_host(&host));
    let policy = spec.get("trafficPolicy").and_then(|item| item.object());
    let subsets = spec.get("subsets").map(|item| read_subsets(&item)).unwrap_or_default();
    let unsupported = spec.conditions(&["workloadSelector"]);
    let export_to = spec.get("exportTo").map(|item| validate::export_to(&item)).unwrap_or_default();
    spec.finish();
    DestinationRule {
        host: host.unwrap_or_default(),
        traffic_policy: policy.map(traffic_policy::read),
        subsets,
        export_to,
        unsupported,
    }
}

fn read_subsets(item: &Item<'_>) -> Vec<Subset> {
    let mut names = BTreeSet::new();
    item.objects(|fields| {
        let path = fields.path();
        let name_item = fields.require("name");
        let name = name_item.as_ref().and_then(validate::dns_label);
        if let (Some(name), Some(item)) = (&name, &name_item)
            && !names.insert(name.clone())
        {
            item.invalid(format!("the subset {name} is given twice"));
        }
        let labels = fields.get("labels").map(|l| validate::labels(&l)).unwrap_or_default();
        let policy = fields.get("trafficPolicy").and_then(|p| p.object()).map(traffic_policy::read);
        fields.finish();
        Some(Subset { name: name?, labels, traffic_policy: policy, path })
    })
}
