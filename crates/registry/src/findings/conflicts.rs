//! Objects that claim the same host.

use istio_api::networking::{Sidecar, VirtualService};
use model::{Finding, Level, ObjectRef};

use super::finding;
use crate::config::Spec;
use crate::{Config, Export, Snapshot, codes, config, virtual_services};

pub(super) fn find(snapshot: &Snapshot, found: &mut Vec<Finding>) {
    mesh_hosts(snapshot, found);
    services(snapshot, found);
    no_addresses(snapshot, found);
    sidecars(snapshot, found);
}

/// Of several Sidecars for the same workloads the oldest counts.
fn sidecars(snapshot: &Snapshot, found: &mut Vec<Finding>) {
    let mut all: Vec<Config<Sidecar>> =
        snapshot.objects_of(Sidecar::KIND).filter_map(|document| Config::of(document)).collect();
    config::sort(&mut all);
    for (index, loser) in all.iter().enumerate() {
        let selector = |config: &Config<Sidecar>| {
            config.spec.workload_selector.as_ref().map(|selector| selector.labels.clone()).unwrap_or_default()
        };
        let same = |other: &&Config<Sidecar>| {
            other.object.namespace == loser.object.namespace && selector(other) == selector(loser)
        };
        let Some(winner) = all.iter().take(index).find(same) else { continue };
        let (code, field) = match selector(loser).is_empty() {
            true => (codes::SEVERAL_DEFAULT_SIDECARS, ""),
            false => (codes::CONFLICTING_SIDECARS, "spec.workloadSelector"),
        };
        let message = format!(
            "{} selects the same workloads and is older or first by name: this one has no effect",
            winner.object
        );
        found.push(finding(snapshot, Level::Error, code, &loser.object, field, message));
    }
}

/// Two VirtualServices on `mesh` for one host: sidecars follow the older one only.
fn mesh_hosts(snapshot: &Snapshot, found: &mut Vec<Finding>) {
    for (host, objects) in &snapshot.mesh_hosts {
        let configs: Vec<(Config<VirtualService>, Export)> = objects
            .iter()
            .filter_map(|object| Config::<VirtualService>::of(snapshot.object(object)?))
            .map(|config| (config.clone(), virtual_services::export(snapshot, &config)))
            .collect();
        for (index, (loser, seen)) in configs.iter().enumerate() {
            let winner = configs.iter().take(index).find(|(_, export)| overlap(export, seen));
            let Some((winner, _)) = winner else { continue };
            let field = field_of_host(snapshot, loser, host);
            let message = format!(
                "The VirtualServices {}/{},{}/{} associated with mesh gateway define the same host {host}; \
                 sidecars follow {}, which is older or first by name, and ignore this one for it",
                winner.object.namespace,
                winner.object.name,
                loser.object.namespace,
                loser.object.name,
                winner.object,
            );
            let code = codes::CONFLICTING_HOSTS;
            found.push(finding(snapshot, Level::Error, code, &loser.object, &field, message));
        }
    }
}

fn overlap(a: &Export, b: &Export) -> bool {
    match (a, b) {
        (Export::Namespaces(a), Export::Namespaces(b)) => !a.is_disjoint(b),
        (Export::Namespaces(names), Export::All) | (Export::All, Export::Namespaces(names)) => {
            !names.is_empty()
        }
        (Export::All, Export::All) => true,
    }
}

fn field_of_host(snapshot: &Snapshot, config: &Config<VirtualService>, host: &model::Host) -> String {
    let resolved = |text: &model::Str| snapshot.resolve(text, &config.object.namespace) == *host;
    let index = config.spec.hosts.iter().position(resolved);
    index.map_or_else(|| "spec.hosts".to_owned(), |index| format!("spec.hosts[{index}]"))
}

/// Several services with one host: each client sees one of them.
fn services(snapshot: &Snapshot, found: &mut Vec<Finding>) {
    for (host, services) in &snapshot.services {
        let Some(first) = services.first() else { continue };
        for other in services.iter().skip(1).filter(|other| overlap(&other.export_to, &first.export_to)) {
            let message = format!(
                "the host {host} is already that of {}; clients outside of {} follow that one",
                first.object, other.namespace
            );
            found.push(finding(snapshot, Level::Warning, codes::DUPLICATE_HOST, &other.object, "", message));
        }
    }
}

/// Services that should have got a virtual address and did not.
fn no_addresses(snapshot: &Snapshot, found: &mut Vec<Finding>) {
    let Some(block) = snapshot.settings.service_block else { return };
    let services = snapshot.services.values().flat_map(|all| all.iter());
    let without = services.filter(|service| {
        service.source == crate::ServiceSource::Kubernetes
            && service.resolution == crate::Resolution::ClientSideLb
            && service.addresses.is_empty()
    });
    for service in without {
        let object: &ObjectRef = &service.object;
        let message = format!("no address of {block} is free; the service has none");
        found.push(finding(snapshot, Level::Error, codes::NO_ADDRESS, object, "", message));
    }
}
