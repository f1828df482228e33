//! WorkloadEntry, which is also an endpoint of a ServiceEntry and the template of a WorkloadGroup:
//! <https://istio.io/latest/docs/reference/config/networking/workload-entry/>.

use std::collections::BTreeMap;

use model::{Labels, Str};

use crate::schema::macros::message;
use crate::schema::rules::{PORT_NAMES, SELECTOR_VALUE, WORKLOAD, WORKLOAD_ADDRESS};
use crate::schema::{Schema, map, object, port, text, text_map, uint32};

/// A workload of its own or of a ServiceEntry, which must say where it is.
pub(crate) const SCHEMA: Schema = object(&WorkloadEntry::MESSAGE).rules(WORKLOAD);

message! {
    /// A workload that is no pod.
    pub struct WorkloadEntry {
        /// An IP address, a name (with resolution DNS), or unix:///PATH.
        "address" address: Str = text().max(256).rules(WORKLOAD_ADDRESS),
        /// Service port name to this workload's port.
        "ports" ports: BTreeMap<Str, u16> = map(&port()).max(128).rules(PORT_NAMES),
        "labels" labels: Labels = text_map().max(256),
        "network" network: Str = text().max(2048),
        /// REGION/ZONE/SUBZONE.
        "locality" locality: Str = text().max(2048),
        /// Its share of the requests; 1 without.
        "weight" weight: Option<u32> = uint32(),
        "serviceAccount" service_account: Str = text().max(253),
    }
}

message! {
    /// Selects workloads by labels.
    pub struct WorkloadSelector {
        "labels" labels: Labels = map(&text().max(63).rules(SELECTOR_VALUE)).max(256),
    }
}
