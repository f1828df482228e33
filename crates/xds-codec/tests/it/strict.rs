//! What is refused, and how it is named.

use xds_codec::json::{self, ReadBootstrap};

/// Reads a YAML bootstrap and compares the problems, or what was ignored if there are none.
#[track_caller]
fn check(yaml: &str, expected: &[&str]) {
    let said = match json::bootstrap_from_yaml(yaml) {
        Ok(read) => read.ignored,
        Err(error) => error.problems,
    };
    let said: Vec<String> = said.iter().map(ToString::to_string).collect();
    assert_eq!(said, expected, "{yaml}");
}

/// One listener whose connection manager has `fields` besides what it needs.
fn manager(fields: &str) -> String {
    format!(
        "static_resources:
  listeners:
  - name: l
    address: {{socket_address: {{address: 0.0.0.0, port_value: 80}}}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          '@type': type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: x
          route_config: {{}}
          http_filters:
          - name: r
            typed_config: {{'@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}
          {fields}"
    )
}

const MANAGER: &str = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config";

#[track_caller]
fn check_manager(fields: &str, expected: &[&str]) {
    let expected: Vec<String> = expected.iter().map(|it| format!("{MANAGER}.{it}")).collect();
    check(&manager(fields), &expected.iter().map(String::as_str).collect::<Vec<_>>());
}

#[track_caller]
fn check_cluster(fields: &str, expected: &[&str]) {
    let expected: Vec<String> =
        expected.iter().map(|it| format!("static_resources.clusters[0].{it}")).collect();
    let yaml = format!("static_resources: {{clusters: [{{name: c, {fields}}}]}}");
    check(&yaml, &expected.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn unknown_keys_and_wrong_values_have_a_path() {
    check("{}", &[]);
    check("[]", &["must be an object, Bootstrap in JSON"]);
    check(
        "nodes: {}\nadmin: {adress: 1}",
        &[
            "admin.adress: is no field of envoy.config.bootstrap.v3.Admin",
            "nodes: is no field of envoy.config.bootstrap.v3.Bootstrap",
        ],
    );
    check_manager("server_name: [1]", &["server_name: invalid type: sequence, expected a string"]);
    check_manager("codec_type: HTTP4", &["codec_type: unrecognized enum value 'HTTP4'"]);
    check_manager("stream_idle_timeout: 5 minutes", &["stream_idle_timeout: failed to parse duration"]);
    check_manager("access_log: [{typed_config: {a: 1}}]", &["access_log[0].typed_config.@type: is required"]);
    check_manager(
        "access_log: [{typed_config: {'@type': x/a.B}}]",
        &["access_log[0].typed_config: a.B is not supported"],
    );
    check("static_resources: {listeners: {}}", &["static_resources.listeners: must be a list"]);
    check("static_resources: {}\nstaticResources: {}", &["static_resources: is there twice"]);
    check_cluster(
        "type: STATIC, cluster_type: {name: x}",
        &["type: another field of the oneof cluster_discovery_type is there, too"],
    );
    check("{", &["line 2 column 1: while parsing a node, did not find expected node content"]);
}

#[test]
fn the_type_may_come_last() {
    let of = |config: String| {
        let socket = format!(r#"{{"name": "t", "typed_config": {{{config}}}}}"#);
        let cluster = format!(r#"{{"name": "c", "transport_socket": {socket}}}"#);
        let text = format!(r#"{{"static_resources": {{"clusters": [{cluster}]}}}}"#);
        json::bootstrap_from_json(&text).unwrap().bootstrap
    };
    let ty = r#""@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext""#;
    let first = of(format!(r#"{ty}, "sni": "a""#));
    assert_eq!(first, of(format!(r#""sni": "a", {ty}"#)));
    assert_eq!(first.clusters[0].tls.as_ref().unwrap().sni.as_deref(), Some("a"));
}

#[test]
fn clusters_come_with_what_they_were_decoded_from() {
    let yaml = "static_resources: {clusters: [{name: a, type: ORIGINAL_DST, lb_policy: CLUSTER_PROVIDED}, \
                {name: b, connect_timeout: 1.5s}]}";
    let read = json::bootstrap_from_yaml(yaml).unwrap();
    let decode = |bytes| xds_codec::decode_bytes(ir::ResourceType::Cluster, bytes).unwrap();
    let decoded: Vec<_> = read.encoded_clusters.iter().map(|bytes| decode(bytes)).collect();
    let clusters = read.bootstrap.clusters.into_iter().map(|it| ir::Resource::Cluster(it.into()));
    assert_eq!(decoded, clusters.collect::<Vec<_>>());
}

#[test]
fn what_is_not_honoured_is_refused_by_name() {
    check_manager(
        "add_user_agent: false\n          via: me\n          tracing: {}",
        &["tracing: is not supported", "via: is not supported"],
    );
    check_manager(
        "http2_protocol_options: {allow_metadata: true, max_concurrent_streams: 0, initial_stream_window_size: 1}",
        &[
            "http2_protocol_options.allow_metadata: is not supported",
            "http2_protocol_options.initial_stream_window_size: 1 is not from 65535 to 2147483647",
            "http2_protocol_options.max_concurrent_streams: 0 is not from 1 to 2147483647",
        ],
    );
    check_manager(
        "http2_protocol_options: {connection_keepalive: {interval: 1s, interval_jitter: {value: 1.5}}}",
        &[
            "http2_protocol_options.connection_keepalive.interval_jitter: 1.5 is not a whole number from 0 to 100",
            "http2_protocol_options.connection_keepalive.timeout: is required and must not be zero",
        ],
    );
    check_manager(
        "upgrade_configs: [{upgrade_type: CONNECT}, {upgrade_type: websocket}, {upgrade_type: connect-UDP}, {upgrade_type: Connect}, {}]",
        &[
            "upgrade_configs[2].upgrade_type: connect-udp is not supported",
            "upgrade_configs[3].upgrade_type: connect is there twice",
            "upgrade_configs[4].upgrade_type: is required",
        ],
    );
    check_manager(
        "common_http_protocol_options: {headers_with_underscores_action: DROP_HEADER, idle_timeout: 1s}",
        &[],
    );
    check_manager(
        "common_http_protocol_options: {max_connection_duration_jitter: {value: 1.5}}",
        &[
            "common_http_protocol_options.max_connection_duration_jitter: 1.5 is not a whole number from 0 to 100",
        ],
    );
    check_cluster(
        "common_http_protocol_options: {headers_with_underscores_action: DROP_HEADER}",
        &["common_http_protocol_options.headers_with_underscores_action: is not supported"],
    );
    check_manager(
        "common_http_protocol_options: {max_headers_count: 0, max_response_headers_kb: 1}",
        &[
            "common_http_protocol_options.max_headers_count: must not be 0",
            "common_http_protocol_options.max_response_headers_kb: has no effect towards clients",
        ],
    );
    check_manager("max_request_headers_kb: 8193", &["max_request_headers_kb: 8193 is not from 1 to 8192"]);
    check_manager(
        "proxy_100_continue: true\n          common_http_protocol_options: {max_headers_count: 5}",
        &[],
    );
    check_manager(
        "http_protocol_options: {allow_absolute_url: false}",
        &["http_protocol_options.allow_absolute_url: false is not supported"],
    );
    check_cluster(
        "outlier_detection: {monitors: [{name: x}]}",
        &["outlier_detection.monitors: is not supported"],
    );
    check_cluster("outlier_detection: {interval: 0s}", &["outlier_detection.interval: must not be zero"]);
    check_cluster(
        "type: LOGICAL_DNS",
        &["load_assignment: LOGICAL_DNS must have one locality with one endpoint, a host and a port"],
    );
    check_cluster(
        "lb_policy: LOAD_BALANCING_POLICY_CONFIG",
        &["lb_policy: LOAD_BALANCING_POLICY_CONFIG is not supported"],
    );
    check_cluster("load_balancing_policy: {}", &["load_balancing_policy.policies[0]: is required"]);
    let policy = |name: &str, settings: &str| {
        format!(
            "load_balancing_policy: {{policies: [{{typed_extension_config: {{name: p, typed_config: {{'@type': \
             type.googleapis.com/envoy.extensions.load_balancing_policies.{name}{settings}}}}}}}]}}"
        )
    };
    check_cluster(&policy("least_request.v3.LeastRequest", ", choice_count: 3"), &[]);
    check_cluster(
        &policy("least_request.v3.LeastRequest", ", selection_method: FULL_SCAN"),
        &[
            "load_balancing_policy.policies[0].typed_extension_config.typed_config.selection_method: a full scan is \
           not supported",
        ],
    );
    check_cluster(
        &format!(
            "{}, ring_hash_lb_config: {{}}, lb_subset_config: {{list_as_any: true}}",
            policy("random.v3.Random", "")
        ),
        &["lb_config: has no effect beside load_balancing_policy", "lb_subset_config: is not supported"],
    );
    check_cluster(
        "lb_policy: RING_HASH, ring_hash_lb_config: {minimum_ring_size: 10, maximum_ring_size: 5}",
        &["ring_hash_lb_config.minimum_ring_size: is more than maximum_ring_size"],
    );
    check_cluster("lb_policy: MAGLEV, ring_hash_lb_config: {}", &["lb_config: is that of another lb_policy"]);
    check_cluster(
        "lb_policy: MAGLEV, maglev_lb_config: {table_size: 100}",
        &["maglev_lb_config.table_size: must be a prime number up to 5000011"],
    );
    check_cluster(
        "health_checks: [{timeout: 1s, interval: 1s, unhealthy_threshold: 1, tcp_health_check: {send: {text: 0x}}}]",
        &[
            "health_checks[0].healthy_threshold: is required and must not be 0",
            "health_checks[0].tcp_health_check.send: must have hexadecimal text, or bytes",
        ],
    );
    check_cluster(
        "lb_policy: CLUSTER_PROVIDED",
        &[
            "lb_policy: CLUSTER_PROVIDED goes with the type ORIGINAL_DST or a cluster_type, and only with them",
        ],
    );
    check_cluster("eds_cluster_config: {}", &["eds_cluster_config: has no effect: the type is not EDS"]);
    check_cluster("type: EDS", &["eds_cluster_config.eds_config: is required"]);
    check_cluster(
        "upstream_bind_config: {socket_options: [{level: 6, name: 1, int_value: 1}]}",
        &[
            "upstream_bind_config.socket_options[0]: only SO_MARK (level 1, name 36, before binding) is supported",
        ],
    );
    check("admin: {allow_paths: [{exact: /stats}]}", &["admin.allow_paths: is not supported"]);
    check(
        "dynamic_resources: {lds_config: {ads: {}}}",
        &["dynamic_resources.ads_config: is required: lds_config or cds_config refer to it"],
    );
}

#[test]
fn tls_never_verifies_less_than_was_asked_for() {
    let tls = |context: &str| {
        let ty = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
        format!(
            "transport_socket: {{name: t, typed_config: {{'@type': {ty}, common_tls_context: {{{context}}}}}}}"
        )
    };
    let at = "transport_socket.typed_config.common_tls_context";
    let one = |context: &str, expected: &str| check_cluster(&tls(context), &[&format!("{at}.{expected}")]);
    one("validation_context: {}", "validation_context.trusted_ca: is required");
    one(
        "validation_context: {trusted_ca: {filename: /a}, only_verify_leaf_cert_crl: true}",
        "validation_context.only_verify_leaf_cert_crl: is not supported",
    );
    one(
        "tls_params: {tls_minimum_protocol_version: TLSv1_1}",
        "tls_params.tls_minimum_protocol_version: TLS before 1.2 is not supported",
    );
    one("tls_params: {signature_algorithms: [A]}", "tls_params.signature_algorithms: is not supported");
    let file = "{certificate_chain: {filename: /a}, private_key: {filename: /b}}";
    one(&format!("tls_certificates: [{file}, {file}]"), "tls_certificates: a client has one certificate");
}

#[test]
fn names_of_requests_are_expected_by_tls_unless_it_is_said_otherwise() {
    let prefix = "type.googleapis.com/envoy.extensions";
    let cluster = |insecure: bool, roots: &str, options: &str| {
        let roots = format!("common_tls_context: {{{roots}}}");
        format!(
            "lb_policy: CLUSTER_PROVIDED, cluster_type: {{name: d, typed_config: {{'@type': \
             {prefix}.clusters.dynamic_forward_proxy.v3.ClusterConfig, dns_cache_config: {{name: n}}, \
             allow_insecure_cluster_options: {insecure}}}}}, transport_socket: {{name: t, typed_config: {{'@type': \
             {prefix}.transport_sockets.tls.v3.UpstreamTlsContext, {roots}}}}}{options}"
        )
    };
    let names = |text: &str| {
        format!(
            ", typed_extension_protocol_options: {{envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {{'@type': \
             {prefix}.upstreams.http.v3.HttpProtocolOptions, explicit_http_config: {{http_protocol_options: {{}}}}, \
             upstream_http_protocol_options: {{{text}}}}}}}"
        )
    };
    let roots = "validation_context: {trusted_ca: {filename: /a}}";
    let either = "auto_sni and auto_san_validation must be set where allow_insecure_cluster_options is not";
    let refused = format!("static_resources.clusters[0]: {either}");
    let check = |insecure, roots, options: &str, expected: &[&str]| {
        let yaml =
            format!("static_resources: {{clusters: [{{name: c, {}}}]}}", cluster(insecure, roots, options));
        check(&yaml, expected);
    };
    check(false, roots, &names("auto_sni: true"), &[&refused]);
    check(false, roots, &names("auto_san_validation: true"), &[&refused]);
    check(false, roots, ", upstream_http_protocol_options: {auto_sni: true}", &[&refused]);
    check(true, roots, &names("auto_sni: true"), &[]);
    check(false, roots, &names("auto_sni: true, auto_san_validation: true"), &[]);
    // Without options Envoy expects the names, also where nobody vouches for them.
    check(false, roots, "", &[]);
    let nobody = "static_resources.clusters[0]: auto_san_validation: has no effect where the transport socket has no trusted_ca";
    check(true, "", "", &[nobody]);
}

#[test]
fn rbac_never_widens() {
    let rbac = |rules: &str| {
        manager("").replace(
            "http_filters:\n",
            &format!(
                "http_filters:\n          - {{name: rbac, typed_config: {{'@type': \
                 type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC, {rules}}}}}\n"
            ),
        )
    };
    let one = |rules: &str, expected: &[&str]| {
        let path = format!("{MANAGER}.http_filters[0].typed_config");
        let expected: Vec<String> = expected.iter().map(|it| format!("{path}.{it}")).collect();
        check(&rbac(rules), &expected.iter().map(String::as_str).collect::<Vec<_>>());
    };
    let any = "permissions: [{any: true}], principals: [{any: true}]";
    one("rules: {}", &[]);
    one("shadow_rules_stat_prefix: x", &["rules: is required: without rules nothing is enforced"]);
    one(
        &format!("rules: {{policies: {{p: {{{any}, condition: {{}}}}}}}}"),
        &["rules.policies[\"p\"].condition: is not supported"],
    );
    one(
        "rules: {policies: {p: {permissions: [{and_rules: {}}], principals: [{any: false}]}}}",
        &[
            "rules.policies[\"p\"].permissions[0].and_rules.rules: must not be empty",
            "rules.policies[\"p\"].principals[0]: any: false is not supported",
        ],
    );
    one("rules: {action: LOG}", &[]);
    one(
        "rules: {policies: {p: {permissions: [{}], principals: [{filter_state: {key: a}}]}}}",
        &[
            "rules.policies[\"p\"].permissions[0]: a permission without a rule is not supported",
            "rules.policies[\"p\"].principals[0]: filter_state is not supported",
        ],
    );
}

#[test]
fn routes_are_read_to_the_last_field() {
    let one = |route: &str, expected: &[&str]| {
        let yaml = manager("").replace(
            "route_config: {}",
            &format!("route_config: {{virtual_hosts: [{{name: v, domains: ['*'], routes: [{{{route}}}]}}]}}"),
        );
        let path = format!("{MANAGER}.route_config.virtual_hosts[0].routes[0]");
        let expected: Vec<String> = expected.iter().map(|it| format!("{path}{it}")).collect();
        check(&yaml, &expected.iter().map(String::as_str).collect::<Vec<_>>());
    };
    let to = "route: {cluster: c}";
    one(&format!("match: {{prefix: /}}, {to}"), &[]);
    one(
        to,
        &[
            ".match: a path is required: prefix, path, path_separated_prefix, safe_regex or connect_matcher",
            ".match: is required",
        ],
    );
    one("match: {prefix: /}", &[": an action is required: route, direct_response or redirect"]);
    one(
        "match: {prefix: /}, direct_response: {status: 200, body: {filename: /a, watched_directory: {path: /}}}",
        &[".direct_response.body.watched_directory: is not supported"],
    );
    one(
        "match: {prefix: /}, direct_response: {status: 200, body: {environment_variable: ''}}",
        &[".direct_response.body.environment_variable: is required"],
    );
    one(
        &format!(
            "match: {{prefix: /}}, direct_response: {{status: 200, body: {{inline_string: {:x<4097}}}}}",
            'x'
        ),
        &[".direct_response.body: is longer than 4096 bytes"],
    );
    one(
        "match: {prefix: /}, route: {cluster_specifier_plugin: x, hash_policy: [{filter_state: {key: a}}]}",
        &[
            ".route.cluster_specifier_plugin: is not supported",
            ".route.hash_policy[0].filter_state: is not supported",
        ],
    );
    one(
        "match: {prefix: /}, route: {weighted_clusters: {clusters: [{name: a, weight: 0}]}}",
        &[".route.weighted_clusters.clusters: the sum of the weights, 0, is not from 1 to 2^32-1"],
    );
    one(
        "match: {prefix: /}, route: {weighted_clusters: {clusters: [{name: a, cluster_header: x, weight: 1}, {weight: 1}]}}",
        &[
            ".route.weighted_clusters.clusters[0]: either name or cluster_header is required",
            ".route.weighted_clusters.clusters[1]: either name or cluster_header is required",
        ],
    );
    one(
        "match: {connect_matcher: {}}, route: {cluster: c, upgrade_configs: [{upgrade_type: websocket, connect_config: {}}, {upgrade_type: CONNECT, connect_config: {allow_post: true, proxy_protocol_config: {version: V1}}}, {upgrade_type: CONNECT-UDP}]}",
        &[
            ".route.upgrade_configs[0].connect_config: websocket is not CONNECT",
            ".route.upgrade_configs[1].connect_config.allow_post: is not supported",
            ".route.upgrade_configs[1].connect_config.proxy_protocol_config: is not supported",
            ".route.upgrade_configs[2].upgrade_type: connect-udp is not supported",
        ],
    );
    one(
        "match: {prefix: /}, route: {cluster: c, retry_policy: {retry_on: 'reset,often'}}",
        &[".route.retry_policy.retry_on: \"often\" is not supported"],
    );
    one(
        "match: {prefix: /}, route: {cluster: a, rate_limits: [{actions: [{metadata: {}}, \
         {remote_address_match: {descriptor_value: '%REQ(a)%', address_matcher: {}}}]}]}",
        &[
            ".route.rate_limits[0].actions[0].metadata: is not supported",
            ".route.rate_limits[0].actions[1].remote_address_match.address_matcher.ranges: must not be empty",
            ".route.rate_limits[0].actions[1].remote_address_match.descriptor_value: %COMMAND% operators are \
             not supported here (write %% for a percent sign)",
        ],
    );
    one(
        &format!("match: {{prefix: /}}, {to}, request_headers_to_remove: [host, ':path']"),
        &[
            ".request_headers_to_remove[0]: host cannot be edited, only rewritten by host_rewrite_literal",
            ".request_headers_to_remove[1]: \":path\" is not a header that can be edited",
        ],
    );
    one(
        &format!(
            "match: {{prefix: /}}, {to}, typed_per_filter_config: {{lua: {{'@type': \
             type.googleapis.com/google.protobuf.Duration, value: 1s}}}}"
        ),
        &[".typed_per_filter_config[\"lua\"]: is not supported"],
    );
}

#[test]
fn harmless_keys_of_a_bootstrap_are_named() {
    let yaml = "layered_runtime: {layers: [{name: a, static_layer: {b: 1}}]}\nstats_config: {}\nflags_path: /x\n\
                admin: {access_log_path: /dev/null}";
    check(
        yaml,
        &[
            "admin.access_log_path: has no effect here",
            "flags_path: has no effect here",
            "layered_runtime: has no effect here",
            "stats_config: has no effect here",
        ],
    );
}

#[test]
fn private_keys_are_in_files_but_not_in_dumps() {
    let yaml = "static_resources: {secrets: [{name: s, tls_certificate: {certificate_chain: {inline_string: chain}, \
                private_key: {inline_string: SECRET}}}]}";
    let ReadBootstrap { bootstrap, .. } = json::bootstrap_from_yaml(yaml).unwrap();
    assert!(json::bootstrap_to_json(&bootstrap).to_string().contains("SECRET"));
    let dump = json::Dump::new().bootstrap(&bootstrap).to_string();
    assert!(!dump.contains("SECRET") && dump.contains("chain"), "{dump}");
    let secret = ir::Resource::Secret(bootstrap.secrets[0].clone().into());
    let dump = json::resource_to_json(&secret);
    assert!(!dump.to_string().contains("SECRET"), "{dump}");
    assert_eq!(dump["@type"], "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret");
}

#[test]
fn overload_managers_do_what_they_say_or_are_refused() {
    let types = "type.googleapis.com/envoy.extensions.resource_monitors";
    let heap = |name: &str, bytes: u64| {
        format!(
            "{{name: {name}, typed_config: {{'@type': {types}.fixed_heap.v3.FixedHeapConfig, \
             max_heap_size_bytes: {bytes}}}}}"
        )
    };
    let connections = |max: i64| {
        format!(
            "{{name: c, typed_config: {{'@type': {types}.downstream_connections.v3.DownstreamConnectionsConfig, \
             max_active_downstream_connections: {max}}}}}"
        )
    };
    let action = |name: &str, trigger: &str| {
        format!("{{name: envoy.overload_actions.{name}, triggers: [{{name: {FIXED_HEAP}, {trigger}}}]}}")
    };
    let of = |monitors: &[String], actions: &[String]| {
        let (monitors, actions) = (monitors.join(", "), actions.join(", "));
        format!("overload_manager: {{resource_monitors: [{monitors}], actions: [{actions}]}}")
    };
    const FIXED_HEAP: &str = "envoy.resource_monitors.fixed_heap";
    let at_90 = "threshold: {value: 0.9}";
    let stop = action("stop_accepting_requests", at_90);
    check(&of(&[heap(FIXED_HEAP, 1000), connections(5)], std::slice::from_ref(&stop)), &[]);
    let here = "overload_manager";
    let refused = |monitors: &[String], actions: &[String], expected: &str| {
        check(&of(monitors, actions), &[&format!("{here}.{expected}")]);
    };
    let watched = [heap(FIXED_HEAP, 1000)];
    refused(
        &[],
        std::slice::from_ref(&stop),
        "resource_monitors: has no envoy.resource_monitors.fixed_heap, which actions refer to",
    );
    refused(
        &[heap(FIXED_HEAP, 0)],
        &[],
        "resource_monitors[0].typed_config.max_heap_size_bytes: has to be more than 0",
    );
    refused(
        &[heap("h", 1)],
        &[],
        "resource_monitors[0].name: only envoy.resource_monitors.fixed_heap is supported for this type",
    );
    refused(
        &[connections(0)],
        &[],
        "resource_monitors[0].typed_config.max_active_downstream_connections: has to be more than 0",
    );
    refused(
        &[connections(1), connections(2)],
        &[],
        "resource_monitors[1]: is a second monitor of the same resource",
    );
    refused(&watched, &[stop.clone(), stop], "actions[1].name: is there twice");
    refused(
        &watched,
        &[action("disable_http_keepalive", at_90)],
        "actions[0].name: the action envoy.overload_actions.disable_http_keepalive is not supported",
    );
    let scaled = "scaled: {scaling_threshold: 0.8, saturation_threshold: 0.9}";
    refused(&watched, &[action("shrink_heap", scaled)], "actions[0].triggers[0].scaled: is not supported");
    let over = action("shrink_heap", "threshold: {value: 1.5}");
    refused(&watched, &[over], "actions[0].triggers[0].threshold: has to be between 0 and 1");
    check(
        "overload_manager: {loadshed_points: [{name: x, triggers: [{name: y, threshold: {value: 1}}]}]}",
        &["overload_manager.loadshed_points: is not supported"],
    );
    check(
        "static_resources: {listeners: [{name: l, address: {socket_address: {address: 0.0.0.0, port_value: 80}}, \
         bypass_overload_manager: true}]}",
        &["static_resources.listeners[0].bypass_overload_manager: has no effect here"],
    );
}

#[test]
fn additional_addresses_have_no_settings_of_their_own() {
    let address = "address: {socket_address: {address: 0.0.0.0, port_value: 80}}";
    check(
        &format!(
            "static_resources: {{listeners: [{{name: l, {address}, additional_addresses: [{{{address}, \
             tcp_keepalive: {{}}}}, {{{address}, socket_options: {{}}}}, {{}}]}}]}}"
        ),
        &[
            "static_resources.listeners[0].additional_addresses[0].tcp_keepalive: is not supported",
            "static_resources.listeners[0].additional_addresses[1].socket_options: is not supported",
            "static_resources.listeners[0].additional_addresses[2].address: is required",
        ],
    );
}
