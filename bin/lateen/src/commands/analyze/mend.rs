//! `--fix`: shows the mends that are certain, and applies them when told to.

use std::io::{IsTerminal, Write};

use analysis::format::Format;
use analysis::{Finding, fix};

use super::Console;
use super::input::Source;

/// Prints the diff, then writes the files if the user agrees. Says whether it did.
pub fn offer(
    sources: &[Source],
    findings: &[Finding],
    yes: bool,
    format: Format,
    console: &mut Console<'_>,
) -> anyhow::Result<bool> {
    let files = sources.iter().filter(|source| source.name != "-");
    let texts = files.filter_map(|source| Some((source, std::str::from_utf8(&source.bytes).ok()?)));
    let mended: Vec<(&Source, &str, String)> = texts
        .filter_map(|(source, old)| Some((source, old, fix::mended(&source.name, old, findings)?)))
        .collect();
    // Only the report goes to standard output when a program reads it.
    let for_people = format == Format::Log;
    let out: &mut dyn Write = if for_people { &mut *console.out } else { &mut *console.err };
    for (source, old, new) in &mended {
        out.write_all(fix::diff(&source.name, old, new).as_bytes())?;
    }
    if mended.is_empty() {
        writeln!(console.err, "There is nothing that could be mended with certainty.")?;
        return Ok(false);
    }
    if !yes && !agrees(mended.len(), console.err)? {
        return Ok(false);
    }
    for (source, _, new) in mended {
        std::fs::write(&source.name, new).map_err(|error| anyhow::anyhow!("{}: {error}", source.name))?;
        writeln!(console.err, "Mended {}", source.name)?;
    }
    Ok(true)
}

/// Asks, if there is somebody to ask.
fn agrees(files: usize, err: &mut dyn Write) -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        writeln!(err, "Nothing was written; --fix --yes applies this.")?;
        return Ok(false);
    }
    let what = if files == 1 { "this file".to_owned() } else { format!("these {files} files") };
    write!(err, "Change {what}? [y/N] ")?;
    err.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
