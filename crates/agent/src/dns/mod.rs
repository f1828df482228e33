//! DNS beside the workload: names of the mesh from its name table, everything else from the
//! resolvers of `resolv.conf`.

mod answer;
mod forward;
mod server;
mod table;

pub use server::{DnsConfig, DnsCounters, DnsServer, NameTableHandle};
pub use table::{Lookup, Names, SearchContext};
