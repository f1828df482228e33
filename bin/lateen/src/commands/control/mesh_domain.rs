//! The trust domain. The authority needs it before anything is read and cannot change it, while
//! policies are translated with the MeshConfig's: the two must agree.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use istio_api::MeshConfig;
use model::{Finding, Level, Str};
use registry::Change;
use source::{Hub, Outlet, Source, Update};

/// The trust domain of the MeshConfig is not that of the certificates.
const TRUST_DOMAIN: &str = "LTN0401";

/// The trust domain of this control plane.
#[derive(Clone, Debug)]
pub struct MeshDomain {
    name: Str,
    /// It was given, and no file says it: the MeshConfig has to be told.
    impose: bool,
}

impl MeshDomain {
    /// What was given, else what the MeshConfig file says, else the default.
    pub fn choose(given: Option<&str>, file: Option<&Path>) -> anyhow::Result<Self> {
        let Some(file) = file else {
            let name = Str::from(given.unwrap_or(&MeshConfig::default().trust_domain));
            return Ok(MeshDomain { impose: name != MeshConfig::default().trust_domain, name });
        };
        let shown = file.display();
        let text = std::fs::read_to_string(file).with_context(|| shown.to_string())?;
        let parsed = istio_api::parse_mesh_config(&shown.to_string(), &text);
        if parsed.broken {
            let findings: Vec<String> = parsed.findings.iter().map(ToString::to_string).collect();
            bail!("{shown} cannot be used: {}", findings.join("; "));
        }
        let written = parsed.config.trust_domain;
        match given {
            Some(given) if written != given => {
                bail!("{shown} says trustDomain {written}, --trust-domain {given}")
            }
            _ => Ok(MeshDomain { name: written, impose: false }),
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// A source of the MeshConfig that says this trust domain, if nothing else would.
    pub fn as_source(&self) -> Option<impl Source> {
        self.impose.then(|| Imposed(self.name.clone()))
    }

    /// Reports whenever the MeshConfig in effect says something else.
    pub async fn watch(self, hub: Hub) -> Result<(), String> {
        let mut snapshots = hub.subscribe();
        let mut reported = false;
        while let Some((snapshot, _)) = snapshots.next().await {
            let findings = self.judge(&snapshot.view().mesh().trust_domain);
            if reported || !findings.is_empty() {
                reported = !findings.is_empty();
                hub.report("trust domain", findings).await;
            }
        }
        Err("the registry has ended".into())
    }

    fn judge(&self, in_effect: &str) -> Vec<Finding> {
        if *in_effect == *self.name {
            return Vec::new();
        }
        let ours = &self.name;
        let message = format!(
            "trustDomain {in_effect:?} is not {ours:?}, that of the certificates: identities in policies will not \
             match. It is fixed at the start, with --trust-domain or --mesh-config"
        );
        vec![Finding {
            level: Level::Error,
            code: TRUST_DOMAIN,
            object: Some(model::ObjectRef::new("MeshConfig", "", "")),
            field: "trustDomain".into(),
            place: None,
            message: message.into(),
        }]
    }
}

/// A MeshConfig with defaults and a trust domain.
struct Imposed(Str);

impl Source for Imposed {
    fn name(&self) -> &'static str {
        "trust domain"
    }

    async fn run(self, outlet: Outlet) -> Result<(), String> {
        let config = MeshConfig { trust_domain: self.0, ..MeshConfig::default() };
        let changes = vec![Change::MeshConfig(Some(Arc::new(config)))];
        outlet.send(Update { changes, findings: None, complete: true }).await;
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flag_and_file_must_agree() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("mesh.yaml");
        std::fs::write(&file, "trustDomain: td1\n").unwrap();
        let choose = |given, file| {
            MeshDomain::choose(given, file).map(|d| (d.name, d.impose)).map_err(|e| e.to_string())
        };
        assert_eq!(choose(None, None), Ok(("cluster.local".into(), false)));
        assert_eq!(choose(Some("td2"), None), Ok(("td2".into(), true)));
        assert_eq!(choose(None, Some(file.as_path())), Ok(("td1".into(), false)));
        assert_eq!(choose(Some("td1"), Some(file.as_path())), Ok(("td1".into(), false)));
        assert!(
            choose(Some("td2"), Some(file.as_path())).is_err_and(|e| e.contains("td1") && e.contains("td2"))
        );
        std::fs::write(&file, "trustDomain: [").unwrap();
        assert!(choose(None, Some(file.as_path())).is_err_and(|e| e.contains("mesh.yaml:1:")));
    }
}
