//! The mesh that files describe.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use model::Finding;
use registry::{Change, Features, Settings, Snapshot};

use crate::commands::validate::input as files;

/// A mesh, and what is to be said about the files.
pub struct Mesh {
    pub snapshot: Snapshot,
    pub findings: Vec<Finding>,
}

/// Reads the mesh of these files.
///
/// # Errors
/// A file cannot be read or is no YAML, or the MeshConfig is broken.
pub fn read(paths: &[PathBuf], mesh_config: Option<&Path>, features: Features) -> anyhow::Result<Mesh> {
    let (texts, problems) = files::read(paths);
    if !problems.is_empty() {
        bail!("{}", problems.join("; "));
    }
    let mut mesh = Mesh { snapshot: empty(features), findings: Vec::new() };
    for (name, content) in texts {
        let text = String::from_utf8(content).with_context(|| format!("{name} is no UTF-8"))?;
        mesh.add(&name, &text)?;
    }
    if let Some(path) = mesh_config {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(|| shown.clone())?;
        mesh.configure(&shown, &text)?;
    }
    mesh.findings.extend(registry::findings(&mesh.snapshot));
    Ok(mesh)
}

fn empty(features: Features) -> Snapshot {
    Snapshot::new(Settings { features, ..Settings::default() })
}

impl Mesh {
    /// A mesh without anything in it.
    #[cfg(test)]
    pub fn new(features: Features) -> Self {
        Mesh { snapshot: empty(features), findings: Vec::new() }
    }

    /// Adds the objects of a YAML stream. Broken ones have no effect, which is reported.
    ///
    /// # Errors
    /// It is no YAML.
    pub fn add(&mut self, name: &str, text: &str) -> anyhow::Result<()> {
        let parsed = istio_api::parse_stream(name, text);
        if parsed.incomplete {
            let said: Vec<String> = parsed.findings.iter().map(ToString::to_string).collect();
            bail!("{name} cannot be read: {}", said.join("; "));
        }
        let changes = parsed.documents.into_iter().map(|document| Change::Upsert(Arc::new(document)));
        self.snapshot = self.snapshot.apply(changes.collect()).0;
        self.findings.extend(parsed.findings);
        Ok(())
    }

    /// Puts a MeshConfig in the place of the defaults.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn configure(&mut self, name: &str, text: &str) -> anyhow::Result<()> {
        let parsed = istio_api::parse_mesh_config(name, text);
        if parsed.broken {
            let said: Vec<String> = parsed.findings.iter().map(ToString::to_string).collect();
            bail!("{name} cannot be used: {}", said.join("; "));
        }
        self.snapshot = self.snapshot.apply(vec![Change::MeshConfig(Some(Arc::new(parsed.config)))]).0;
        self.findings.extend(parsed.findings);
        Ok(())
    }
}
