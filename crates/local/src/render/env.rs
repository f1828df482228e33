//! The environment of a container: text, fields of the pod, keys of ConfigMaps and Secrets.

use std::collections::BTreeMap;

use istio_api::Kind;
use istio_api::k8s::{Container, EnvValue};

use super::{Lookup, PodPlan};

/// Variables in order.
pub type Env = Vec<(String, String)>;

impl PodPlan {
    /// The whole environment; later variables may refer to earlier ones.
    pub(super) fn env(&self, container: &Container, lookup: Lookup<'_>) -> Result<Env, String> {
        let mut env = self.base_env();
        for variable in &container.env {
            let value = match &variable.value {
                EnvValue::Text(text) => Some(expand(text, &env)),
                EnvValue::Field(field) => Some(
                    self.field(field).ok_or_else(|| format!("env {}: no field {field}", variable.name))?,
                ),
                EnvValue::ConfigMapKey { name, key, optional } => {
                    self.key(lookup, "ConfigMap", name, key, *optional)?
                }
                EnvValue::SecretKey { name, key, optional } => {
                    self.key(lookup, "Secret", name, key, *optional)?
                }
                EnvValue::Unsupported(source) => {
                    return Err(format!("env {}: {source} is not supported", variable.name));
                }
            };
            if let Some(value) = value {
                env.retain(|(name, _)| *name != *variable.name);
                env.push((variable.name.to_string(), value));
            }
        }
        Ok(env)
    }

    fn key(
        &self,
        lookup: Lookup<'_>,
        kind: &str,
        name: &str,
        key: &str,
        optional: bool,
    ) -> Result<Option<String>, String> {
        let bytes = match lookup(kind, &self.namespace, name) {
            Some(Kind::ConfigMap(map)) => map.data.get(key).map(|text| text.as_bytes().to_vec()),
            Some(Kind::Secret(secret)) => secret.data.get(key).cloned(),
            _ => None,
        };
        match bytes {
            Some(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            None if optional => Ok(None),
            None => Err(format!("no key {key} in {kind} {}/{name}", self.namespace)),
        }
    }

    /// The downward API.
    fn field(&self, path: &str) -> Option<String> {
        let keyed = |prefix: &str, map: &BTreeMap<String, String>| {
            let key = path.strip_prefix(prefix)?.strip_prefix("['")?.strip_suffix("']")?;
            Some(map.get(key).cloned().unwrap_or_default())
        };
        Some(match path {
            "metadata.name" => self.name.clone(),
            "metadata.namespace" => self.namespace.clone(),
            "spec.serviceAccountName" => self.service_account().to_owned(),
            "spec.nodeName" => "lateen".to_owned(),
            "status.podIP" | "status.podIPs" => self.address.to_string(),
            "status.hostIP" | "status.hostIPs" => self.host.to_string(),
            _ => {
                return keyed("metadata.labels", &self.template.labels)
                    .or_else(|| keyed("metadata.annotations", &self.template.annotations));
            }
        })
    }
}

/// Replaces `$(NAME)` by a variable; `$$` is a dollar, and unknown names stay as they are.
pub fn expand(text: &str, env: &[(String, String)]) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match env.iter().find(|(known, _)| known == name) {
                Some((_, value)) => out.push_str(value),
                None => out.push_str(&format!("$({name})")),
            }
            rest = after;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    out
}
