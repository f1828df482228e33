//! A bootstrap for one hop. Lateen and Envoy get the same file.

use std::path::Path;

use serde_json::{Value, json};

use crate::certificates::{Certificates, Pem};
use crate::hop::{Hop, Protocol, Tls};

/// One worker, and nothing of the process shared with another Envoy on the machine.
pub fn arguments(config: &str) -> [&str; 8] {
    [
        "-c",
        config,
        "--concurrency",
        "1",
        "--disable-hot-restart",
        "--log-level",
        "error",
        "--skip-deprecated-logs",
    ]
}

/// Hosts beside the one that is asked for, so that routing has something to decide.
const OTHER_HOSTS: usize = 9;

pub fn bootstrap(hop: &Hop, certificates: &Certificates, log: &Path) -> Value {
    let filter = match hop.protocol {
        Protocol::Tcp => tcp_proxy(),
        Protocol::Http1 | Protocol::Http2 => connection_manager(hop, certificates, log),
    };
    let mut chain = json!({ "filters": [filter] });
    if let Some(tls) = downstream_tls(hop, certificates) {
        chain["transport_socket"] = tls;
    }
    json!({
        "node": { "id": format!("hop-{}", hop.index), "cluster": "bench" },
        "admin": { "address": address(hop.admin) },
        "static_resources": {
            "listeners": [{ "name": "hop", "address": address(hop.listen), "filter_chains": [chain] }],
            "clusters": [cluster(hop, certificates)],
        },
    })
}

pub fn address(port: u16) -> Value {
    json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } })
}

pub fn typed(name: &str, ty: &str, mut config: Value) -> Value {
    config["@type"] = format!("type.googleapis.com/{ty}").into();
    json!({ "name": name, "typed_config": config })
}

fn tcp_proxy() -> Value {
    let config = json!({ "stat_prefix": "hop", "cluster": "backend" });
    typed("envoy.filters.network.tcp_proxy", "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy", config)
}

fn connection_manager(hop: &Hop, certificates: &Certificates, log: &Path) -> Value {
    let mut filters = Vec::new();
    if hop.rbac {
        filters.push(rbac(&certificates.client_identity));
    }
    filters.push(typed(
        "envoy.filters.http.router",
        "envoy.extensions.filters.http.router.v3.Router",
        json!({}),
    ));
    let config = json!({
        "stat_prefix": "hop",
        "codec_type": "AUTO",
        "access_log": [access_log(log)],
        "route_config": { "name": "hop", "virtual_hosts": virtual_hosts() },
        "upgrade_configs": [{ "upgrade_type": "websocket" }],
        "http_filters": filters,
    });
    typed(
        "envoy.filters.network.http_connection_manager",
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        config,
    )
}

/// Evaluated for every request, written for failures.
fn access_log(file: &Path) -> Value {
    let config = json!({ "path": file });
    let mut log =
        typed("envoy.access_loggers.file", "envoy.extensions.access_loggers.file.v3.FileAccessLog", config);
    log["filter"] = json!({ "status_code_filter": { "comparison": {
        "op": "GE", "value": { "default_value": 500, "runtime_key": "bench.access_log" } } } });
    log
}

fn virtual_hosts() -> Vec<Value> {
    let other = |index: usize| {
        json!({
            "name": format!("other-{index}"),
            "domains": [format!("other-{index}.bench")],
            "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "backend" } }],
        })
    };
    let own = json!({
        "name": "own",
        "domains": ["*"],
        "routes": [
            { "match": { "path": "/healthz" }, "direct_response": { "status": 200 } },
            { "match": { "prefix": "/", "headers": [{ "name": "x-user", "string_match": { "exact": "jason" } }] },
              "route": { "cluster": "backend", "timeout": "15s" } },
            { "match": { "prefix": "/admin/" }, "direct_response": { "status": 403 } },
            { "match": { "prefix": "/" }, "route": { "cluster": "backend", "timeout": "15s" } },
        ],
    });
    (0..OTHER_HOSTS).map(other).chain([own]).collect()
}

fn rbac(identity: &str) -> Value {
    let principal = json!({ "authenticated": { "principal_name": { "exact": identity } } });
    let policy = json!({ "permissions": [{ "any": true }], "principals": [principal] });
    let config = json!({ "rules": { "action": "ALLOW", "policies": { "clients": policy } } });
    typed("envoy.filters.http.rbac", "envoy.extensions.filters.http.rbac.v3.RBAC", config)
}

pub fn cluster(hop: &Hop, certificates: &Certificates) -> Value {
    let mut cluster = json!({
        "name": "backend",
        "type": "STATIC",
        "connect_timeout": "2s",
        "circuit_breakers": { "thresholds": [{ "max_connections": 100_000, "max_pending_requests": 100_000,
            "max_requests": 100_000 }] },
        "load_assignment": { "cluster_name": "backend", "endpoints": [{ "lb_endpoints": [
            { "endpoint": { "address": address(hop.upstream) } }] }] },
    });
    if hop.protocol == Protocol::Http2 {
        cluster["typed_extension_protocol_options"] = json!({
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": { "http2_protocol_options": {} },
            },
        });
    }
    if hop.upstream_tls == Tls::Mutual {
        let common = common_tls(hop, &certificates.client, certificates, Some(&certificates.server_identity));
        cluster["transport_socket"] =
            transport_socket("UpstreamTlsContext", json!({ "common_tls_context": common }));
    }
    cluster
}

fn downstream_tls(hop: &Hop, certificates: &Certificates) -> Option<Value> {
    let mutual = match hop.downstream_tls {
        Tls::None => return None,
        Tls::Server => false,
        Tls::Mutual => true,
    };
    let mut common = common_tls(hop, &certificates.server, certificates, None);
    if !mutual {
        common.as_object_mut().expect("an object").remove("validation_context");
    }
    let context = json!({ "common_tls_context": common, "require_client_certificate": mutual });
    Some(transport_socket("DownstreamTlsContext", context))
}

pub fn transport_socket(context: &str, config: Value) -> Value {
    let ty = format!("envoy.extensions.transport_sockets.tls.v3.{context}");
    typed("envoy.transport_sockets.tls", &ty, config)
}

fn common_tls(hop: &Hop, own: &Pem, certificates: &Certificates, expected: Option<&str>) -> Value {
    let alpn = if hop.protocol == Protocol::Http2 { "h2" } else { "http/1.1" };
    let mut validation = json!({ "trusted_ca": { "filename": certificates.root } });
    if let Some(identity) = expected {
        validation["match_typed_subject_alt_names"] =
            json!([{ "san_type": "URI", "matcher": { "exact": identity } }]);
    }
    json!({
        "alpn_protocols": [alpn],
        "tls_certificates": [{
            "certificate_chain": { "filename": own.chain },
            "private_key": { "filename": own.key },
        }],
        "validation_context": validation,
    })
}
