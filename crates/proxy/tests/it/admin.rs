//! The administration interface.

use std::time::{Duration, Instant};

use crate::support::backend::Backend;
use crate::support::client::{Client, get, post};
use crate::support::{Running, Setup, free_port};

#[test]
fn operators_find_what_they_know_from_envoy() {
    let backend = Backend::start("b");
    let mut proxy = Setup::new().cluster("b", &[backend.address]).route("/", "b").start();
    let admin = proxy.handle.admin().unwrap();
    assert_eq!(get(proxy.address, "/").status, 200);
    let ready = get(admin, "/ready");
    assert_eq!((ready.status, ready.text().as_str()), (200, "LIVE\n"));
    let text = |path: &str| get(admin, path).text();
    assert!(text("/stats?filter=%5Ecluster%5C.b%5C.upstream_rq_2xx$").ends_with("upstream_rq_2xx: 1\n"));
    assert!(text("/stats?filter=server.state").contains("server.state: 0"));
    assert_eq!(get(admin, "/stats?filter=(").status, 400);
    let stats: serde_json::Value =
        serde_json::from_str(&text("/stats?format=json&filter=downstream_rq_total")).unwrap();
    assert_eq!(stats["stats"][0]["value"], 1);
    assert!(
        text("/stats/prometheus").contains("envoy_http_downstream_rq_xx{envoy_response_code_class=\"2\"")
    );
    assert!(text("/clusters").contains(&format!("b::{}::rq_active::0", backend.address)));
    let info: serde_json::Value = serde_json::from_str(&text("/server_info")).unwrap();
    assert_eq!(info["state"], "LIVE");
    assert_eq!(get(admin, "/nonsense").status, 404);
    assert!(get(admin, "/nonsense").text().starts_with("invalid path. admin commands are:\n"));
    assert!(text("/help").contains("  /clusters: "));
    assert_eq!(get(admin, "/stats?type=nonsense").status, 400);
    assert_eq!(get(admin, "/stats?format=xml").status, 400);
    let gauges = text("/stats?type=Gauges");
    assert!(gauges.contains("downstream_rq_active") && !gauges.contains("downstream_rq_total"));
    assert!(!text("/stats?filter=rq_total&invert_filter").contains("rq_total"));
    assert!(!text("/stats?usedonly").contains("rq_5xx"));
    for path in ["/reset_counters", "/drain_listeners", "/logging", "/healthcheck/fail", "/reopen_logs"] {
        assert_eq!(get(admin, path).status, 405, "{path}");
    }

    assert_eq!(get(admin, "/quitquitquit").status, 405);
    let begin = Instant::now();
    let mut client = Client::connect(admin);
    client.send("POST /quitquitquit HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.read().unwrap().text(), "OK\n");
    proxy.wait();
    assert!(begin.elapsed() < Duration::from_secs(1));
}

#[test]
fn times_are_told_as_histograms() {
    let backend = Backend::start("b");
    let proxy = Setup::new().cluster("b", &[backend.address]).route("/", "b").start();
    let admin = proxy.handle.admin().unwrap();
    let text = |path: &str| get(admin, path).text();
    assert!(!text("/stats?filter=rq_time").contains("P0("), "nothing was asked for yet");
    for _ in 0..3 {
        assert_eq!(get(proxy.address, "/").status, 200);
    }
    let cumulative = || text("/stats?filter=upstream_rq_time$&histogram_buckets=cumulative");
    let begin = Instant::now();
    // A request is counted when its connection knows that it is over.
    while !cumulative().contains("B3.6e+06(3,3)") && begin.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(10));
    }
    let found = cumulative();
    assert!(found.contains("B3.6e+06(3,3)"), "{found}");
    assert!(found.starts_with("cluster.b.upstream_rq_time: B0.5("), "{found}");
    let summary = text("/stats?filter=http.*downstream_rq_time");
    assert!(summary.contains(".downstream_rq_time: P0(") && summary.contains(" P99.9("), "{summary}");
    let connect = text("/stats?filter=upstream_cx_connect_ms&histogram_buckets=disjoint");
    assert!(connect.starts_with("cluster.b.upstream_cx_connect_ms: B0.5("), "{connect}");
    assert!(text("/stats?type=Counters&filter=rq_time$").is_empty());
    let json: serde_json::Value =
        serde_json::from_str(&text("/stats?format=json&type=Histograms&filter=upstream_rq_time")).unwrap();
    let histograms = &json["stats"][0]["histograms"];
    assert_eq!(histograms["supported_quantiles"][7], 99.5);
    assert_eq!(histograms["computed_quantiles"][0]["name"], "cluster.b.upstream_rq_time");
    let lists =
        text("/stats?format=json&histogram_buckets=cumulative&type=Histograms&filter=upstream_rq_time");
    let lists: serde_json::Value = serde_json::from_str(&lists).unwrap();
    let last = &lists["stats"][0]["histograms"][0]["buckets"][18];
    assert_eq!((&last["upper_bound"], &last["cumulative"]), (&3_600_000.into(), &3.into()));
    let prometheus = text("/stats/prometheus");
    assert!(prometheus.contains("# TYPE envoy_cluster_upstream_rq_time histogram"), "{prometheus}");
    let bucket = "envoy_cluster_upstream_rq_time_bucket{envoy_cluster_name=\"b\",le=\"+Inf\"} 3";
    assert!(prometheus.contains(bucket), "{prometheus}");
    assert!(prometheus.contains("envoy_cluster_upstream_rq_time_count{envoy_cluster_name=\"b\"} 3"));
    assert_eq!(get(admin, "/stats?histogram_buckets=round").status, 400);
}

