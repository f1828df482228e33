//! What a good token tells the upstream, and the filters after.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use ir::metadata::Json;
use serde_json::Value;
use stdx::Str;

use super::{Good, Jwt, Place};
use crate::request::with_query;

/// Changes of a request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Edits {
    /// The token is not for the upstream.
    pub remove: Vec<Str>,
    pub path: Option<Vec<u8>>,
    pub add: Vec<(Str, String)>,
    pub metadata: Vec<(Str, Json)>,
}

/// What a good token changes in a request with this path.
pub fn told(jwt: &Jwt, good: &Good, path: &[u8]) -> Edits {
    let mut edits = Edits::default();
    let Some(provider) = jwt.providers.get(good.provider) else { return edits };
    let config = &provider.config;
    if !config.forward {
        match &good.place {
            Place::Header(it) => edits.remove.push(it.name.clone()),
            Place::Param(name) => edits.path = Some(with_query(path, &[], &[name.as_str()])),
            // As in Envoy it stays.
            Place::Cookie(_) => {}
        }
    }
    if let Some(name) = &config.forward_payload_header {
        let payload = match config.pad_forward_payload_header {
            false => good.payload_base64.clone(),
            true => URL_SAFE.encode(super::token::decode(&good.payload_base64).unwrap_or_default()),
        };
        edits.add.push((name.clone(), payload));
    }
    for it in &config.claim_to_headers {
        let found = it.claim.split('.').try_fold(&good.payload, |value, key| value.get(key));
        if let Some(text) = found.and_then(as_text) {
            edits.add.push((it.header.clone(), text));
        }
    }
    if let Some(key) = &config.payload_in_metadata {
        let mut payload = json(&good.payload);
        if let Json::Map(fields) = &mut payload {
            for claim in &config.space_delimited_claims {
                if let Some(value) = fields.get_mut(claim)
                    && let Json::Text(text) = value
                {
                    let words = text.split(' ').filter(|it| !it.is_empty());
                    *value = Json::List(words.map(|it| Json::Text(it.into())).collect());
                }
            }
        }
        edits.metadata.push((key.clone(), payload));
    }
    if let Some(key) = &config.header_in_metadata {
        edits.metadata.push((key.clone(), json(&good.header)));
    }
    edits
}

/// A claim as the value of a header.
fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Number(it) if !it.is_u64() && !it.is_i64() => Some(format!("{:.6}", it.as_f64()?)),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Array(_) | Value::Object(_) => Some(STANDARD.encode(value.to_string())),
    }
}

fn json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(it) => Json::Bool(*it),
        Value::Number(it) => Json::Number(it.to_string().into()),
        Value::String(it) => Json::Text(it.as_str().into()),
        Value::Array(all) => Json::List(all.iter().map(json).collect()),
        Value::Object(all) => Json::Map(all.iter().map(|(k, v)| (k.as_str().into(), json(v))).collect()),
    }
}
