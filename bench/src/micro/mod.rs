//! Instructions of single decisions, counted by callgrind: the same on every machine of an
//! architecture, whatever else it does.
//!
//! The program starts itself under valgrind, once for each case, and only what happens inside of
//! [`measured_loop`] is counted.

mod cases;

use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, bail};
use comfy_table::{CellAlignment, Table, presets};
use serde_json::json;

use crate::Output;
use crate::install;

/// Calls that are counted.
const CALLS: u64 = 1_000;

/// How much dearer routing may be with 10,000 routes than with 10.
const ROUTING: f64 = 1.5;

/// Runs all cases whose name contains `filter`.
///
/// # Errors
/// Valgrind is missing and cannot be installed, or a case fails.
pub fn run(filter: &str, output: Output, check: bool) -> anyhow::Result<ExitCode> {
    install::valgrind()?;
    let mut found = Vec::new();
    for name in cases::names().filter(|name| name.contains(filter)) {
        eprintln!("bench: {name}");
        found.push((name, instructions(name)?));
    }
    match output {
        Output::Json => {
            println!("{:#}", json!(found.iter().copied().collect::<std::collections::BTreeMap<_, _>>()))
        }
        Output::Text => println!("{}", table(&found)),
    }
    let missed: Vec<String> = ["routes", "hosts"].iter().filter_map(|kind| flat(&found, kind)).collect();
    for line in &missed {
        eprintln!("bench: {line}");
    }
    Ok(if check && !missed.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What is wrong, if ten thousand cost much more than ten.
fn flat(found: &[(&str, f64)], kind: &str) -> Option<String> {
    let cost = |count: &str| {
        let name = format!("route, {count} {kind}");
        found.iter().find(|(found, _)| *found == name).map(|(_, cost)| *cost)
    };
    let ratio = cost("10,000")? / cost("10")?;
    (ratio > ROUTING).then(|| format!("10,000 {kind} cost {ratio:.1} times what 10 do"))
}

fn table(found: &[(&str, f64)]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header(["one call of", "instructions"]);
    for (name, cost) in found {
        table.add_row([(*name).to_owned(), format!("{cost:.0}")]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Of one call.
fn instructions(case: &str) -> anyhow::Result<f64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*measured_loop*"])
        .arg(std::env::current_exe()?)
        .args(["count", case])
        .stdin(Stdio::null())
        .output()
        .context("cannot start valgrind")?;
    let text = String::from_utf8_lossy(&output.stderr);
    let collected =
        text.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse::<u64>().ok());
    match collected {
        Some(count) if count > 0 && output.status.success() => Ok(count as f64 / CALLS as f64),
        _ => bail!("valgrind ended with {}:\n{text}", output.status),
    }
}

/// The other side: prepares one case and calls it [`CALLS`] times.
///
/// # Errors
/// There is no such case, or it cannot be prepared.
pub fn count(case: &str) -> anyhow::Result<()> {
    let mut call = cases::prepare(case)?;
    // Once before: what is done lazily and once is not what a call costs.
    call();
    measured_loop(&mut *call);
    Ok(())
}

/// Known to callgrind by its name.
#[inline(never)]
fn measured_loop(call: &mut dyn FnMut()) {
    for _ in 0..CALLS {
        call();
    }
}
