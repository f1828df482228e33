//! What proxies are told of themselves: by ProxyConfigs, the mesh and their pods' annotations.

use std::collections::BTreeMap;
use std::time::Duration;

use ir::http::{EscapedSlashes, ForwardClientCert, HeadersWithUnderscores, ServerHeader};
use ir::listener::ListenerFilter;
use ir::{Address, Cluster, ClusterDiscovery, HttpConnectionManager, ResourceType, Terminal};
use istio_api::mesh::proxy::{ANNOTATION, Interception, ProxySettings};
use model::{Labels, Node, Str};
use registry::Snapshot;

use crate::common::{Proxy, router, service, sidecar, snapshot, with_mesh};

fn config(name: &str, namespace: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1beta1\nkind: ProxyConfig\n\
         metadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
    )
}

fn of(snapshot: &Snapshot, namespace: &str, app: &str, annotation: &str) -> ProxySettings {
    let labels: Labels = [("app", app)].into_iter().collect();
    let annotations = match annotation {
        "" => BTreeMap::new(),
        text => [(Str::from(ANNOTATION), Str::from(text))].into(),
    };
    snapshot.proxy_settings(namespace, &labels, &annotations)
}

fn variables(settings: &ProxySettings) -> String {
    let all = settings.proxy_metadata.iter().map(|(name, value)| format!("{name}={value}"));
    all.collect::<Vec<_>>().join(" ")
}

#[test]
fn the_nearest_proxy_config_says_how_a_proxy_starts() {
    let yaml = config("all", "istio-system", "{concurrency: 2, environmentVariables: {A: root, B: root}}")
        + &config("shop", "shop", "{concurrency: 3, environmentVariables: {B: shop, C: shop}}")
        + &config("younger", "shop", "{concurrency: 9}")
        + &config(
            "web",
            "shop",
            "{selector: {matchLabels: {app: web}}, concurrency: 0, environmentVariables: {C: web}}",
        );
    let snapshot = with_mesh(
        &snapshot(&yaml),
        "defaultConfig: {concurrency: 1, proxyMetadata: {A: mesh, M: mesh}, terminationDrainDuration: 7s}",
    );
    let found = |namespace, app, annotation| {
        let settings = of(&snapshot, namespace, app, annotation);
        assert_eq!(settings.termination_drain, Some(Duration::from_secs(7)));
        (settings.concurrency, variables(&settings))
    };
    assert_eq!(found("other", "x", ""), (Some(2), "A=root B=root M=mesh".into()));
    assert_eq!(found("shop", "x", ""), (Some(3), "A=root B=shop C=shop M=mesh".into()));
    assert_eq!(found("istio-system", "x", ""), (Some(2), "A=root B=root M=mesh".into()));
    let annotation = "{concurrency: 4, proxyMetadata: {C: pod, D: pod}}";
    assert_eq!(found("shop", "x", annotation), (Some(4), "A=root B=shop C=pod D=pod M=mesh".into()));
    // What selects the workload goes before its annotation, also with 0: as many as there are cores.
    assert_eq!(found("shop", "web", annotation), (Some(0), "A=root B=shop C=web D=pod M=mesh".into()));
}

#[test]
fn the_agent_and_the_administration_have_the_ports_they_are_told() {
    let snapshot =
        with_mesh(&snapshot(""), "defaultConfig: {proxyAdminPort: 25000, statusPort: 25020, concurrency: 1}");
    let ports = |annotations: &[(&str, &str)]| {
        let annotations = annotations.iter().map(|(key, value)| (Str::from(*key), Str::from(*value)));
        let found = snapshot.proxy_settings("shop", &Labels::default(), &annotations.collect());
        (found.admin_port, found.status_port)
    };
    assert_eq!(ports(&[]), (Some(25000), Some(25020)));
    let own = (ANNOTATION, "{proxyAdminPort: 35000, statusPort: 35020}");
    assert_eq!(ports(&[own]), (Some(35000), Some(35020)));
    let status = ("status.sidecar.istio.io/port", "45020");
    assert_eq!(ports(&[own, status]), (Some(35000), Some(45020)));
    assert_eq!(ports(&[("status.sidecar.istio.io/port", "0")]), (Some(25000), Some(25020)));
    for bad in ["proxyAdminPort: 0", "statusPort: -1"] {
        let parsed = istio_api::parse_mesh_config("mesh.yaml", &format!("defaultConfig: {{{bad}}}"));
        assert!(parsed.broken, "{bad}");
    }
}

