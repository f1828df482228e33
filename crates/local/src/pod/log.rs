//! Logs of containers: their ends, for people, and their size.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// A log that has grown beyond this becomes the old one, bytes.
const LIMIT: u64 = 10 << 20;

/// The end of a log, for people who ask why something ended.
pub fn last_lines(log: &Path, from: u64) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = std::fs::File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(2048).max(from)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines.iter().skip(lines.len().saturating_sub(3)).map(|line| format!("\n    {line}")).collect()
}

/// Keeps a log and the one before it below the limit. The file stays the same file, since the
/// container has it open for appending.
pub fn trim_log(log: &Path) {
    if std::fs::metadata(log).is_ok_and(|metadata| metadata.len() > LIMIT)
        && std::fs::copy(log, log.with_extension("log.1")).is_ok()
    {
        let _ = std::fs::OpenOptions::new().write(true).open(log).and_then(|file| file.set_len(0));
    }
}
