//! What is asked for by name: endpoints of clusters, routes of listeners, secrets of both.

use std::collections::HashSet;

use ir::ResourceType;
use ir::tls::{CertificateSource, CommonTls, RootsSource, SdsVia};
use stdx::Str;
use xds_client::AdsHandle;

use super::compile;
use super::kept::Kept;
use super::lazy::Checked;
use super::snapshot::{self, Snapshot};
use super::store::{Entry, Table};

/// Names subscribed to over ADS.
#[derive(Default)]
pub struct Subscriptions {
    ads: Option<AdsHandle>,
    endpoints: HashSet<Str>,
    routes: HashSet<Str>,
    secrets: HashSet<Str>,
}

impl Subscriptions {
    pub fn connect(&mut self, ads: AdsHandle) {
        self.ads = Some(ads);
    }

    /// Asks for what is named now, gives up what is not.
    pub fn sync(
        &mut self,
        clusters: &Table<Kept<ir::Cluster>, Checked>,
        listeners: &Table<ir::Listener, snapshot::Listener>,
        active: &Snapshot,
    ) {
        let Some(ads) = &self.ads else { return };
        let mut endpoints = HashSet::new();
        let mut secrets = HashSet::new();
        for Entry { compiled: checked, .. } in clusters.entries.values() {
            endpoints.extend(checked.eds.clone());
            let over_ads = checked.needs.all().filter(|secret| secret.via == SdsVia::Ads);
            secrets.extend(over_ads.map(|secret| secret.name.clone()));
        }
        let mut routes = HashSet::new();
        let wanted = listeners.entries.values().map(|entry| &entry.value);
        for config in wanted.chain(active.listeners.values().map(|l| &l.config)) {
            routes.extend(compile::names_of(config).1);
            for chain in config.filter_chains.iter().chain(&config.default_filter_chain) {
                secrets.extend(chain.tls.iter().flat_map(|tls| ads_secrets(&tls.common)));
            }
        }
        change(ads, ResourceType::Endpoints, &mut self.endpoints, endpoints);
        change(ads, ResourceType::Route, &mut self.routes, routes);
        change(ads, ResourceType::Secret, &mut self.secrets, secrets);
    }
}

fn change(ads: &AdsHandle, ty: ResourceType, held: &mut HashSet<Str>, wanted: HashSet<Str>) {
    let mut new: Vec<Str> = wanted.difference(held).cloned().collect();
    let gone: Vec<Str> = held.difference(&wanted).cloned().collect();
    if !new.is_empty() {
        // In a fixed order, so that logs of two runs compare.
        new.sort();
        ads.subscribe(ty, new);
    }
    if !gone.is_empty() {
        ads.unsubscribe(ty, gone);
    }
    *held = wanted;
}

fn ads_secrets(tls: &CommonTls) -> Vec<Str> {
    secret_refs(tls)
        .into_iter()
        .filter(|secret| secret.via == SdsVia::Ads)
        .map(|secret| secret.name)
        .collect()
}

/// Every secret that a TLS context names.
pub fn secret_refs(tls: &CommonTls) -> Vec<ir::tls::SdsRef> {
    let mut refs = Vec::new();
    for source in tls.certificate.iter().chain(&tls.alternative) {
        if let CertificateSource::Sds(secret) = source {
            refs.push(secret.clone());
        }
    }
    if let Some(RootsSource::Sds(secret)) = tls.validation.as_ref().map(|v| &v.roots) {
        refs.push(secret.clone());
    }
    refs
}
