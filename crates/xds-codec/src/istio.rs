//! Istio's own messages, as far as Lateen reads them. Field numbers are those of
//! `pkg/dns/proto/nds.proto` (istio/istio), `source/extensions/filters/http/{istio_stats,
//! peer_metadata,alpn}/config.proto` (istio/proxy).

use std::collections::BTreeMap;

use envoy_types::pb::google::protobuf::Duration;
use prost::{Message, Name};

macro_rules! named {
    ($type:ty, $package:literal, $name:literal) => {
        impl Name for $type {
            const PACKAGE: &'static str = $package;
            const NAME: &'static str = $name;
            fn type_url() -> String {
                concat!("type.googleapis.com/", $package, ".", $name).into()
            }
        }
    };
}

/// `istio.networking.nds.v1.NameTable`.
#[derive(Clone, PartialEq, Message)]
pub struct NameTable {
    #[prost(btree_map = "string, message", tag = "1")]
    pub table: BTreeMap<String, NameInfo>,
    /// Of the delta variant, where every host is a resource of its own.
    #[prost(message, optional, tag = "2")]
    pub name_info: Option<NameInfo>,
}
named!(NameTable, "istio.networking.nds.v1", "NameTable");

#[derive(Clone, PartialEq, Message)]
pub struct NameInfo {
    #[prost(string, repeated, tag = "1")]
    pub ips: Vec<String>,
    #[prost(string, tag = "2")]
    pub registry: String,
    #[prost(string, tag = "3")]
    pub shortname: String,
    #[prost(string, tag = "4")]
    pub namespace: String,
    #[prost(string, repeated, tag = "5")]
    pub alt_hosts: Vec<String>,
}

/// `stats.PluginConfig`.
#[derive(Clone, PartialEq, Message)]
pub struct PluginConfig {
    #[prost(bool, tag = "6")]
    pub disable_host_header_fallback: bool,
    #[prost(message, optional, tag = "7")]
    pub tcp_reporting_duration: Option<Duration>,
    #[prost(message, repeated, tag = "8")]
    pub metrics: Vec<MetricConfig>,
    #[prost(message, repeated, tag = "9")]
    pub definitions: Vec<MetricDefinition>,
    /// 0: by the listener's direction. 1: `SERVER_GATEWAY`, a waypoint.
    #[prost(int32, tag = "10")]
    pub reporter: i32,
    #[prost(message, optional, tag = "11")]
    pub rescoping_duration: Option<Duration>,
    #[prost(message, optional, tag = "12")]
    pub scope_grace_period_duration: Option<Duration>,
    /// Lateen's own: `source`, `destination` or `gateway`; empty means that `reporter` decides.
    /// The number is in the range that protobuf suggests for private use.
    #[prost(string, tag = "51001")]
    pub lateen_reporter: String,
}
named!(PluginConfig, "stats", "PluginConfig");

/// Present or not is all that is read of it.
#[derive(Clone, PartialEq, Message)]
pub struct MetricConfig {
    #[prost(string, tag = "2")]
    pub name: String,
}

/// Present or not is all that is read of it.
#[derive(Clone, PartialEq, Message)]
pub struct MetricDefinition {
    #[prost(string, tag = "1")]
    pub name: String,
}

/// `io.istio.http.peer_metadata.Config`.
#[derive(Clone, PartialEq, Message)]
pub struct PeerMetadata {
    #[prost(message, repeated, tag = "1")]
    pub downstream_discovery: Vec<DiscoveryMethod>,
    #[prost(message, repeated, tag = "2")]
    pub upstream_discovery: Vec<DiscoveryMethod>,
    #[prost(message, repeated, tag = "3")]
    pub downstream_propagation: Vec<PropagationMethod>,
    #[prost(message, repeated, tag = "4")]
    pub upstream_propagation: Vec<PropagationMethod>,
    #[prost(bool, tag = "5")]
    pub shared_with_upstream: bool,
    #[prost(string, repeated, tag = "6")]
    pub additional_labels: Vec<String>,
}
named!(PeerMetadata, "io.istio.http.peer_metadata", "Config");

/// A oneof on the wire; at most one is set.
#[derive(Clone, PartialEq, Message)]
pub struct DiscoveryMethod {
    #[prost(message, optional, tag = "1")]
    pub baggage: Option<Empty>,
    #[prost(message, optional, tag = "2")]
    pub workload_discovery: Option<Empty>,
    #[prost(message, optional, tag = "3")]
    pub istio_headers: Option<IstioHeaders>,
}

#[derive(Clone, PartialEq, Message)]
pub struct PropagationMethod {
    #[prost(message, optional, tag = "1")]
    pub istio_headers: Option<IstioHeaders>,
}

#[derive(Clone, PartialEq, Message)]
pub struct IstioHeaders {
    #[prost(bool, tag = "1")]
    pub skip_external_clusters: bool,
}

#[derive(Clone, PartialEq, Message)]
pub struct Empty {}

/// `istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig`.
#[derive(Clone, PartialEq, Message)]
pub struct AlpnConfig {
    #[prost(message, repeated, tag = "1")]
    pub alpn_override: Vec<AlpnOverride>,
}
named!(AlpnConfig, "istio.envoy.config.filter.http.alpn.v2alpha1", "FilterConfig");

#[derive(Clone, PartialEq, Message)]
pub struct AlpnOverride {
    /// [`HTTP10`], [`HTTP11`] or [`HTTP2`].
    #[prost(int32, tag = "1")]
    pub upstream_protocol: i32,
    #[prost(string, repeated, tag = "2")]
    pub alpn_override: Vec<String>,
}

pub const HTTP10: i32 = 0;
pub const HTTP11: i32 = 1;
pub const HTTP2: i32 = 2;
