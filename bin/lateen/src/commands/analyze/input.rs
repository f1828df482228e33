//! From paths to texts.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use analysis::{File, Reading, Settings};
use istio_api::yaml;

use super::Args;
use crate::commands::files;

/// A text to analyze.
#[derive(Clone, Debug)]
pub struct Source {
    /// As it was given, or found below a folder that was; `-` for standard input.
    pub name: String,
    /// Not always text; then that is a finding.
    pub bytes: Arc<[u8]>,
    pub cluster: Option<String>,
}

impl Args {
    /// How documents are read: istioctl shows no namespace with `--all-namespaces` where none is
    /// written.
    pub fn reading(&self) -> Reading {
        let namespace = if self.all_namespaces { "default" } else { &self.namespace };
        Reading { default_namespace: namespace.into(), show_default_namespace: !self.all_namespaces }
    }
}

/// Reads everything that was named, or says what cannot be read.
pub fn read(args: &Args, notes: &mut dyn Write) -> Result<(Vec<Source>, Settings), String> {
    let mut sources = Vec::new();
    for path in &args.paths {
        gather(path, None, notes, &mut sources)?;
    }
    for (cluster, path) in &args.cluster {
        gather(path, Some(cluster), notes, &mut sources)?;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let settings = Settings {
        mesh_config: args.mesh_config_file.as_deref().map(document).transpose()?,
        mesh_networks: args.mesh_networks_file.as_deref().map(document).transpose()?,
        now: i64::try_from(now).unwrap_or(i64::MAX),
    };
    Ok((sources, settings))
}

fn gather(
    path: &str,
    cluster: Option<&String>,
    notes: &mut dyn Write,
    sources: &mut Vec<Source>,
) -> Result<(), String> {
    let mut push = |name: &str, bytes: Vec<u8>| {
        sources.push(Source { name: name.to_owned(), bytes: bytes.into(), cluster: cluster.cloned() });
    };
    if path == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).map_err(|error| format!("standard input: {error}"))?;
        push(path, bytes);
        return Ok(());
    }
    let fail = |error: std::io::Error| format!("{path}: {error}");
    let found = match std::fs::metadata(path).map_err(fail)?.is_dir() {
        true => files::below(Path::new(path))
            .map_err(|(folder, error)| format!("{}: {error}", folder.display()))?,
        false => vec![path.into()],
    };
    for file in found {
        let name = file.to_string_lossy();
        if files::has_known_extension(&file) {
            push(&name, std::fs::read(&file).map_err(|error| format!("{name}: {error}"))?);
        } else {
            let known = files::EXTENSIONS.join(", ");
            let _ = writeln!(notes, "Skipping file {name}, recognized file extensions are: {known}");
        }
    }
    Ok(())
}

/// The one document of a file with settings.
fn document(path: &str) -> Result<Arc<(model::Str, yaml::Node)>, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    match yaml::document(&text, 0) {
        Ok(Some(node)) => Ok(Arc::new((path.into(), node))),
        Ok(None) => Err(format!("{path}: is empty")),
        Err(error) => Err(format!("{path}:{}:{}: {}", error.line, error.column, error.message)),
    }
}

/// Reads the objects of all texts, on all cores; the order stays.
pub fn parse(sources: &[Source], reading: &Reading) -> Vec<Arc<File>> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let size = sources.len().div_ceil(workers).max(1);
    let read = |source: &Source| {
        Arc::new(File::of_bytes(&source.name, &source.bytes, source.cluster.as_deref(), reading))
    };
    std::thread::scope(|scope| {
        let parts: Vec<_> = sources
            .chunks(size)
            .map(|part| scope.spawn(move || part.iter().map(read).collect::<Vec<_>>()))
            .collect();
        parts.into_iter().flat_map(|part| part.join().unwrap_or_default()).collect()
    })
}
