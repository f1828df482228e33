//! What we encode, judged by a real Envoy: `LATEEN_ENVOY` names its binary. Without it these
//! tests check nothing and say so.

mod clusters;
mod dump;
mod filters;
mod routes;
mod sidecar;

use std::path::{Path, PathBuf};
use std::process::Command;

use ir::bootstrap::Bootstrap;
use xds_codec::json;

/// Envoy's binary, or `None` after a loud word.
fn envoy() -> Option<PathBuf> {
    let path = std::env::var_os("LATEEN_ENVOY").map(PathBuf::from);
    if path.is_none() {
        eprintln!("SKIPPED: LATEEN_ENVOY is unset, nothing was compared with Envoy");
    }
    path
}

fn write(folder: &Path, bootstrap: &Bootstrap) -> PathBuf {
    let path = folder.join("bootstrap.json");
    let text = serde_json::to_string_pretty(&json::bootstrap_to_json(bootstrap)).unwrap();
    std::fs::write(&path, text).unwrap();
    path
}

/// Envoy says that it would start with this.
#[track_caller]
fn check(bootstrap: &Bootstrap) {
    let Some(envoy) = envoy() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), bootstrap);
    let output = Command::new(envoy)
        .args(["--mode", "validate", "--base-id", "0", "--use-dynamic-base-id", "-l", "warn", "-c"])
        .arg(&path)
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(output.status.success(), "{log}\n{text}");
    for warning in log.lines().filter(|line| line.contains("eprecated")) {
        // The deprecated fields that we use on purpose.
        let known = ["max_grpc_timeout", "include_vh_rate_limits"].iter().any(|name| warning.contains(name));
        assert!(known, "{warning}");
    }
    let read = json::bootstrap_from_json(&text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(&read.bootstrap, bootstrap, "what Envoy was given is what we read");
}

#[test]
fn envoy_accepts_a_sidecar() {
    check(&sidecar::bootstrap());
}

#[test]
fn envoy_accepts_every_route() {
    check(&routes::with_routes(routes::all_routes()));
}

#[test]
fn envoy_accepts_every_cluster() {
    check(&Bootstrap { clusters: clusters::all_clusters(), ..sidecar::bootstrap() });
}

#[test]
fn envoy_dumps_what_we_read() {
    dump::listeners_and_clusters_come_back();
}
