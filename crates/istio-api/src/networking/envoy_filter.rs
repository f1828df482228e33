//! EnvoyFilter: <https://istio.io/latest/docs/reference/config/networking/envoy-filter/>.

use std::collections::BTreeMap;

use model::Str;

use super::WorkloadSelector;
use crate::schema::macros::{choice, message};
use crate::schema::rules::{WAYPOINT_MATCH, WORKLOAD_SELECTOR_OR_TARGETS};
use crate::schema::{choice as one_of, free, int32, list, object, port, text, text_map, uint32};
use crate::selector::TargetReference;
use crate::value::Free;

message! {
    /// Patches to what the control plane makes of all other resources.
    pub struct EnvoyFilter {
        /// Absent: all workloads of the namespace, or of the mesh in the root namespace.
        "workloadSelector" workload_selector: Option<WorkloadSelector> = object(&WorkloadSelector::MESSAGE),
        "targetRefs" target_refs: Vec<TargetReference> = list(&object(&TargetReference::MESSAGE)).max(16),
        "configPatches" config_patches: Vec<ConfigPatch> = list(&object(&ConfigPatch::MESSAGE)),
        /// Lower ones are applied first.
        "priority" priority: Option<i32> = int32(),
    }
    rules WORKLOAD_SELECTOR_OR_TARGETS;
}

message! {
    /// One patch.
    pub struct ConfigPatch {
        "applyTo" apply_to: Option<ApplyTo> = one_of(ApplyTo::NAMES),
        "match" matches: Option<ConfigMatch> = object(&ConfigMatch::MESSAGE).rules(WAYPOINT_MATCH),
        "patch" patch: Option<Patch> = object(&Patch::MESSAGE),
    }
}

choice! {
    /// What of the configuration is patched.
    pub enum ApplyTo {
        "INVALID" Invalid,
        "LISTENER" Listener,
        "FILTER_CHAIN" FilterChain,
        "NETWORK_FILTER" NetworkFilter,
        "HTTP_FILTER" HttpFilter,
        "ROUTE_CONFIGURATION" RouteConfiguration,
        "VIRTUAL_HOST" VirtualHost,
        "HTTP_ROUTE" HttpRoute,
        "CLUSTER" Cluster,
        "EXTENSION_CONFIG" ExtensionConfig,
        "BOOTSTRAP" Bootstrap,
        "LISTENER_FILTER" ListenerFilter,
    }
}

message! {
    /// Conditions on the proxy and the object, all of which must hold.
    pub struct ConfigMatch {
        "context" context: Option<PatchContext> = one_of(PatchContext::NAMES),
        "proxy" proxy: Option<ProxyMatch> = object(&ProxyMatch::MESSAGE),
        "listener" listener: Option<ListenerMatch> = object(&ListenerMatch::MESSAGE),
        "routeConfiguration" route_configuration: Option<RouteConfigurationMatch> =
            object(&RouteConfigurationMatch::MESSAGE),
        "cluster" cluster: Option<ClusterMatch> = object(&ClusterMatch::MESSAGE),
        "waypoint" waypoint: Option<WaypointMatch> = object(&WaypointMatch::MESSAGE),
    }
    one_of ["listener", "routeConfiguration", "cluster", "waypoint"];
}

choice! {
    /// Which side of which proxy.
    pub enum PatchContext {
        "ANY" Any,
        "SIDECAR_INBOUND" SidecarInbound,
        "SIDECAR_OUTBOUND" SidecarOutbound,
        "GATEWAY" Gateway,
        "WAYPOINT" Waypoint,
    }
}

message! {
    /// Conditions on the proxy itself.
    pub struct ProxyMatch {
        /// RE2 syntax, on Istio's version.
        "proxyVersion" proxy_version: Option<Str> = text(),
        "metadata" metadata: BTreeMap<Str, Str> = text_map(),
    }
}

