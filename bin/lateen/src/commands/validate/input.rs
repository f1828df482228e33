//! Which files there are, and what is in them.

use std::io::Read;
use std::path::PathBuf;

use crate::commands::files;

/// Name and content of each file, in order, and what could not be read.
pub fn read(paths: &[PathBuf]) -> (Vec<(String, Vec<u8>)>, Vec<String>) {
    let (mut read, mut problems) = (Vec::new(), Vec::new());
    for path in paths {
        if path.as_os_str() == "-" {
            let mut content = Vec::new();
            match std::io::stdin().read_to_end(&mut content) {
                Ok(_) => read.push(("-".to_owned(), content)),
                Err(error) => problems.push(format!("the standard input: {error}")),
            }
            continue;
        }
        let mut found = Vec::new();
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => match files::below(path) {
                Ok(all) => found.extend(all.into_iter().filter(|file| files::has_known_extension(file))),
                Err((folder, error)) => problems.push(format!("{}: {error}", folder.display())),
            },
            Ok(_) => found.push(path.clone()),
            Err(error) => problems.push(format!("{}: {error}", path.display())),
        }
        for file in found {
            match std::fs::read(&file) {
                Ok(content) => read.push((file.display().to_string(), content)),
                Err(error) => problems.push(format!("{}: {error}", file.display())),
            }
        }
    }
    (read, problems)
}
