//! From paths to texts.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use analysis::{File, Reading, Settings};
use istio_api::yaml;

use super::Args;

/// A text to analyze.
#[derive(Clone, Debug)]
pub struct Source {
    /// As it was given, or found below a folder that was; `-` for standard input.
    pub name: String,
    /// Not always text; then that is a finding.
    pub bytes: Arc<[u8]>,
    pub cluster: Option<String>,
}

/// As with istioctl, other files are left alone.
const EXTENSIONS: [&str; 3] = ["json", "yaml", "yml"];

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
    if !std::fs::metadata(path).map_err(fail)?.is_dir() {
        if has_known_extension(path) {
            push(path, std::fs::read(path).map_err(fail)?);
        } else {
            let known = EXTENSIONS.join(", ");
            let _ = writeln!(notes, "Skipping file {path}, recognized file extensions are: {known}");
        }
        return Ok(());
    }
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path).map_err(fail)? {
        entries.push(entry.map_err(fail)?.path());
    }
    entries.sort();
    for entry in entries {
        gather(&entry.to_string_lossy(), cluster, notes, sources)?;
    }
    Ok(())
}

fn has_known_extension(path: &str) -> bool {
    let extension = Path::new(path).extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
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
