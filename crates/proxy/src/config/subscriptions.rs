//! What is asked for by name: endpoints of clusters, routes of listeners, secrets of both.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use ir::http::RouteSource;
use ir::tls::{CertificateSource, CommonTls, RootsSource, SdsRef, SdsVia};
use ir::{ConfigSource, ResourceType};
use stdx::Str;
use xds_client::AdsHandle;

use super::compile;
use super::kept::Kept;
use super::lazy::Checked;
use super::snapshot::{self, Snapshot};
use super::source::{Names, Want};
use super::store::{Entry, Table};

/// Names subscribed to.
#[derive(Default)]
pub struct Subscriptions {
    ads: Option<AdsHandle>,
    endpoints: HashSet<Str>,
    routes: HashSet<Str>,
    secrets: HashSet<Str>,
    /// What clusters name, but for the endpoints, and the clusters' count of changes then.
    of_clusters: Named,
    clusters_seen: Option<u64>,
    listeners_seen: Option<u64>,
    /// From elsewhere.
    others: Others,
    wants: Vec<Want>,
}

/// Names by source and type, for sources other than the aggregated stream.
type Others = BTreeMap<(ConfigSource, ResourceType), BTreeSet<Str>>;

/// What is named at the moment.
#[derive(Clone, Default)]
struct Named {
    endpoints: HashSet<Str>,
    routes: HashSet<Str>,
    secrets: HashSet<Str>,
    others: Others,
}

impl Named {
    fn other(&mut self, source: &ConfigSource, ty: ResourceType, name: &Str) {
        self.others.entry((source.clone(), ty)).or_default().insert(name.clone());
    }

    fn secret(&mut self, secret: &SdsRef) {
        match &secret.via {
            SdsVia::Ads => {
                self.secrets.insert(secret.name.clone());
            }
            SdsVia::Path(path) => {
                self.other(&ConfigSource::Path(path.clone()), ResourceType::Secret, &secret.name);
            }
            // Asked for when the proxy starts, or there from the beginning.
            SdsVia::Cluster(_) | SdsVia::Static => {}
        }
    }

    fn listener(&mut self, config: &ir::Listener) {
        for source in compile::route_sources(config) {
            match source {
                RouteSource::Rds(name) => {
                    self.routes.insert(name.clone());
                }
                RouteSource::RdsFrom(name, source) => self.other(source, ResourceType::Route, name),
                RouteSource::Inline(_) => {}
            }
        }
        for chain in config.filter_chains.iter().chain(&config.default_filter_chain) {
            let refs = chain.tls.iter().flat_map(|tls| secret_refs(&tls.common));
            refs.for_each(|secret| self.secret(&secret));
        }
    }
}

impl Subscriptions {
    pub fn connect(&mut self, ads: AdsHandle) {
        self.ads = Some(ads);
        (self.clusters_seen, self.listeners_seen) = (None, None);
    }

    /// What other sources are asked for in another way than before.
    pub fn take_wants(&mut self) -> Vec<Want> {
        std::mem::take(&mut self.wants)
    }

    /// Asks for what is named now, gives up what is not.
    pub fn sync(
        &mut self,
        clusters: &Table<Kept<ir::Cluster>, Checked>,
        listeners: &Table<ir::Listener, snapshot::Listener>,
        active: &Snapshot,
    ) {
        let new_clusters = self.clusters_seen.replace(clusters.changes) != Some(clusters.changes);
        let new_listeners = self.listeners_seen.replace(listeners.changes) != Some(listeners.changes);
        if !new_clusters && !new_listeners {
            return;
        }
        if new_clusters {
            let mut named = Named::default();
            for Entry { compiled: checked, .. } in clusters.entries.values() {
                match &checked.eds_from {
                    Some(from) => named.other(&from.0, ResourceType::Endpoints, &from.1),
                    None => named.endpoints.extend(checked.eds.clone()),
                }
                checked.needs.all().for_each(|secret| named.secret(secret));
            }
            let endpoints = std::mem::take(&mut named.endpoints);
            if let Some(ads) = &self.ads {
                change(ads, ResourceType::Endpoints, &mut self.endpoints, endpoints);
            }
            self.of_clusters = named;
        }
        let mut named = self.of_clusters.clone();
        let wanted = listeners.entries.values().map(|entry| &entry.value);
        for config in wanted.chain(active.listeners.values().map(|l| &l.config)) {
            named.listener(config);
        }
        self.sync_others(named.others);
        let Some(ads) = &self.ads else { return };
        change(ads, ResourceType::Route, &mut self.routes, named.routes);
        change(ads, ResourceType::Secret, &mut self.secrets, named.secrets);
    }

    fn sync_others(&mut self, wanted: Others) {
        let want = |key: &(ConfigSource, ResourceType), names: &BTreeSet<Str>| {
            let (source, ty) = key.clone();
            Want::Resources { source, ty, names: Names::These(names.clone()) }
        };
        let new = wanted.iter().filter(|(key, names)| self.others.get(*key) != Some(*names));
        self.wants.extend(new.map(|(key, names)| want(key, names)));
        let gone = self.others.keys().filter(|key| !wanted.contains_key(*key));
        self.wants.extend(gone.map(|key| want(key, &BTreeSet::new())));
        self.others = wanted;
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
