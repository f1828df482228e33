//! The administration interface.

use std::time::{Duration, Instant};

use crate::support::Setup;
use crate::support::backend::Backend;
use crate::support::client::{Client, get};

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

    assert_eq!(get(admin, "/quitquitquit").status, 405);
    let begin = Instant::now();
    let mut client = Client::connect(admin);
    client.send("POST /quitquitquit HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.read().unwrap().text(), "OK\n");
    proxy.wait();
    assert!(begin.elapsed() < Duration::from_secs(1));
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

/// Who may read the dump is not therefore somebody who may have the keys.
#[test]
fn no_private_key_is_shown() {
    let certified = rcgen::generate_simple_self_signed(vec!["a".to_owned()]).unwrap();
    let inline = |pem: String| ir::tls::DataSource::Inline(pem.into_bytes());
    let mut setup = Setup::new();
    setup.static_secrets = vec![ir::Secret {
        name: "mine".into(),
        content: ir::tls::SecretContent::Certificate(ir::tls::TlsCertificate {
            chain: inline(certified.cert.pem()),
            key: inline(certified.signing_key.serialize_pem()),
        }),
    }];
    let proxy = setup.start();
    let dump: serde_json::Value =
        serde_json::from_str(&get(proxy.handle.admin().unwrap(), "/config_dump").text()).unwrap();
    let secret = &dump["configs"][0]["bootstrap"]["static_resources"]["secrets"][0];
    assert_eq!(secret["name"], "mine");
    // "[redacted]", as Envoy says it.
    assert_eq!(secret["tls_certificate"]["private_key"]["inline_bytes"], "W3JlZGFjdGVkXQ==");
}
