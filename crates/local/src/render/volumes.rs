//! The content of a pod's volumes.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use istio_api::Kind;
use istio_api::k8s::VolumeSource;
use model::Str;

use super::{Lookup, PodPlan};

/// Files of a volume; `None` is an empty folder that anybody may write.
pub type Volumes = BTreeMap<String, Option<BTreeMap<PathBuf, Vec<u8>>>>;

impl PodPlan {
    /// The content of the pod's volumes.
    ///
    /// # Errors
    /// What is missing, in words.
    pub fn volumes(&self, lookup: Lookup<'_>) -> Result<Volumes, String> {
        let mut volumes = Volumes::new();
        for volume in &self.template.spec.volumes {
            let (kind, name, items, optional) = match &volume.source {
                VolumeSource::EmptyDir => {
                    volumes.insert(volume.name.to_string(), None);
                    continue;
                }
                VolumeSource::Unsupported(source) => {
                    return Err(format!("volume {}: {source} is not supported", volume.name));
                }
                VolumeSource::ConfigMap { name, items, optional } => ("ConfigMap", name, items, *optional),
                VolumeSource::Secret { name, items, optional } => ("Secret", name, items, *optional),
            };
            let content: BTreeMap<Str, Vec<u8>> = match lookup(kind, &self.namespace, name) {
                Some(Kind::ConfigMap(map)) => {
                    let text = map.data.iter().map(|(key, text)| (key.clone(), text.as_bytes().to_vec()));
                    text.chain(map.binary_data.clone()).collect()
                }
                Some(Kind::Secret(secret)) => secret.data.clone(),
                _ if optional => BTreeMap::new(),
                _ => return Err(format!("volume {}: no {kind} {}/{name}", volume.name, self.namespace)),
            };
            let mut files = BTreeMap::new();
            for (key, bytes) in &content {
                let path = match items.iter().find(|item| item.key == *key) {
                    Some(item) => item.path.clone(),
                    None if items.is_empty() => key.clone(),
                    None => continue,
                };
                files.insert(inside(&path)?, bytes.clone());
            }
            if let Some(item) =
                items.iter().find(|item| !content.contains_key(&item.key)).filter(|_| !optional)
            {
                return Err(format!("volume {}: no key {} in {kind} {name}", volume.name, item.key));
            }
            volumes.insert(volume.name.to_string(), Some(files));
        }
        Ok(volumes)
    }
}

/// A path that stays inside its volume.
fn inside(path: &str) -> Result<PathBuf, String> {
    let path = Path::new(path);
    let stays = path.components().all(|part| matches!(part, Component::Normal(_)));
    if stays { Ok(path.to_owned()) } else { Err(format!("{} is not inside the volume", path.display())) }
}
