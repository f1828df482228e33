//! What a run prints and writes.

pub mod json;
pub mod svg;
pub mod table;

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

impl Finding {
    /// For people: tables, notes, and what became of the targets.
    pub fn print(&self) {
        println!("\n{}: {}\n", self.scenario.name, self.scenario.about);
        println!("{}", table::tables(&self.measured.samples));
        for note in &self.measured.notes {
            println!("  {note}");
        }
        for verdict in &self.verdicts {
            println!("  {verdict}");
        }
    }
}
