//! PeerAuthentication:
//! <https://istio.io/latest/docs/reference/config/security/peer_authentication/>.

use std::collections::BTreeMap;

use model::Labels;

use crate::reader::{Fields, Item};
use crate::schema::macros::message;
use crate::schema::rules::{PORT_KEYS, PORT_MTLS_SELECTOR};
use crate::schema::{choice, map, object};
use crate::selector::Selector;

message! {
    /// What workloads accept from their peers.
    table SPEC {
        /// Absent: all workloads of the namespace, or of the mesh in the root namespace.
        "selector" = object(&Selector::MESSAGE),
        "mtls" = object(&MUTUAL_TLS),
        /// By workload port.
        "portLevelMtls" = map(&object(&MUTUAL_TLS)).min(1).rules(PORT_KEYS),
    }
    rules PORT_MTLS_SELECTOR;
}

message! {
    /// Whether mutual TLS is asked for.
    table MUTUAL_TLS {
        /// UNSET: as the wider policy says.
        "mode" = choice(&["UNSET", "DISABLE", "PERMISSIVE", "STRICT"]),
    }
}

/// What workloads accept from their peers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeerAuthentication {
    /// `None`: all workloads of the namespace, or of the mesh in the root namespace.
    pub selector: Option<Labels>,
    /// `None` (absent or UNSET): as the next wider policy says.
    pub mode: Option<MtlsMode>,
    /// By workload port, not service port. `None` as for `mode`.
    pub ports: BTreeMap<u16, Option<MtlsMode>>,
    /// Not valid: nothing of it holds, and what it selects takes mutual TLS only.
    pub broken: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MtlsMode {
    Disable,
    Permissive,
    Strict,
}

const MODES: [(&str, Option<MtlsMode>); 4] = [
    ("UNSET", None),
    ("DISABLE", Some(MtlsMode::Disable)),
    ("PERMISSIVE", Some(MtlsMode::Permissive)),
    ("STRICT", Some(MtlsMode::Strict)),
];

pub(crate) fn read(spec: Fields<'_>) -> PeerAuthentication {
    let selector = spec.get("selector").and_then(|item| super::read_selector(&item));
    let mode = spec.get("mtls").and_then(|item| read_mtls(&item));
    let port_item = spec.get("portLevelMtls");
    let ports = port_item.as_ref().map(read_ports).unwrap_or_default();
    let cx = spec.item().cx();
    spec.finish();
    PeerAuthentication { selector, mode, ports, broken: cx.is_broken() }
}

fn read_mtls(item: &Item<'_>) -> Option<MtlsMode> {
    let fields = item.object()?;
    let mode = fields.get("mode").and_then(|item| item.one_of(&MODES));
    fields.finish();
    mode.flatten()
}

fn read_ports(item: &Item<'_>) -> BTreeMap<u16, Option<MtlsMode>> {
    let port = |(key, item): (model::Str, Item<'_>)| {
        Some((key.parse().ok().filter(|port: &u16| *port > 0)?, read_mtls(&item)))
    };
    item.entries().into_iter().filter_map(port).collect()
}
