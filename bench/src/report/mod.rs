//! What a run prints and writes.

pub mod json;
pub mod svg;
pub mod table;

use std::fmt;
use std::path::Path;

use anyhow::Context as _;

use crate::machine::Machine;
use crate::metric::Measured;
use crate::scenario::Scenario;
use crate::targets::Verdict;
use crate::throughput::Effort;

/// All that a run found.
#[derive(Debug)]
pub struct Report {
    pub machine: Machine,
    pub effort: Effort,
    pub scenarios: Vec<Finding>,
}

/// One scenario of it.
#[derive(Debug)]
pub struct Finding {
    pub scenario: &'static Scenario,
    pub measured: Measured,
    pub verdicts: Vec<Verdict>,
}

impl fmt::Display for Finding {
    /// For people: tables, notes, and what became of the targets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n## {}\n\n{}.\n", self.scenario.name, self.scenario.about)?;
        f.write_str(&table::tables(&self.measured.samples))?;
        let notes = self.measured.notes.iter().map(String::clone);
        for line in notes.chain(self.verdicts.iter().map(ToString::to_string)) {
            writeln!(f, "- {line}")?;
        }
        Ok(())
    }
}

impl Report {
    /// Writes `results.md` and `results.svg` into a folder.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let mut text = format!(
            "# Results\n\nWritten by `bench/run`, with {} rounds of {} s. {}.\n",
            self.effort.rounds,
            self.effort.duration.as_secs(),
            self.machine
        );
        for finding in &self.scenarios {
            text.push_str(&finding.to_string());
        }
        for (name, content) in [("results.md", text), ("results.svg", svg::svg(self))] {
            let path = folder.join(name);
            std::fs::write(&path, content).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }
}
