//! A running Envoy's `/config_dump`, read back.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use xds_codec::json as codec;

use super::{envoy, routes, write};

/// Ended with its test, also if that panics.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn listeners_and_clusters_come_back() {
    let Some(envoy) = envoy() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut bootstrap = routes::with_routes(routes::all_routes());
    // Without a control plane the start would wait for it.
    bootstrap.ads = None;
    (bootstrap.lds, bootstrap.cds) = (None, None);
    let path = write(folder.path(), &bootstrap);
    let admin_path = folder.path().join("admin");
    let child = Command::new(envoy)
        .args(["--use-dynamic-base-id", "--concurrency", "1", "-l", "error", "--admin-address-path"])
        .arg(&admin_path)
        .arg("-c")
        .arg(&path)
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let _running = Running(child);
    let dump = config_dump(&admin_path);

    let resources = json!({
        "listeners": states(&dump, "static_listeners", "listener"),
        "clusters": states(&dump, "static_clusters", "cluster"),
    });
    let read = codec::bootstrap_from_value(&json!({ "static_resources": resources })).unwrap();
    assert_eq!(read.bootstrap.listeners, bootstrap.listeners);
    let mut expected = bootstrap.clusters;
    expected.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(read.bootstrap.clusters, expected);

    let start = dump.pointer("/configs/0/bootstrap").unwrap().clone();
    let read = codec::bootstrap_from_value(&start).unwrap();
    assert_eq!(read.bootstrap.listeners, bootstrap.listeners);
    assert_eq!(read.bootstrap.node, bootstrap.node);
}

/// Of one part of the dump, the resources without `@type`, sorted by name.
fn states(dump: &Value, list: &str, kind: &str) -> Vec<Value> {
    let configs = dump["configs"].as_array().unwrap();
    let states = configs.iter().find_map(|config| config[list].as_array()).unwrap();
    let mut all: Vec<Value> = states.iter().map(|state| state[kind].clone()).collect();
    all.iter_mut().for_each(|it| {
        it.as_object_mut().unwrap().remove("@type");
    });
    all.sort_by_key(|it| it["name"].as_str().unwrap_or_default().to_owned());
    all
}

fn config_dump(admin_path: &Path) -> Value {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let address = std::fs::read_to_string(admin_path).unwrap_or_default();
        if let Some(dump) = get(address.trim()) {
            // Listeners appear when Envoy has finished its start.
            if dump["configs"]
                .as_array()
                .is_some_and(|all| all.iter().any(|it| it.get("static_listeners").is_some()))
            {
                return dump;
            }
        }
        assert!(Instant::now() < end, "Envoy does not answer at {address:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn get(address: &str) -> Option<Value> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(b"GET /config_dump HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let body = &answer[answer.find('{')?..=answer.rfind('}')?];
    // The body is chunked: lines between chunks are no JSON.
    let plain: String = body.split("\r\n").filter(|line| !is_chunk_size(line)).collect();
    serde_json::from_str(&plain).ok()
}

fn is_chunk_size(line: &str) -> bool {
    !line.is_empty() && line.len() <= 8 && line.bytes().all(|b| b.is_ascii_hexdigit())
}