message! {
    /// Conditions on a listener.
    pub struct ListenerMatch {
        "portNumber" port_number: Option<u32> = uint32(),
        "portName" port_name: Option<Str> = text(),
        "filterChain" filter_chain: Option<FilterChainMatch> = object(&FilterChainMatch::MESSAGE),
        "listenerFilter" listener_filter: Option<Str> = text(),
        "name" name: Option<Str> = text(),
    }
}

message! {
    /// Conditions on a filter chain.
    pub struct FilterChainMatch {
        "name" name: Option<Str> = text(),
        "sni" sni: Option<Str> = text(),
        "transportProtocol" transport_protocol: Option<Str> = text(),
        "transportSocket" transport_socket: Option<Str> = text(),
        "applicationProtocols" application_protocols: Option<Str> = text(),
        "filter" filter: Option<FilterMatch> = object(&FilterMatch::MESSAGE),
        "destinationPort" destination_port: Option<u32> = uint32(),
    }
}

message! {
    /// A network filter by name.
    pub struct FilterMatch {
        "name" name: Option<Str> = text(),
        /// An HTTP filter inside.
        "subFilter" sub_filter: Option<NameMatch> = object(&NameMatch::MESSAGE),
    }
}

message! {
    /// Something by name.
    pub struct NameMatch {
        "name" name: Option<Str> = text(),
    }
}

message! {
    /// Conditions on a route configuration.
    pub struct RouteConfigurationMatch {
        "portNumber" port_number: Option<u32> = uint32(),
        "portName" port_name: Option<Str> = text(),
        /// NAMESPACE/NAME.
        "gateway" gateway: Option<Str> = text(),
        "vhost" vhost: Option<VirtualHostMatch> = object(&VirtualHostMatch::MESSAGE),
        "name" name: Option<Str> = text(),
    }
}

message! {
    /// Conditions on a virtual host.
    pub struct VirtualHostMatch {
        /// HOST:PORT.
        "name" name: Option<Str> = text(),
        "domainName" domain_name: Option<Str> = text(),
        "route" route: Option<RouteMatch> = object(&RouteMatch::MESSAGE),
    }
}

message! {
    /// Conditions on a route.
    pub struct RouteMatch {
        "name" name: Option<Str> = text(),
        "action" action: Option<RouteAction> = one_of(RouteAction::NAMES),
    }
}

choice! {
    /// What the route does.
    pub enum RouteAction {
        "ANY" Any,
        "ROUTE" Route,
        "REDIRECT" Redirect,
        "DIRECT_RESPONSE" DirectResponse,
    }
}

message! {
    /// Conditions on a cluster.
    pub struct ClusterMatch {
        "portNumber" port_number: Option<u32> = uint32(),
        "service" service: Option<Str> = text(),
        "subset" subset: Option<Str> = text(),
        "name" name: Option<Str> = text(),
    }
}

message! {
    /// Conditions on a waypoint's configuration.
    pub struct WaypointMatch {
        "filter" filter: Option<FilterMatch> = object(&FilterMatch::MESSAGE),
        "route" route: Option<NameMatch> = object(&NameMatch::MESSAGE),
        "portNumber" port_number: Option<u32> = port(),
    }
}

message! {
    /// What is done with the objects that match.
    pub struct Patch {
        "operation" operation: Option<Operation> = one_of(Operation::NAMES),
        /// A part of the object, in protobuf's JSON.
        "value" value: Option<Free> = free(),
        "filterClass" filter_class: Option<FilterClass> = one_of(FilterClass::NAMES),
    }
}

choice! {
    /// How the value is used.
    pub enum Operation {
        "INVALID" Invalid,
        "MERGE" Merge,
        "ADD" Add,
        "REMOVE" Remove,
        "INSERT_BEFORE" InsertBefore,
        "INSERT_AFTER" InsertAfter,
        "INSERT_FIRST" InsertFirst,
        "REPLACE" Replace,
        "MERGE_AND_REPLACE_LIST" MergeAndReplaceList,
    }
}

choice! {
    /// Where a filter is put, relative to the mesh's own.
    pub enum FilterClass {
        "UNSPECIFIED" Unspecified,
        "AUTHN" Authn,
        "AUTHZ" Authz,
        "STATS" Stats,
    }
}