#[test]
fn the_dump_has_envoys_shape() {
    let backend = Backend::start("b");
    let proxy = Setup::new().cluster("b", &[backend.address]).route("/", "b").start_dynamic();
    let admin = proxy.handle.admin().unwrap();
    let dump: serde_json::Value =
        serde_json::from_str(&get(admin, "/config_dump?include_eds").text()).unwrap();
    let section = |name: &str| {
        let configs = dump["configs"].as_array().unwrap();
        let found =
            configs.iter().find(|c| c["@type"] == format!("type.googleapis.com/envoy.admin.v3.{name}"));
        found.unwrap_or_else(|| panic!("no {name}")).clone()
    };
    let cluster = &section("ClustersConfigDump")["dynamic_active_clusters"][0];
    assert_eq!(cluster["cluster"]["name"], "b");
    assert!(cluster["version_info"].is_string() && cluster["last_updated"].is_string());
    let listener = &section("ListenersConfigDump")["dynamic_listeners"][0];
    assert_eq!(listener["active_state"]["listener"]["name"], "test");
    let route = &section("RoutesConfigDump")["static_route_configs"][0];
    assert_eq!(route["route_config"]["name"], "inline");
    assert!(section("BootstrapConfigDump")["bootstrap"].is_object());
    let only: serde_json::Value =
        serde_json::from_str(&get(admin, "/config_dump?resource=dynamic_listeners").text()).unwrap();
    assert_eq!(only["configs"][0]["name"], "test");
}

/// A proxy that holds a certificate for this name, inline, as the secret `mine`.
fn with_certificate(host: &str) -> Running {
    let certified = rcgen::generate_simple_self_signed(vec![host.to_owned()]).unwrap();
    let inline = |pem: String| ir::tls::DataSource::Inline(pem.into_bytes());
    let mut setup = Setup::new();
    setup.static_secrets = vec![ir::Secret {
        name: "mine".into(),
        content: ir::tls::SecretContent::Certificate(ir::tls::TlsCertificate {
            chain: inline(certified.cert.pem()),
            key: inline(certified.signing_key.serialize_pem()),
        }),
    }];
    setup.start()
}

/// Who may read the dump is not therefore somebody who may have the keys.
#[test]
fn no_private_key_is_shown() {
    let proxy = with_certificate("a");
    let dump: serde_json::Value =
        serde_json::from_str(&get(proxy.handle.admin().unwrap(), "/config_dump").text()).unwrap();
    let secret = &dump["configs"][0]["bootstrap"]["static_resources"]["secrets"][0];
    assert_eq!(secret["name"], "mine");
    // "[redacted]", as Envoy says it.
    assert_eq!(secret["tls_certificate"]["private_key"]["inline_bytes"], "W3JlZGFjdGVkXQ==");
}

fn json_of(admin: std::net::SocketAddr, path: &str) -> serde_json::Value {
    serde_json::from_str(&get(admin, path).text()).unwrap()
}

#[test]
fn clusters_and_listeners_are_described_as_by_envoy() {
    let backend = Backend::start("b");
    let mut setup = Setup::new().cluster("b", &[backend.address, free_port()]).route("/", "b");
    setup.clusters[0].outlier = Some(Box::new(ir::OutlierDetection {
        consecutive_5xx: Some(1),
        max_ejection_percent: Some(100),
        ..Default::default()
    }));
    let proxy = setup.start();
    for _ in 0..6 {
        get(proxy.address, "/");
    }
    let admin = proxy.handle.admin().unwrap();
    let text = get(admin, "/clusters").text();
    let has = |line: &str| assert!(text.lines().any(|it| it == line), "no {line} in:\n{text}");
    has("b::observability_name::b");
    has("b::outlier::success_rate_average::-1");
    has("b::default_priority::max_connections::1024");
    has("b::high_priority::max_retries::3");
    has("b::added_via_api::false");
    let good = backend.address;
    for line in
        ["rq_error::0", "rq_timeout::0", "health_flags::healthy", "weight::1", "region::", "priority::0"]
    {
        has(&format!("b::{good}::{line}"));
    }
    let json = json_of(admin, "/clusters?format=json");
    let hosts = json["cluster_statuses"][0]["host_statuses"].as_array().unwrap();
    let number = |host: &serde_json::Value, name: &str| -> u64 {
        let stats = host["stats"].as_array().unwrap();
        stats.iter().find(|it| it["name"] == name).unwrap()["value"].as_str().unwrap().parse().unwrap()
    };
    assert!(number(&hosts[0], "rq_success") >= 1);
    assert_eq!(number(&hosts[0], "rq_success"), number(&hosts[0], "rq_total"));
    // The other one is a port that nobody listens on: one attempt, and it was out.
    assert_eq!((number(&hosts[1], "rq_total"), number(&hosts[1], "cx_connect_fail")), (0, 1));
    assert_eq!(number(&hosts[1], "rq_error"), 1);
    assert_eq!(hosts[1]["health_status"]["failed_outlier_check"], true);
    assert!(text.contains("::health_flags::/failed_outlier_check\n"));
    assert_eq!(proxy.stat("cluster.b.membership_healthy"), 1);
    assert_eq!(get(admin, "/clusters?filter=zz").text(), "");

    assert_eq!(get(admin, "/listeners").text(), format!("test::{}\n", proxy.address));
    let listeners = json_of(admin, "/listeners?format=json");
    assert_eq!(listeners["listener_statuses"][0]["name"], "test");
    assert!(json_of(admin, "/memory")["total_physical_bytes"].as_str().unwrap().parse::<u64>().unwrap() > 0);
}