const INGRESS: &str = "---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: shop}
spec: {selector: {istio: gw}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [\"*\"]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: web, namespace: shop}
spec: {hosts: [\"*\"], gateways: [gw], http: [{route: [{destination: {host: web, port: {number: 80}}}]}]}
";

fn mesh(mesh: &str) -> Snapshot {
    let web = service("web", "10.0.0.1", "{port: 80, targetPort: 8080, name: http}");
    with_mesh(&snapshot(&format!("{INGRESS}{web}")), mesh)
}

fn manager(proxy: &Proxy, listener: &str) -> HttpConnectionManager {
    let chains = &proxy.listener(listener).filter_chains;
    let mut managers = chains.iter().filter_map(|chain| match &chain.terminal {
        Terminal::Http(manager) => Some((**manager).clone()),
        _ => None,
    });
    managers.next_back().expect("a connection manager")
}

fn gateway(snapshot: &Snapshot, proxy_config: &str) -> Proxy {
    let node = router("shop", "10.1.0.1", "istio=gw");
    Proxy::of(snapshot, &Node { proxy_config: proxy_config.into(), ..node })
}

#[test]
fn gateways_believe_those_who_stand_before_them() {
    let snapshot = mesh(
        "defaultConfig: {gatewayTopology: {numTrustedProxies: 2, forwardClientCertDetails: ALWAYS_FORWARD_ONLY}}",
    );
    let proxy = gateway(&snapshot, "");
    let found = manager(&proxy, "0.0.0.0_80");
    assert_eq!(found.xff_num_trusted_hops, 2);
    assert_eq!(found.forward_client_cert, ForwardClientCert::AlwaysForwardOnly);
    assert!(!found.client_cert_details.subject);
    assert!(proxy.listener("0.0.0.0_80").listener_filters.is_empty());
    // What the pod's own annotation says goes before that, field by field.
    let proxy = gateway(&snapshot, "gatewayTopology: {numTrustedProxies: 1, proxyProtocol: {}}");
    let found = manager(&proxy, "0.0.0.0_80");
    assert_eq!(found.xff_num_trusted_hops, 1);
    assert_eq!(found.forward_client_cert, ForwardClientCert::AlwaysForwardOnly);
    let expected = [ListenerFilter::ProxyProtocol { optional: false, disallowed: Vec::new() }];
    assert_eq!(proxy.listener("0.0.0.0_80").listener_filters, expected);
}

#[test]
fn proxies_write_the_headers_they_are_told_to() {
    let snapshot = mesh(
        "defaultConfig: {proxyHeaders: {server: {value: a}, requestId: {disabled: true}, attemptCount: {disabled: true}, \
         xForwardedHost: {enabled: true}, forwardedClientCert: SANITIZE_SET, setCurrentClientCertDetails: {cert: true, uri: false}}}",
    );
    let proxy = gateway(&snapshot, "");
    let found = manager(&proxy, "0.0.0.0_80");
    assert_eq!((found.server_name.as_deref(), found.generate_request_id), (Some("a"), false));
    let host = &proxy.routes("http.80").virtual_hosts[0];
    assert!(!host.include_request_attempt_count);
    let ir::RouteAction::Forward(forward) = &host.routes[0].action else { panic!() };
    assert!(forward.append_x_forwarded_host);

    let node = sidecar("shop", "10.1.0.1", "app=web");
    let found = manager(&Proxy::of(&snapshot, &node), "virtualInbound");
    assert_eq!(found.forward_client_cert, ForwardClientCert::SanitizeSet);
    let details = found.client_cert_details;
    assert_eq!((details.subject, details.cert, details.uri, details.dns), (true, true, false, true));
    let proxy_config = "proxyHeaders: {server: {disabled: true}}".into();
    let found = manager(&Proxy::of(&snapshot, &Node { proxy_config, ..node }), "virtualInbound");
    assert_eq!((found.server_name, found.server_header), (None, ServerHeader::PassThrough));
}

#[test]
fn what_proxies_say_of_themselves_is_as_they_are_told() {
    let told = "{envoyDebugHeaders: {disabled: true}, xForwardedPort: {enabled: true}, preserveHttp1HeaderCase: true, \
                metadataExchangeHeaders: {mode: IN_MESH}}";
    let snapshot = mesh(&format!("defaultConfig: {{proxyHeaders: {told}}}"));
    let found = manager(&gateway(&snapshot, ""), "0.0.0.0_80");
    assert!(found.suppress_envoy_headers && found.append_x_forwarded_port && found.preserve_header_case);
    let node = sidecar("shop", "10.1.0.1", "app=web");
    let proxy = Proxy::of(&snapshot, &node);
    for listener in ["virtualInbound", "0.0.0.0_80"] {
        let found = manager(&proxy, listener);
        assert!(found.suppress_envoy_headers && found.preserve_header_case, "{listener}");
    }
    for cluster in ["outbound|80||web.shop.svc.cluster.local", "inbound|8080||", "PassthroughCluster"] {
        assert!(proxy.cluster(cluster).preserve_header_case, "{cluster}");
    }
    // A pod's own word goes before, for its clusters as well.
    let proxy_config =
        "{proxyHeaders: {preserveHttp1HeaderCase: false, envoyDebugHeaders: {disabled: false}}}".into();
    let proxy = Proxy::of(&snapshot, &Node { proxy_config, ..node });
    let found = manager(&proxy, "virtualInbound");
    assert!(!found.suppress_envoy_headers && !found.preserve_header_case && found.append_x_forwarded_port);
    assert!(!proxy.cluster("inbound|8080||").preserve_header_case);
}

#[test]
fn connections_have_the_limits_they_are_told() {
    let told = "httpIdleTimeout: 1s, httpMaxConnectionDuration: 2s, httpDrainTimeout: 3s, httpRequestTimeout: 4s, \
                httpRequestHeadersTimeout: 5s, httpStreamIdleTimeout: 6s, httpMaxStreamDuration: 7s, \
                httpMaxConcurrentStreams: 8, http2InitialStreamWindowSize: 65535, \
                http2InitialConnectionWindowSize: 65536, httpMergeSlashes: true, \
                httpHeadersWithUnderscoresAction: HEADERS_WITH_UNDERSCORES_DROP_HEADER, \
                httpPathWithEscapedSlashesAction: REJECT_REQUEST";
    let snapshot = mesh(&format!("defaultConfig: {{connectionSettings: {{{told}}}}}"));
    let sidecar = Proxy::of(&snapshot, &sidecar("shop", "10.1.0.1", "app=web"));
    let gateway_of = |config: &str| manager(&gateway(&snapshot, config), "0.0.0.0_80");
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    for found in [manager(&sidecar, "virtualInbound"), manager(&sidecar, "0.0.0.0_80"), gateway_of("")] {
        assert_eq!((found.idle_timeout, found.max_connection_duration), (seconds(1), seconds(2)));
        assert_eq!((found.drain_timeout, found.request_timeout), (seconds(3), seconds(4)));
        assert_eq!((found.request_headers_timeout, found.stream_idle_timeout), (seconds(5), seconds(6)));
        assert_eq!((found.max_stream_duration, found.http2.max_concurrent_streams), (seconds(7), Some(8)));
        let windows = (found.http2.initial_stream_window_size, found.http2.initial_connection_window_size);
        assert_eq!((windows, found.merge_slashes), ((Some(65535), Some(65536)), true));
        assert_eq!(found.headers_with_underscores, HeadersWithUnderscores::DropHeader);
        assert_eq!(found.escaped_slashes, EscapedSlashes::RejectRequest);
    }
    // Field by field, and the profile last of all.
    let found = gateway_of("connectionSettings: {httpIdleTimeout: 9s}");
    assert_eq!((found.idle_timeout, found.drain_timeout), (seconds(9), seconds(3)));
    let edge = mesh("defaultConfig: {connectionSettings: {profile: EDGE, httpIdleTimeout: 9s}}");
    let found = manager(&gateway(&edge, ""), "0.0.0.0_80");
    assert_eq!((found.idle_timeout, found.request_timeout), (seconds(9), seconds(300)));
    assert_eq!(found.headers_with_underscores, HeadersWithUnderscores::RejectRequest);
    assert_eq!(found.escaped_slashes, EscapedSlashes::UnescapeAndRedirect);
    let inside = Proxy::of(&edge, &crate::common::sidecar("shop", "10.1.0.1", "app=web"));
    assert_eq!(manager(&inside, "virtualInbound").request_timeout, None);
    for bad in ["http2InitialStreamWindowSize: 1", "httpMaxConcurrentStreams: 0", "httpIdleTimeout: x"] {
        let text = format!("defaultConfig: {{connectionSettings: {{{bad}}}}}");
        assert!(istio_api::parse_mesh_config("mesh.yaml", &text).broken, "{bad}");
    }
}

const PORTS: &str = "---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: web, namespace: shop}
spec:
  workloadSelector: {labels: {app: web}}
  ingress: [{port: {number: 9080, name: http, protocol: HTTP}, defaultEndpoint: '127.0.0.1:8080'}]
";

#[test]
fn without_capture_proxies_have_ports_of_their_own() {
    let web = service("web", "10.0.0.1", "{port: 80, targetPort: 8080, name: http}")
        + &service("db", "10.0.0.2", "{port: 3306, name: tcp-db}");
    let node = Node { uncaptured: true, ..sidecar("shop", "10.1.0.1", "app=web") };
    let proxy = Proxy::of(&snapshot(&web), &node);
    let listeners = proxy.names(ResourceType::Listener);
    assert_eq!(listeners, ["127.0.0.1_3306", "127.0.0.1_80"]);
    for name in &listeners {
        assert!(proxy.listener(name).bind_to_port, "{name}");
    }
    assert!(!proxy.names(ResourceType::Cluster).contains(&"inbound|8080||".to_owned()));
    // Its own ports it has where a Sidecar says so.
    let proxy = Proxy::of(&snapshot(&(web + PORTS)), &node);
    let listener = proxy.listener("0.0.0.0_9080");
    assert!(
        listener.bind_to_port && !proxy.names(ResourceType::Listener).contains(&"virtualInbound".to_owned())
    );
    proxy.cluster("inbound|9080||");
    // How the agent comes to say so.
    let mesh = |mesh: &str| with_mesh(&snapshot(""), mesh);
    let mode = |mesh: &Snapshot, annotation| of(mesh, "shop", "web", annotation).interception;
    assert_eq!(mode(&mesh("{}"), "interceptionMode: NONE"), Some(Interception::None));
    assert_eq!(mode(&mesh("defaultConfig: {interceptionMode: NONE}"), ""), Some(Interception::None));
    assert_eq!(mode(&mesh("{}"), "interceptionMode: TPROXY"), None);
    let own: BTreeMap<Str, Str> = [("sidecar.istio.io/interceptionMode".into(), "NONE".into())].into();
    let found = mesh("{}").proxy_settings("shop", &Labels::default(), &own);
    assert_eq!(found.interception, Some(Interception::None));
}

#[test]
fn proxies_drain_and_write_logs_as_they_are_told() {
    let snapshot = with_mesh(
        &snapshot(""),
        "defaultConfig: {drainDuration: 3s, fileFlushInterval: 250ms, fileFlushMinSizeKb: 8, \
         connectionSettings: {globalDownstreamConnectionLimit: 7}}",
    );
    let found = of(&snapshot, "shop", "web", "{fileFlushMinSizeKb: 4}");
    assert_eq!(found.drain_duration, Some(Duration::from_secs(3)));
    assert_eq!(found.file_flush_interval, Some(Duration::from_millis(250)));
    assert_eq!(found.file_flush_min_size_kb, Some(4));
    assert_eq!(found.connections.and_then(|connections| connections.max_connections), Some(7));
    for bad in ["drainDuration: 1500ms", "drainDuration: 0s", "fileFlushInterval: 0s"] {
        let parsed = istio_api::parse_mesh_config("mesh.yaml", &format!("defaultConfig: {{{bad}}}"));
        assert!(parsed.broken, "{bad}");
    }
}

#[test]
fn applications_may_be_asked_at_the_loopback_address() {
    let node = sidecar("shop", "10.1.0.1", "app=web");
    let inbound =
        |snapshot: &Snapshot| -> Cluster { Proxy::of(snapshot, &node).cluster("inbound|8080||").clone() };
    let cluster = inbound(&mesh("inboundTrafficPolicy: {mode: LOCALHOST}"));
    let ClusterDiscovery::Static(endpoints) = &cluster.discovery else { panic!("{:?}", cluster.discovery) };
    let address = &endpoints.localities[0].endpoints[0].address;
    assert_eq!((address, cluster.bind_source), (&Address::Socket("127.0.0.1:8080".parse().unwrap()), None));
    let cluster = inbound(&mesh("inboundTrafficPolicy: {mode: PASSTHROUGH}"));
    assert!(matches!(cluster.discovery, ClusterDiscovery::OriginalDst) && cluster.bind_source.is_some());
}
