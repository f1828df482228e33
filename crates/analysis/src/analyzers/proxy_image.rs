//! Pods whose proxy is not the one that injection would give them now (`injection.ImageAnalyzer`).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use istio_api::yaml;
use model::Str;

use super::Analyzer;
use super::injection::{injector_config_map, injector_values};
use crate::finding::{Report, list};
use crate::kind::Kind;
use crate::object::{Object, labels_of};
use crate::snapshot::Snapshot;
use crate::value::Val;
use crate::workloads::{PROXY, containers};

pub static ANALYZER: Analyzer = Analyzer {
    name: "injection.ImageAnalyzer",
    description: "Checks the image of auto-injection configured with the running proxies on pods",
    codes: &["IST0158"],
    inputs: &[Kind::Namespace, Kind::Pod, Kind::ConfigMap, Kind::MeshConfig, Kind::ProxyConfig],
    by_default: true,
    by_file: false,
    run,
};

fn run(snapshot: &Snapshot, report: &mut Report) {
    let maps = snapshot.of(Kind::ConfigMap).iter().filter(|m| m.name().starts_with("istio-sidecar-injector"));
    let images: HashMap<&str, String> =
        maps.filter_map(|map| Some((map.name().as_str(), injected_image(map)?))).collect();
    if images.is_empty() {
        return;
    }
    let mut old: BTreeMap<&Str, (&Arc<Object>, Vec<&str>)> = BTreeMap::new();
    for pod in snapshot.of(Kind::Pod) {
        let Some(namespace) = snapshot.find(Kind::Namespace, "", &pod.namespace) else { continue };
        let Some(revision) = revision(namespace) else { continue };
        let Some(image) = images.get(&*injector_config_map(revision)) else { continue };
        let has_own = pod.annotation("sidecar.istio.io/proxyImage").is_some_and(|image| !image.is_empty());
        let variant = format!("{image}-{}", variant(pod, snapshot));
        let mut proxies = containers(pod.spec()).filter(|c| c.get("name").str() == PROXY);
        if !has_own && proxies.any(|c| c.get("image").str() != image && c.get("image").str() != variant) {
            old.entry(&pod.namespace).or_insert((namespace, Vec::new())).1.push(pod.name());
        }
    }
    for (namespace, mut pods) in old.into_values() {
        pods.sort_unstable();
        report.add("IST0158", namespace, Val::ABSENT, &[&list(pods)]);
    }
}

/// The revision that injects a namespace, if one does.
fn revision(namespace: &Object) -> Option<&str> {
    let enabled = (namespace.label("istio-injection") == Some("enabled")).then_some("default");
    namespace.label("istio.io/rev").or(enabled)
}

fn injected_image(map: &Object) -> Option<String> {
    let values = injector_values(map)?;
    let global = Val::of(&values).get("global");
    let image = global.path("proxy.image").str();
    // A full reference, or a name within the hub.
    Some(match image.contains('/') {
        true => image.to_owned(),
        false => format!("{}/{image}:{}", global.get("hub").str(), global.get("tag").str()),
    })
}

/// The image type that holds for a pod, `distroless` for instance: its annotation wins, then a
/// ProxyConfig that selects it, one of its namespace, one of the root namespace, the mesh config.
fn variant(pod: &Object, snapshot: &Snapshot) -> String {
    let annotation = pod.annotation("proxy.istio.io/config").and_then(|text| yaml::document(text, 0).ok()?);
    let own = annotation.as_ref().map(|node| Val::of(node).path("image.imageType").str());
    let of = |wanted: &dyn Fn(&Object) -> bool| {
        let mut configs = snapshot.of(Kind::ProxyConfig).iter().filter(|config| wanted(config));
        configs.find_map(|c| c.spec().path("image.imageType").text().filter(|t| !t.is_empty()))
    };
    let selector = |config: &Object| labels_of(config.spec().path("selector.matchLabels"));
    let found = own
        .filter(|text| !text.is_empty())
        .or_else(|| {
            of(&|c| {
                c.namespace == pod.namespace
                    && c.spec().get("selector").exists()
                    && selector(c).select(&pod.labels)
            })
        })
        .or_else(|| of(&|c| c.namespace == pod.namespace && !c.spec().get("selector").exists()))
        .or_else(|| of(&|c| *c.namespace == *snapshot.mesh.root_namespace()))
        .unwrap_or_else(|| snapshot.mesh.get("defaultConfig.image.imageType").str());
    if found == "default" { String::new() } else { found.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::check;

    fn mesh(image: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: n, labels: {{istio-injection: enabled}}}}\n---\n\
             apiVersion: v1\nkind: Pod\nmetadata: {{name: p, namespace: n}}\n\
             spec: {{containers: [{{name: istio-proxy, image: '{image}'}}]}}\n---\n\
             apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio-sidecar-injector, namespace: istio-system}}\n\
             data: {{values: '{{\"global\": {{\"hub\": \"h\", \"tag\": \"1.2\", \"proxy\": {{\"image\": \"proxyv2\"}}}}}}'}}\n"
        )
    }

    #[test]
    fn proxies_have_the_image_that_injection_gives() {
        check(&ANALYZER, &mesh("h/proxyv2:1.2"), &[]);
        check(&ANALYZER, &mesh("h/proxyv2:1.1"), &["IST0158 Namespace n:1"]);
        check(&ANALYZER, &mesh("h/proxyv2:1.2-distroless"), &["IST0158 Namespace n:1"]);
        let typed = "---\napiVersion: networking.istio.io/v1beta1\nkind: ProxyConfig\nmetadata: {name: c, namespace: n}\n\
            spec: {image: {imageType: distroless}}\n";
        check(&ANALYZER, &(mesh("h/proxyv2:1.2-distroless") + typed), &[]);
    }
}
