//! The analyzers: Istio's in this folder, ours in [`crate::own`], one per file. Rules and names are
//! those of Istio's `pkg/config/analysis/analyzers`, also where istioctl skips an analyzer without
//! a cluster because it does not read Services, Pods, Namespaces, Nodes and Secrets from files.

mod annotation_table;
mod annotation_values;
mod annotations;
mod application_uid;
mod authorization_policies;
mod blocked_cidrs;
mod ca_certificates;
mod conditions;
mod conflicting_gateways;
mod crd_version;
mod deprecation;
mod destination_hosts;
mod destination_subsets;
mod destinations;
mod envoy_filter;
mod external_control_plane;
mod gateway_certificate;
mod gateway_ports;
mod gateway_secrets;
mod gateway_selector;
mod image_auto;
mod injection;
mod jwt_claim_route;
mod mesh_gateway_hosts;
mod mesh_networks;
mod multi_cluster;
mod multi_service;
mod port_name;
mod proxy_image;
mod schema;
mod service_entry_addresses;
mod service_entry_protocols;
mod sidecar_selector;
mod subset_pods;
mod telemetry_providers;
mod telemetry_selector;
mod unreachable_matches;
mod virtual_service_gateways;
mod webhooks;

use crate::finding::Report;
use crate::kind::Kind;
use crate::own;
use crate::snapshot::Snapshot;

use destinations::destinations;
pub(crate) use mesh_gateway_hosts::is_for_sidecars;

/// One question to a snapshot.
#[derive(Debug)]
pub struct Analyzer {
    /// Istio's name for it, or ours, as `--analyzer` takes it.
    pub name: &'static str,
    /// What it checks, a sentence without its full stop.
    pub description: &'static str,
    /// Every code that it can report.
    pub codes: &'static [&'static str],
    /// The kinds it reads. Nothing: whole files. `Pod` stands for whatever makes pods, too.
    pub inputs: &'static [Kind],
    /// Whether it runs without being asked for by name.
    pub by_default: bool,
    /// Whether it judges each file by itself: what it finds in one depends on no other file and on
    /// no setting, so that a [`Session`](crate::Session) asks it about changed files alone.
    pub by_file: bool,
    pub run: fn(&Snapshot, &mut Report),
}

/// All analyzers, Istio's first.
pub fn all() -> impl Iterator<Item = &'static Analyzer> {
    ISTIO.iter().copied().chain(own::ANALYZERS.iter().copied())
}

/// Those that run without being asked for.
pub fn by_default() -> impl Iterator<Item = &'static Analyzer> {
    all().filter(|analyzer| analyzer.by_default)
}

/// An analyzer by its name.
pub fn find(name: &str) -> Option<&'static Analyzer> {
    all().find(|analyzer| analyzer.name == name)
}

const ISTIO: &[&Analyzer] = &[
    &annotations::ANALYZER,
    &annotations::ALPHA,
    &application_uid::ANALYZER,
    &authorization_policies::ANALYZER,
    &blocked_cidrs::ANALYZER,
    &conditions::ANALYZER,
    &multi_service::ANALYZER,
    &deprecation::ANALYZER,
    &ca_certificates::ANALYZER,
    &subset_pods::ANALYZER,
    &envoy_filter::ANALYZER,
    &external_control_plane::ANALYZER,
    &gateway_certificate::ANALYZER,
    &conflicting_gateways::ANALYZER,
    &gateway_ports::ANALYZER,
    &gateway_secrets::ANALYZER,
    &injection::ANALYZER,
    &proxy_image::ANALYZER,
    &image_auto::ANALYZER,
    &crd_version::ANALYZER,
    &gateway_selector::ANALYZER,
    &mesh_networks::ANALYZER,
    &multi_cluster::ANALYZER,
    &schema::ANALYZER,
    &unreachable_matches::ANALYZER,
    &port_name::ANALYZER,
    &service_entry_protocols::ANALYZER,
    &service_entry_addresses::ANALYZER,
    &sidecar_selector::ANALYZER,
    &telemetry_selector::DEFAULT,
    &telemetry_selector::ANALYZER,
    &telemetry_providers::ANALYZER,
    &telemetry_providers::LIGHTSTEP,
    &mesh_gateway_hosts::ANALYZER,
    &destination_hosts::ANALYZER,
    &destination_subsets::ANALYZER,
    &virtual_service_gateways::ANALYZER,
    &jwt_claim_route::ANALYZER,
    &webhooks::ANALYZER,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::catalogue;

    #[test]
    fn analyzers_have_names_of_their_own_and_codes_of_the_catalogue() {
        let mut names = BTreeSet::new();
        for analyzer in all() {
            assert!(names.insert(analyzer.name), "{} twice", analyzer.name);
            assert!(!analyzer.description.ends_with('.'), "{}", analyzer.name);
            for code in analyzer.codes {
                assert!(catalogue::find(code).is_some(), "{} reports {code}", analyzer.name);
            }
        }
    }
}
