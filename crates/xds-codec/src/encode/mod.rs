//! `ir` to Envoy's messages. Total: whatever `ir` can say has an encoding, and it is one that
//! stock Envoy accepts (save for Istio's extensions, which only Lateen's proxy knows).

#![allow(deprecated)] // Some of Envoy's deprecated fields still are the only ones with the effect we need.

use ir::Resource;

use crate::Any;

mod access_log;
mod action;
mod address;
mod balance;
mod bootstrap;
mod breakers;
mod cluster;
mod compressor;
mod cors;
mod dns;
mod dns_cache;
mod endpoint;
mod ext_authz;
mod fault;
mod filter;
mod hash_policy;
mod header_mutation;
mod headers;
mod health_check;
mod http;
mod jwt;
mod limit_actions;
mod listener;
mod local_reply;
mod matcher;
mod metadata;
mod name_table;
mod overrides;
mod protocol;
mod rate_limit;
mod rbac;
mod respond;
mod retry;
pub(crate) mod route;
mod tcp;
mod tls;
mod wire;

pub(crate) use address::socket_address;
pub use bootstrap::bootstrap;
pub use cluster::cluster;
pub(crate) use cluster::{SO_MARK, SOL_SOCKET};
pub use endpoint::load_assignment;
pub use listener::listener;
pub use name_table::name_table;
pub use route::route_config;
pub use tls::secret;

/// Packs a resource into an `Any` as xDS carries it. Never compare or hash the bytes (maps are
/// unordered): a version is [`Resource::version`].
pub fn resource(resource: &Resource) -> Any {
    match resource {
        Resource::Cluster(it) => wire::pack(&cluster(it)),
        Resource::Endpoints(it) => wire::pack(&load_assignment(it)),
        Resource::Listener(it) => wire::pack(&listener(it)),
        Resource::Route(it) => wire::pack(&route_config(it)),
        Resource::Secret(it) => wire::pack(&secret(it)),
        Resource::NameTable(it) => wire::pack(&name_table(it)),
    }
}
