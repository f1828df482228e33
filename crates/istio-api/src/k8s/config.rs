//! ConfigMap and Secret, so that they can be mounted.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::Str;

use crate::mesh::MeshConfig;
use crate::reader::{Fields, Item};

/// `v1` ConfigMap.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConfigMap {
    pub data: BTreeMap<Str, Str>,
    pub binary_data: BTreeMap<Str, Vec<u8>>,
    /// Key `mesh` of the map `istio`, read.
    pub mesh: Option<Arc<MeshConfig>>,
}

/// `v1` Secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret {
    pub secret_type: Str,
    pub data: BTreeMap<Str, Vec<u8>>,
}

impl fmt::Debug for Secret {
    /// Never prints what is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret").field("keys", &self.data.keys().collect::<Vec<_>>()).finish()
    }
}

pub(crate) fn read_config_map(document: &Fields<'_>) -> ConfigMap {
    ConfigMap {
        data: document.get("data").map(|item| item.string_map()).unwrap_or_default(),
        binary_data: document.get("binaryData").map(|item| read_base64(&item)).unwrap_or_default(),
        mesh: None,
    }
}

pub(crate) fn read_secret(document: &Fields<'_>) -> Secret {
    let mut data = document.get("data").map(|item| read_base64(&item)).unwrap_or_default();
    let texts = document.get("stringData").map(|item| item.string_map()).unwrap_or_default();
    data.extend(texts.into_iter().map(|(key, text)| (key, text.as_bytes().to_vec())));
    let secret_type = document.get("type").and_then(|item| item.str()).unwrap_or_default();
    Secret { secret_type, data }
}

fn read_base64(item: &Item<'_>) -> BTreeMap<Str, Vec<u8>> {
    let mut data = BTreeMap::new();
    for (key, item) in item.entries().into_iter().filter(|(_, item)| !item.node().is_null()) {
        let Some(text) = item.str() else { continue };
        let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        match STANDARD.decode(compact) {
            Ok(bytes) => {
                data.insert(key, bytes);
            }
            Err(_) => item.invalid("is not base64".into()),
        }
    }
    data
}
