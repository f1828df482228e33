//! What a proxy can be told to do: the form in the middle. `translate` produces it, `xds-codec`
//! carries it as Envoy's protobuf, the proxy runs nothing else, `engine` decides with it.
//!
//! Names are Envoy's. Everything is a plain value that is `Eq`, ordered where it is a set and
//! hashable, so that versions are digests of content and snapshots compare. What Envoy can
//! express and we cannot do is absent here: the decoder refuses it by name.

pub mod access_log;
pub mod action;
pub mod body;
pub mod bootstrap;
pub mod buffer;
pub mod cluster;
pub mod compressor;
pub mod cors;
pub mod dns;
pub mod dns_cache;
pub mod endpoint;
pub mod ext_authz;
pub mod fault;
pub mod filter;
pub mod hash_policy;
pub mod header;
pub mod header_mutation;
pub mod health_check;
pub mod http;
pub mod jwt;
pub mod lb;
pub mod listener;
pub mod local_reply;
pub mod matcher;
pub mod metadata;
pub mod name_table;
pub mod outlier;
pub mod overload;
pub mod overrides;
pub mod rate_limit;
pub mod rbac;
pub mod resource;
pub mod retry;
pub mod route;
pub mod source;
pub mod tcp;
pub mod tls;

pub use access_log::{AccessLog, AccessLogSink};
pub use bootstrap::Bootstrap;
pub use cluster::{Cluster, ClusterDiscovery, HttpProtocol};
pub use compressor::Compressor;
pub use cors::CorsPolicy;
pub use dns::Dns;
pub use dns_cache::DnsCache;
pub use endpoint::{Address, Endpoint, Health, LoadAssignment, LocalityEndpoints};
pub use ext_authz::ExtAuthz;
pub use fault::Fault;
pub use filter::{ConnectionLimit, HttpFilter, NetworkFilter, RbacFilter};
pub use hash_policy::HashPolicy;
pub use header_mutation::HeaderMutation;
pub use health_check::HealthCheck;
pub use http::HttpConnectionManager;
pub use jwt::JwtAuthn;
pub use lb::LbPolicy;
pub use listener::{Direction, FilterChain, FilterChainMatch, Listener, Terminal};
pub use matcher::{Cidr, Fraction, HeaderMatcher, StringMatch, StringMatcher};
pub use metadata::{Metadata, MetadataMatcher, ValueMatcher};
pub use model::{Origin, Str};
pub use name_table::NameTable;
pub use outlier::OutlierDetection;
pub use overload::{Overload, OverloadAction, OverloadRule};
pub use overrides::FilterOverrides;
pub use rate_limit::LocalRateLimit;
pub use rbac::Rbac;
pub use resource::{Resource, ResourceType};
pub use retry::RetryPolicy;
pub use route::{Route, RouteAction, RouteConfig, VirtualHost};
pub use source::{ConfigSource, PathSource};
pub use tcp::TcpProxy;
pub use tls::{DownstreamTls, Secret, UpstreamTls};
