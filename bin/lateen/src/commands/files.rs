//! The files that a command line names, for the commands that judge files.

use std::io;
use std::path::{Path, PathBuf};

/// What files with objects end in.
pub const EXTENSIONS: [&str; 3] = ["json", "yaml", "yml"];

/// Whether a file is one of ours by its name, as istioctl has it.
pub fn has_known_extension(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
}

/// All files below a folder, by name. Links to folders are not followed: they may lead in circles.
///
/// # Errors
/// A folder that cannot be listed, with its name.
pub fn below(folder: &Path) -> Result<Vec<PathBuf>, (PathBuf, io::Error)> {
    let named = |error| (folder.to_owned(), error);
    let entries = std::fs::read_dir(folder).map_err(named)?.collect::<Result<Vec<_>, _>>().map_err(named)?;
    let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    let mut files = Vec::new();
    for path in paths {
        match path.is_dir() {
            true if path.is_symlink() => {}
            true => files.extend(below(&path)?),
            false => files.push(path),
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_leads_in_a_circle_ends() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("b")).unwrap();
        for file in ["b/2.yaml", "a.yaml"] {
            std::fs::write(folder.path().join(file), "").unwrap();
        }
        std::os::unix::fs::symlink(folder.path(), folder.path().join("b/circle")).unwrap();
        let found = below(folder.path()).unwrap();
        assert_eq!(found, [folder.path().join("a.yaml"), folder.path().join("b/2.yaml")]);
        assert!(has_known_extension(Path::new("x.YAML")) && !has_known_extension(Path::new("yaml")));
    }
}
