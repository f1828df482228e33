//! From a registry snapshot and a node to `ir`, as a pure function.
//!
//! [`plan`] says which [`Unit`]s a proxy needs, [`build`] makes one. A unit depends on what the
//! view recorded while it was built, and on its [`scope`]: so equal inputs share one translation,
//! and only those units are built again whose questions have other answers now.
//!
//! Names and behaviour are Istio's. What an object asks for and cannot be had is a finding, and
//! never opens anything that would be closed with it.

mod access_log;
mod all;
mod authz;
mod build;
mod chains;
mod cluster;
mod connection_settings;
mod domains;
mod dynamic_dns;
mod egress;
mod endpoints;
mod findings;
mod gateway;
mod hcm;
mod inbound;
mod l4;
mod locality;
mod name_table;
mod names;
mod outbound;
mod plan;
mod proxy_headers;
mod routes;
mod settings;
mod tls;
mod unit;

pub use all::{Resources, translate_all};
pub use build::{build, build_again, build_in};
pub use outbound::entry::Entry;
pub use plan::plan;
pub use registry::View;
pub use routes::memo::Memo;
pub use routes::sidecar::Again;
pub use unit::{Built, Plan, ScopeKey, Unit, scope};
