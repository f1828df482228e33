//! Volumes of a pod.

use model::Str;

use crate::reader::{Fields, Item};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    pub name: Str,
    pub source: VolumeSource,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeSource {
    EmptyDir,
    ConfigMap {
        name: Str,
        items: Vec<KeyToPath>,
        optional: bool,
    },
    Secret {
        name: Str,
        items: Vec<KeyToPath>,
        optional: bool,
    },
    /// A source that is not supported, by its name.
    Unsupported(Str),
}

/// A key of a ConfigMap or Secret, and the file it becomes. Without any, every key becomes a file
/// of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyToPath {
    pub key: Str,
    pub path: Str,
}

pub(crate) fn read(fields: Fields<'_>) -> Option<Volume> {
    let name = fields.require("name").and_then(|item| item.non_empty());
    let source = read_source(&fields);
    Some(Volume { name: name?, source: source? })
}

fn read_source(fields: &Fields<'_>) -> Option<VolumeSource> {
    if fields.get("emptyDir").is_some() {
        return Some(VolumeSource::EmptyDir);
    }
    if let Some(map) = fields.get("configMap").and_then(|item| item.object()) {
        let (name, items, optional) = read_keys(&map, "name")?;
        return Some(VolumeSource::ConfigMap { name, items, optional });
    }
    if let Some(secret) = fields.get("secret").and_then(|item| item.object()) {
        let (name, items, optional) = read_keys(&secret, "secretName")?;
        return Some(VolumeSource::Secret { name, items, optional });
    }
    let other = fields.item().entries().into_iter().find(|(key, _)| *key != "name");
    match other {
        // `emptyDir:` with nothing after it.
        Some((key, _)) if key == "emptyDir" => Some(VolumeSource::EmptyDir),
        Some((key, item)) => {
            item.no_effect();
            Some(VolumeSource::Unsupported(key))
        }
        None => Some(VolumeSource::EmptyDir),
    }
}

fn read_keys(fields: &Fields<'_>, name: &'static str) -> Option<(Str, Vec<KeyToPath>, bool)> {
    let item = |fields: Fields<'_>| {
        Some(KeyToPath { key: fields.require("key")?.str()?, path: fields.require("path")?.str()? })
    };
    let name = fields.require(name).and_then(|item| item.non_empty());
    let items = fields.get("items").map(|list| list.objects(item)).unwrap_or_default();
    let optional = fields.get("optional").and_then(|i| Item::bool(&i)).unwrap_or(false);
    Some((name?, items, optional))
}
