//! The push loop: from changes of the registry to what each connected proxy is sent.
//!
//! [`Discovery`] is the [`xds_server::Generator`]. One thread of its own owns all state: units of
//! translation with the questions that each asked of the registry, and which proxies use them. A
//! change rebuilds the units that asked about something that is different now, and nothing else;
//! proxies of equal scope share units, equal resources share one encoding, and proxies with the
//! same units share the list of them.

mod assembly;
mod findings;
mod group;
mod plan;
mod reads;
mod state;
mod stats;
mod unit;
mod worker;

pub use findings::{INTERNAL, WITHHELD};
pub use stats::{NoStats, Push, Stats};
pub use worker::{Discovery, Stopped};