#[test]
fn counters_begin_anew() {
    let backend = Backend::start("b");
    let proxy = Setup::new().cluster("b", &[backend.address]).route("/", "b").start();
    get(proxy.address, "/");
    let admin = proxy.handle.admin().unwrap();
    proxy.expect_stat("http.test.downstream_rq_total", 1);
    proxy.expect_stat("http.test.downstream_rq_2xx", 1);
    assert_eq!(post(admin, "/reset_counters"), (200, "OK\n".to_owned()));
    proxy.expect_stat("http.test.downstream_rq_total", 0);
    // Used before is used.
    assert!(get(admin, "/stats?usedonly").text().contains("http.test.downstream_rq_total: 0"));
    get(proxy.address, "/");
    proxy.expect_stat("http.test.downstream_rq_total", 1);
}

#[test]
fn failing_health_checks_ends_connections_until_it_is_ok_again() {
    let backend = Backend::start("b");
    let proxy = Setup::new().cluster("b", &[backend.address]).route("/", "b").start();
    let admin = proxy.handle.admin().unwrap();
    assert_eq!(post(admin, "/healthcheck/fail").0, 200);
    assert_eq!(get(admin, "/ready").text(), "DRAINING\n");
    assert_eq!(proxy.stat("server.state"), 1);
    assert_eq!(get(proxy.address, "/").header("connection"), Some("close"));
    assert_eq!(post(admin, "/healthcheck/ok").0, 200);
    assert_eq!(get(admin, "/ready").status, 200);
    assert_eq!(get(proxy.address, "/").header("connection"), None);
}

#[test]
fn listeners_stop_when_asked() {
    let backend = Backend::start("b");
    let proxy = Setup::new().cluster("b", &[backend.address]).route("/", "b").start();
    let admin = proxy.handle.admin().unwrap();
    // It is of no direction.
    assert_eq!(post(admin, "/drain_listeners?inboundonly").0, 200);
    assert_eq!(get(proxy.address, "/").status, 200);
    let mut client = Client::connect(proxy.address);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.read().unwrap().status, 200);
    assert_eq!(post(admin, "/drain_listeners").0, 200);
    let begin = Instant::now();
    while std::net::TcpStream::connect(proxy.address).is_ok() {
        assert!(begin.elapsed() < Duration::from_secs(2), "still listening");
        std::thread::sleep(Duration::from_millis(5));
    }
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.read().unwrap().status, 200);
}

#[test]
fn the_dump_can_be_cut() {
    let backend = Backend::start("b");
    let setup = Setup::new().cluster("b", &[backend.address]).cluster("c", &[backend.address]);
    let proxy = setup.route("/", "b").start_dynamic();
    let admin = proxy.handle.admin().unwrap();
    let dump = json_of(admin, "/config_dump?resource=dynamic_active_clusters&mask=cluster.name&name_regex=c");
    let expected = serde_json::json!({ "configs": [{
        "@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump.DynamicCluster",
        "cluster": { "@type": "type.googleapis.com/envoy.config.cluster.v3.Cluster", "name": "c" },
    }] });
    assert_eq!(dump, expected);
    assert_eq!(get(admin, "/config_dump?resource=nonsense").status, 404);
    assert_eq!(get(admin, "/config_dump?resource=bootstrap").status, 400);
    assert_eq!(get(admin, "/config_dump?mask=nonsense").status, 400);
    assert_eq!(get(admin, "/config_dump?name_regex=(").status, 400);
    let masked = json_of(admin, "/config_dump?mask=bootstrap.node");
    assert_eq!(masked["configs"].as_array().unwrap().len(), 1);
}

#[test]
fn certificates_are_shown_with_their_names_and_validity() {
    let proxy = with_certificate("a.example");
    let certs = json_of(proxy.handle.admin().unwrap(), "/certs");
    let shown = &certs["certificates"][0]["cert_chain"][0];
    assert_eq!(shown["subject_alt_names"][0]["dns"], "a.example");
    assert!(!shown["serial_number"].as_str().unwrap().is_empty());
    assert!(shown["days_until_expiration"].as_str().unwrap().parse::<u64>().unwrap() > 1000);
}
