//! The bootstrap.

use ir::bootstrap::{AdsConfig, BootstrapNode};
use ir::{Bootstrap, ConfigSource};
use prost::Message;

use super::at::{self, At};
use super::strict::{harmless, is_set, refuse};
use super::{address, cluster, endpoint, listener, metadata, overload, secret, wire};
use crate::pb::bootstrap::{self as pb, bootstrap as nested};
use crate::pb::core;

/// Says of every field given that is set that it is ignored.
macro_rules! ignore {
    ($at:expr; $($field:ident),+ $(,)?) => {
        $( if is_set(&$field) { $at.field(stringify!($field)).ignored("has no effect here"); } )+
    };
}

/// `static_resources`, taken one by one.
#[derive(Default)]
pub(crate) struct StaticResources {
    listeners: Vec<ir::Listener>,
    clusters: Vec<ir::Cluster>,
    /// What these were decoded from.
    encoded: Vec<Box<[u8]>>,
    secrets: Vec<ir::Secret>,
}

impl StaticResources {
    /// The element `index` of `static_resources.<field>`. `at` is the bootstrap's place.
    pub fn take(&mut self, at: At<'_>, field: &str, index: usize, bytes: &[u8]) {
        let at_static = at.field("static_resources");
        let at_resource = at_static.index(field, index);
        match field {
            "listeners" => {
                let it = listener::listener(at_resource, named(message(at_resource, bytes)));
                self.listeners.push(it);
            }
            "clusters" => {
                self.clusters.push(cluster::cluster(at_resource, message(at_resource, bytes)));
                self.encoded.push(bytes.into());
            }
            "secrets" => self.secrets.push(secret::secret(at_resource, message(at_resource, bytes))),
            _ => at_resource.refuse("is not supported"),
        }
    }

    /// Puts them where they belong, and returns the clusters as they came.
    pub fn into(self, bootstrap: &mut Bootstrap) -> Vec<Box<[u8]>> {
        let StaticResources { listeners, clusters, encoded, secrets } = self;
        (bootstrap.listeners, bootstrap.clusters, bootstrap.secrets) = (listeners, clusters, secrets);
        encoded
    }
}

fn message<M: Message + Default>(at: At<'_>, bytes: &[u8]) -> M {
    M::decode(bytes).unwrap_or_else(|error| {
        at.refuse(format!("cannot be read: {error}"));
        M::default()
    })
}

/// Everything but the static resources.
pub(crate) fn bootstrap(at: At<'_>, it: pb::Bootstrap) -> Bootstrap {
    let pb::Bootstrap {
        node: who,
        node_context_params,
        static_resources,
        dynamic_resources,
        cluster_manager,
        hds_config,
        flags_path,
        stats_sinks,
        deferred_stat_options,
        stats_config,
        stats_flush_interval,
        watchdog,
        watchdogs,
        tracing,
        layered_runtime,
        admin: admin_server,
        overload_manager,
        enable_dispatcher_stats,
        header_prefix,
        stats_server_version_override,
        use_tcp_for_dns_lookups,
        dns_resolution_config,
        typed_dns_resolver_config,
        bootstrap_extensions,
        fatal_actions,
        config_sources,
        default_config_source,
        default_socket_interface,
        certificate_provider_instances,
        inline_headers,
        perf_tracing_file_path,
        default_regex_engine,
        xds_delegate_extension,
        xds_config_tracker_extension,
        listener_manager,
        application_log_config,
        grpc_async_client_manager_config,
        memory_allocator_manager,
        enable_worker_cpu_affinity,
        stats_flush,
        stats_eviction,
    } = it;
    refuse!(at; node_context_params, cluster_manager, hds_config, tracing, header_prefix, bootstrap_extensions,
        config_sources, default_config_source, default_socket_interface, certificate_provider_instances,
        default_regex_engine, xds_delegate_extension, xds_config_tracker_extension, listener_manager);
    // How Envoy watches, counts and runs itself. Nothing here changes what happens to a request,
    // save for runtime overrides, which the message then names.
    ignore!(at; flags_path, stats_sinks, deferred_stat_options, stats_config, stats_flush_interval, watchdog,
        watchdogs, layered_runtime, enable_dispatcher_stats, stats_server_version_override,
        use_tcp_for_dns_lookups, dns_resolution_config, typed_dns_resolver_config, fatal_actions, inline_headers,
        perf_tracing_file_path, application_log_config, grpc_async_client_manager_config,
        memory_allocator_manager, enable_worker_cpu_affinity, stats_flush, stats_eviction);
    let nested::StaticResources { listeners, clusters, secrets } = static_resources.unwrap_or_default();
    debug_assert!(listeners.is_empty() && clusters.is_empty() && secrets.is_empty(), "taken one by one");
    let discovery = dynamic(at.field("dynamic_resources"), dynamic_resources.unwrap_or_default());
    Bootstrap {
        node: node(at.field("node"), who.unwrap_or_default()),
        admin: admin_server.and_then(|it| admin(at.field("admin"), it)),
        listeners: Vec::new(),
        clusters: Vec::new(),
        secrets: Vec::new(),
        ads: discovery.ads,
        lds: discovery.lds,
        cds: discovery.cds,
        overload: overload_manager.map(|it| overload::manager(at.field("overload_manager"), it)),
    }
}

