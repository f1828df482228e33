//! What can be known about a mesh's configuration before it takes effect: Istio's analysis codes
//! (<https://istio.io/latest/docs/reference/config/analysis/>) and our own, in one [`catalogue`].
//!
//! Texts become [`File`]s, files a [`Snapshot`], and [`analyze`] asks every analyzer what it finds
//! there. An analyzer is a function of the snapshot, so all run in parallel; a [`Session`] keeps
//! what each found and asks only those again that read a kind which is in a changed file, and those
//! that judge each file by itself about that file alone.
//!
//! Nothing here does I/O or reads a clock.

pub mod analyzers;
#[cfg(test)]
mod anything;
pub mod builtin;
pub mod catalogue;
#[cfg(test)]
mod conformance;
pub mod file;
mod filter;
mod finding;
pub mod fix;
pub mod format;
mod hosts;
mod kind;
mod labels;
mod mesh;
mod object;
mod own;
mod run;
#[cfg(test)]
mod scale;
mod session;
mod snapshot;
#[cfg(test)]
mod testing;
mod value;
mod workloads;

pub use analyzers::Analyzer;
pub use file::{File, Reading};
pub use filter::{Suppression, in_namespace, sort};
pub use finding::{Edit, Finding, Fix};
pub use kind::Kind;
pub use object::Object;
pub use run::analyze;
pub use session::Session;
pub use snapshot::{Settings, Snapshot};
pub use value::Val;
