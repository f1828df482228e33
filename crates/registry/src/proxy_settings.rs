//! What the proxy of a workload is started with.

use std::collections::BTreeMap;

use istio_api::Kind;
use istio_api::mesh::proxy::{ANNOTATION, Interception, ProxySettings, parse_proxy_config};
use istio_api::networking::ProxyConfig;
use model::{Labels, Str};

use crate::{Config, Snapshot, config};

/// The annotation of a pod that says where its agent answers.
const STATUS_PORT: &str = "status.sidecar.istio.io/port";
/// The annotation that says how connections come to its proxy.
const INTERCEPTION: &str = "sidecar.istio.io/interceptionMode";

impl Snapshot {
    /// The settings of a workload's proxy. The nearest say most: a ProxyConfig that selects the
    /// workload, then its annotation, then a ProxyConfig of the namespace, one of the root namespace,
    /// and `defaultConfig` of the mesh. The port of its agent, and how connections come to it, have
    /// annotations of their own, which go before all.
    pub fn proxy_settings(
        &self,
        namespace: &str,
        labels: &Labels,
        annotations: &BTreeMap<Str, Str>,
    ) -> ProxySettings {
        let root = &self.mesh.root_namespace;
        let own = self.proxy_configs(namespace);
        let selected = own.iter().find(|config| selector(&config.spec).is_some_and(|s| s.select(labels)));
        let annotation = annotations.get(ANNOTATION).map(|text| parse_proxy_config(text));
        let default = (*root != *namespace).then(|| for_all(&own)).flatten();
        let nearest_first = [selected.map(|config| (&*config.spec).into()), annotation, default];
        let base = for_all(&self.proxy_configs(root)).unwrap_or_default().over(&self.mesh.default_config);
        let mut settings =
            nearest_first.into_iter().flatten().rev().fold(base, |base, settings| settings.over(&base));
        let port = annotations.get(STATUS_PORT).and_then(|text| text.trim().parse().ok());
        settings.status_port = port.filter(|port| *port > 0).or(settings.status_port);
        settings.interception = match annotations.get(INTERCEPTION).map(Str::as_str) {
            Some("NONE") => Some(Interception::None),
            Some(_) => Some(Interception::Redirect),
            None => settings.interception,
        };
        settings
    }

    /// In the order of precedence.
    fn proxy_configs(&self, namespace: &str) -> Vec<Config<ProxyConfig>> {
        let objects = self.objects_in("ProxyConfig", namespace);
        let mut found: Vec<Config<ProxyConfig>> = objects
            .filter_map(|document| match &document.body {
                Kind::ProxyConfig(spec) => Some(Config {
                    object: document.object.clone(),
                    created: document.created,
                    spec: spec.clone(),
                }),
                _ => None,
            })
            .collect();
        config::sort(&mut found);
        found
    }
}

/// The first that is for all workloads.
fn for_all(configs: &[Config<ProxyConfig>]) -> Option<ProxySettings> {
    configs.iter().find(|config| selector(&config.spec).is_none()).map(|config| (&*config.spec).into())
}

/// `None`: it selects all.
fn selector(config: &ProxyConfig) -> Option<&Labels> {
    config.selector.as_ref().map(|selector| &selector.match_labels).filter(|labels| !labels.is_empty())
}
