//! What policies are attached to: workloads by labels, or objects by reference. See
//! <https://istio.io/latest/docs/reference/config/type/workload-selector/>.

use model::{Labels, Str};

use crate::schema::macros::{choice, message};
use crate::schema::rules::{GROUP, KIND, OWN_NAMESPACE, SELECTOR_KEYS, SELECTOR_VALUE};
use crate::schema::{choice as one_of, list, map, object, range, text};

message! {
    /// Selects workloads by labels.
    pub struct Selector {
        "matchLabels" match_labels: Labels =
            map(&text().max(63).rules(SELECTOR_VALUE)).max(4096).rules(SELECTOR_KEYS),
    }
}

message! {
    /// An object of the same namespace, as a Gateway or a Service.
    pub struct TargetReference {
        "group" group: Str = text().max(253).pattern(&GROUP),
        "kind" kind: Str = text().min(1).max(63).pattern(&KIND).required(),
        "name" name: Str = text().min(1).max(253).required(),
        /// Must be empty.
        "namespace" namespace: Str = text().rules(OWN_NAMESPACE),
    }
}

message! {
    /// Selects traffic by direction and port.
    pub struct TrafficSelector {
        "mode" mode: Option<WorkloadMode> = one_of(WorkloadMode::NAMES),
        "ports" ports: Vec<PortNumber> = list(&object(&PortNumber::MESSAGE)).key("number"),
    }
}

message! {
    /// A port by number.
    pub struct PortNumber {
        "number" number: Option<u16> = range(1, 65535).required(),
    }
}

choice! {
    /// Which side of a request a proxy is on.
    pub enum WorkloadMode {
        "UNDEFINED" Undefined,
        "CLIENT" Client,
        "SERVER" Server,
        "CLIENT_AND_SERVER" ClientAndServer,
    }
}
