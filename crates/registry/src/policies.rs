//! Which security policies hold for a workload.

use std::collections::BTreeMap;

use istio_api::security::{Action, AuthorizationPolicy, MtlsMode, PeerAuthentication};
use model::{Labels, ObjectRef};

use crate::{Config, View};

/// What a workload accepts from its peers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mtls {
    pub mode: MtlsMode,
    /// Exceptions by the workload's own port.
    pub ports: BTreeMap<u16, MtlsMode>,
    /// The PeerAuthentication that decided `mode`; `None`: the default.
    pub decided_by: Option<ObjectRef>,
}

impl Mtls {
    pub fn on_port(&self, port: u16) -> MtlsMode {
        self.ports.get(&port).copied().unwrap_or(self.mode)
    }
}

/// Istio's order: the workload's policy, the namespace's, the mesh's, else PERMISSIVE; of several
/// on a level the oldest. What is unset is inherited. A broken one that selects the workload makes
/// everything STRICT, so that a mistake never opens a port.
pub(crate) fn mtls(view: &View<'_>, namespace: &str, labels: &Labels) -> Mtls {
    let root = view.mesh().root_namespace.clone();
    let local = view.peer_authentications(namespace);
    let mesh = if *root == *namespace { Vec::new() } else { view.peer_authentications(&root) };
    let selects = |c: &&Config<PeerAuthentication>| c.spec.selector.as_ref().is_none_or(|s| s.select(labels));
    let whole = |c: &&Config<PeerAuthentication>| c.spec.selector.is_none();

    let broken = local.iter().filter(selects).chain(mesh.iter().filter(whole)).find(|c| c.spec.broken);
    if let Some(broken) = broken {
        let decided_by = Some(broken.object.clone());
        return Mtls { mode: MtlsMode::Strict, ports: BTreeMap::new(), decided_by };
    }
    let workload = local.iter().find(|c| !whole(c) && selects(c));
    let levels = [workload, local.iter().find(whole), mesh.iter().find(whole)];
    let decided = levels.iter().flatten().find_map(|c| Some((c.spec.mode?, c.object.clone())));
    let (mode, decided_by) = decided.map_or((MtlsMode::Permissive, None), |(mode, by)| (mode, Some(by)));
    let ports = workload.map(|c| &c.spec.ports).into_iter().flatten();
    let ports = ports.map(|(port, own)| (*port, own.unwrap_or(mode))).collect();
    Mtls { mode, ports, decided_by }
}

/// Selectors in the root namespace select in every namespace.
pub(crate) fn authorization(
    view: &View<'_>,
    namespace: &str,
    labels: &Labels,
) -> Vec<Config<AuthorizationPolicy>> {
    let root = view.mesh().root_namespace.clone();
    let mut found = view.authorization_policies(&root);
    if *root != *namespace {
        found.extend(view.authorization_policies(namespace));
    }
    found.retain(|config| {
        let policy = &config.spec;
        let enforced = !policy.attached && !policy.dry_run && policy.action != Action::Audit;
        // A broken policy's other fields cannot be trusted to switch it off.
        (policy.broken || enforced) && policy.selector.as_ref().is_none_or(|s| s.select(labels))
    });
    found
}