/// Envoy invents a name for a static listener without one. Ours is its address, if that is well.
fn named(mut it: crate::pb::listener::Listener) -> crate::pb::listener::Listener {
    if it.name.is_empty() {
        let unheard = at::Sink::default();
        it.name = address::address(At::root(&unheard), it.address.clone()).to_string();
    }
    it
}

fn node(at: At<'_>, it: core::Node) -> BootstrapNode {
    let core::Node {
        id,
        cluster,
        metadata,
        dynamic_parameters,
        locality,
        user_agent_name,
        extensions,
        client_features,
        listening_addresses,
        user_agent_version_type,
    } = it;
    refuse!(at; dynamic_parameters);
    harmless!(UserAgent; user_agent_name, extensions, client_features, listening_addresses,
        user_agent_version_type);
    BootstrapNode {
        id: id.into(),
        cluster: cluster.into(),
        locality: endpoint::locality(locality),
        metadata: metadata.map(metadata::json_map).unwrap_or_default(),
    }
}

fn admin(at: At<'_>, it: pb::Admin) -> Option<ir::Address> {
    let pb::Admin {
        access_log,
        access_log_path,
        profile_path,
        address: bind,
        socket_options,
        ignore_global_conn_limit,
        allow_paths,
    } = it;
    // A list of allowed paths is a restriction: not honouring it would widen access.
    refuse!(at; socket_options, allow_paths);
    ignore!(at; access_log, access_log_path, profile_path, ignore_global_conn_limit);
    bind.map(|it| address::address(at.field("address"), Some(it)))
}

struct Discovery {
    ads: Option<AdsConfig>,
    lds: Option<ConfigSource>,
    cds: Option<ConfigSource>,
}

fn dynamic(at: At<'_>, it: nested::DynamicResources) -> Discovery {
    let nested::DynamicResources {
        lds_config,
        lds_resources_locator,
        cds_config,
        cds_resources_locator,
        ads_config: stream,
    } = it;
    refuse!(at; lds_resources_locator, cds_resources_locator);
    let source = |name, it: Option<core::ConfigSource>| {
        it.map(|it| wire::config_source(at.field(name), Some(it)).unwrap_or_default())
    };
    let discovery = Discovery {
        lds: source("lds_config", lds_config),
        cds: source("cds_config", cds_config),
        ads: stream.map(|it| wire::api_config_source(at.field("ads_config"), it)),
    };
    let over_ads = [&discovery.lds, &discovery.cds].into_iter().flatten().any(|it| *it == ConfigSource::Ads);
    if over_ads && discovery.ads.is_none() {
        at.field("ads_config").refuse("is required: lds_config or cds_config refer to it");
    }
    discovery
}
