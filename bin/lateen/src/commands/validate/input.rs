//! Which files there are, and what is in them.

use std::io::Read;
use std::path::{Path, PathBuf};

/// Name and content of each file, in order, and what could not be read.
pub fn read(paths: &[PathBuf]) -> (Vec<(String, Vec<u8>)>, Vec<String>) {
    let (mut files, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        if path.as_os_str() == "-" {
            let mut content = Vec::new();
            match std::io::stdin().read_to_end(&mut content) {
                Ok(_) => files.push(("-".to_owned(), content)),
                Err(error) => problems.push(format!("the standard input: {error}")),
            }
            continue;
        }
        let mut found = Vec::new();
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => search(path, &mut found, &mut problems),
            Ok(_) => found.push(path.clone()),
            Err(error) => problems.push(format!("{}: {error}", path.display())),
        }
        for file in found {
            match std::fs::read(&file) {
                Ok(content) => files.push((file.display().to_string(), content)),
                Err(error) => problems.push(format!("{}: {error}", file.display())),
            }
        }
    }
    (files, problems)
}

/// The YAML and JSON files below a folder, by name. Links to folders are not followed: they may
/// lead in circles.
fn search(folder: &Path, found: &mut Vec<PathBuf>, problems: &mut Vec<String>) {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return problems.push(format!("{}: {error}", folder.display())),
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let is_link = path.is_symlink();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() {
            if !is_link {
                search(&path, found, problems);
            }
        } else if matches!(extension, Some("yaml" | "yml" | "json")) {
            found.push(path);
        }
    }
}
