//! `path_config_source` and the deprecated `path`.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::backend::Backend;
use crate::support::client::{Client, get};
use crate::support::{PATIENCE, Running, free_port, start_bootstrap};

const TYPE: &str = "type.googleapis.com/envoy";
const HCM: &str = "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const ROUTER: &str = "extensions.filters.http.router.v3.Router";

fn socket(address: SocketAddr) -> String {
    format!("{{socket_address: {{address: {}, port_value: {}}}}}", address.ip(), address.port())
}

/// Moves a file into place, as Envoy wants it.
fn place(folder: &Path, name: &str, text: &str) {
    let new = folder.join(format!(".{name}.new"));
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, folder.join(name)).unwrap();
}

fn listeners(folder: &Path, address: SocketAddr, stat_prefix: &str) -> String {
    format!(
        "version_info: '1'\nresources:\n- '@type': {TYPE}.config.listener.v3.Listener\n  name: l\n  address: {}\n  \
         filter_chains:\n  - filters:\n    - name: hcm\n      typed_config:\n        '@type': {TYPE}.{HCM}\n        \
         stat_prefix: {stat_prefix}\n        rds: {{route_config_name: r, config_source: {{path_config_source: {{path: {}}}}}}}\n        \
         http_filters: [{{name: router, typed_config: {{'@type': {TYPE}.{ROUTER}}}}}]\n",
        socket(address),
        folder.join("rds.yaml").display(),
    )
}

/// `second`: one more cluster than `c`.
fn clusters(folder: &Path, second: bool) -> String {
    let cluster = |name: &str| {
        format!(
            "- '@type': {TYPE}.config.cluster.v3.Cluster\n  name: {name}\n  type: EDS\n  \
             eds_cluster_config: {{service_name: e, eds_config: {{path: {}}}}}\n",
            folder.join("eds.json").display()
        )
    };
    let second = if second { cluster("d") } else { String::new() };
    format!("resources:\n{}{second}", cluster("c"))
}

fn routes(cluster: &str) -> String {
    format!(
        "resources:\n- '@type': {TYPE}.config.route.v3.RouteConfiguration\n  name: r\n  virtual_hosts:\n  - name: v\n    \
         domains: ['*']\n    routes: [{{match: {{prefix: /}}, route: {{cluster: {cluster}}}}}]\n"
    )
}

fn endpoints(to: SocketAddr) -> String {
    format!(
        r#"{{"resources": [{{"@type": "{TYPE}.config.endpoint.v3.ClusterLoadAssignment", "cluster_name": "e",
            "endpoints": [{{"lb_endpoints": [{{"endpoint": {{"address": {{"socket_address":
            {{"address": "{}", "port_value": {}}}}}}}}}]}}]}}]}}"#,
        to.ip(),
        to.port()
    )
}

/// A proxy whose bootstrap names files only.
fn start(folder: &Path, address: SocketAddr) -> Running {
    let text = format!(
        "admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}}}\ndynamic_resources:\n  \
         lds_config: {{path_config_source: {{path: {0}/lds.yaml, watched_directory: {{path: {0}}}}}}}\n  \
         cds_config: {{path: {0}/cds.yaml}}\n",
        folder.display()
    );
    start_bootstrap(xds_codec::json::bootstrap_from_yaml(&text).unwrap().bootstrap, address)
}

#[track_caller]
fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is() {
        assert!(begin.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn answers(address: SocketAddr) -> String {
    match std::net::TcpStream::connect(address) {
        Ok(_) => get(address, "/").text(),
        Err(_) => String::new(),
    }
}

#[test]
fn everything_comes_from_files_and_follows_them() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (a, b, address) = (Backend::start("a"), Backend::start("b"), free_port());
    place(at, "lds.yaml", &listeners(at, address, "one"));
    place(at, "cds.yaml", &clusters(at, true));
    place(at, "rds.yaml", &routes("c"));
    place(at, "eds.json", &endpoints(a.address));
    let proxy = start(at, address);
    eventually("the first answer", || answers(address) == "a\n");
    assert!(proxy.handle.is_ready());
    let mut kept = Client::connect(address);
    assert_eq!(kept.get("/").text(), "a\n");

    place(at, "eds.json", &endpoints(b.address));
    eventually("other endpoints", || answers(address) == "b\n");
    // Written in place, as an editor may do.
    std::fs::write(at.join("eds.json"), endpoints(a.address)).unwrap();
    eventually("endpoints written in place", || answers(address) == "a\n");

    place(at, "lds.yaml", &listeners(at, address, "two"));
    eventually("another listener", || {
        get(address, "/");
        get(proxy.handle.admin().unwrap(), "/stats").text().contains("http.two.downstream_rq_total")
    });
    assert_eq!(kept.get("/").text(), "a\n", "a connection does not end for that");

    // What a file does not have any more is gone.
    let has = |cluster: &str| {
        get(proxy.handle.admin().unwrap(), "/clusters")
            .text()
            .contains(&format!("{cluster}::default_priority"))
    };
    assert!(has("c") && has("d"));
    place(at, "cds.yaml", &clusters(at, false));
    eventually("one cluster less", || !has("d"));
    assert!(has("c"));
    place(at, "lds.yaml", "resources: []\n");
    eventually("no listener", || std::net::TcpStream::connect(address).is_err());
}

#[test]
fn a_bad_file_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (a, address) = (Backend::start("a"), free_port());
    place(at, "cds.yaml", &clusters(at, false));
    place(at, "rds.yaml", &routes("c"));
    place(at, "eds.json", &endpoints(a.address));
    // The listeners' file comes later.
    let proxy = start(at, address);
    std::thread::sleep(Duration::from_millis(50));
    assert!(!proxy.handle.is_ready());
    place(at, "lds.yaml", &listeners(at, address, "one"));
    eventually("the first answer", || answers(address) == "a\n");

    let rejected = |kind: &str| proxy.stat(kind);
    place(at, "lds.yaml", "resources: [{");
    eventually("no YAML", || rejected("listener_manager.lds.update_rejected") == 1);
    place(at, "lds.yaml", &listeners(at, address, "one").replace("stat_prefix", "stat_prefixx"));
    eventually("an unknown field", || rejected("listener_manager.lds.update_rejected") == 2);
    place(at, "lds.yaml", &routes("c"));
    eventually("another type", || rejected("listener_manager.lds.update_rejected") == 3);
    assert_eq!(answers(address), "a\n");
    place(
        at,
        "cds.yaml",
        &clusters(at, true).replace("name: d\n  type: EDS", "name: d\n  type: EDS\n  lb_policy: MAGLEVV"),
    );
    eventually("an unknown value", || rejected("cluster_manager.cds.update_rejected") == 1);
    // One that is refused does not cost the other, and one that is there is not gone for being refused.
    let refused = clusters(at, true)
        .replace("name: c\n", "name: c\n  connection_pool_per_downstream_connection: true\n");
    place(at, "cds.yaml", &refused);
    eventually("a refused cluster", || rejected("cluster_manager.cds.update_rejected") == 2);
    let admin = proxy.handle.admin().unwrap();
    eventually("the other one", || get(admin, "/clusters").text().contains("d::default_priority"));
    std::fs::remove_file(at.join("eds.json")).unwrap();
    std::fs::remove_file(at.join("rds.yaml")).unwrap();
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(answers(address), "a\n");
    place(at, "eds.json", &endpoints(free_port()));
    eventually("back again", || get(address, "/").status == 503);
}
