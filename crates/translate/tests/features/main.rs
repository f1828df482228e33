//! What comes out of a mesh, feature by feature.

#[path = "../common/mod.rs"]
mod common;

mod accepted;
mod caching;
mod calls;
mod clusters;
mod destination_rules;
mod docs;
mod dynamic_dns;
mod edge;
mod envoy;
mod field_reports;
mod gateways;
mod inbound;
mod mesh_config;
mod names;
mod outbound;
mod policies;
mod proxy_configs;
mod routes;
mod service_entries;
mod sidecars;
mod virtual_services;
mod workload_groups;
