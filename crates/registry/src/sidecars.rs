//! Which Sidecar holds for a workload.

use istio_api::networking::Sidecar;
use model::Labels;

use crate::{Config, View};

pub(crate) fn of(view: &View<'_>, namespace: &str, labels: &Labels) -> Option<Config<Sidecar>> {
    let own = view.sidecars(namespace);
    if let Some(selected) = own.iter().find(|config| selects(&config.spec, labels)) {
        return Some(selected.clone());
    }
    if let Some(default) = own.into_iter().find(|config| is_default(&config.spec)) {
        return Some(default);
    }
    let root = view.mesh().root_namespace.clone();
    if *root == *namespace {
        return None;
    }
    // A selector there selects nothing elsewhere.
    view.sidecars(&root).into_iter().find(|config| is_default(&config.spec))
}

fn selects(sidecar: &Sidecar, labels: &Labels) -> bool {
    !is_default(sidecar) && sidecar.workload_selector.as_ref().is_some_and(|s| s.labels.select(labels))
}

/// Whether it is for all workloads of its namespace.
pub(crate) fn is_default(sidecar: &Sidecar) -> bool {
    sidecar.workload_selector.as_ref().is_none_or(|selector| selector.labels.is_empty())
}
