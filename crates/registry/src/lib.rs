//! The mesh as one immutable snapshot, and how changes produce the next one.
//!
//! [`Snapshot`] is what translation reads; it costs nothing to clone. Its accessors are on
//! [`View`], which also records a [`Key`] for each question that was asked, answered or not.
//! [`Snapshot::apply`] takes changes and gives the next snapshot with a [`Delta`]: the keys whose
//! answers differ. So whoever keeps the keys of a computation knows when to repeat it.

mod apply;
mod auto_registration;
mod client_labels;
pub mod codes;
mod config;
mod delta;
mod destination_rules;
mod export;
mod features;
mod findings;
mod index;
mod key;
mod namespaces;
mod policies;
mod proxy_settings;
mod service;
mod sidecars;
mod snapshot;
mod view;
mod vip;
mod virtual_services;
mod workload;

pub use apply::Change;
pub use auto_registration::{GROUP_ANNOTATION, entry_of_machine};
pub use config::Config;
pub use delta::Delta;
pub use destination_rules::{MergedRule, MergedSubset};
pub use export::Export;
pub use features::Features;
pub use findings::findings;
pub use key::Key;
pub use policies::Mtls;
pub use service::{Endpoint, NamedEndpoint, Resolution, Service, ServicePort, ServiceSource, Target};
pub use snapshot::{Settings, Snapshot};
pub use view::View;
pub use vip::{BadBlock, Block};
pub use virtual_services::GatewayRef;
pub use workload::Workload;
