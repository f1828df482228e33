//! The direction of dependencies, held by a test: they go down or into the middle, never
//! across. The control plane and the data plane meet only in the pure crates.

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

/// What each crate of ours may depend on. `testkit` and tests see anything.
const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("stdx", &[]),
    ("lifecycle", &["stdx"]),
    ("observe", &["stdx"]),
    ("model", &["stdx"]),
    ("ir", &["stdx", "model"]),
    ("istio-api", &["stdx", "model"]),
    ("registry", &["stdx", "model", "istio-api"]),
    ("analysis", &["stdx", "model", "istio-api", "registry"]),
    ("translate", &["stdx", "model", "istio-api", "registry", "ir"]),
    ("engine", &["stdx", "model", "ir"]),
    ("xds-codec", &["stdx", "model", "ir"]),
    ("source", &["stdx", "model", "istio-api", "registry", "lifecycle", "observe"]),
    ("source-file", &["stdx", "model", "istio-api", "registry", "source", "lifecycle", "observe"]),
    ("xds-server", &["stdx", "model", "ir", "xds-codec", "lifecycle", "observe"]),
    ("ca", &["stdx", "model", "lifecycle", "observe"]),
    (
        "discovery",
        &["stdx", "model", "ir", "registry", "translate", "xds-codec", "xds-server", "source", "lifecycle"],
    ),
    ("net", &["stdx", "model"]),
    ("identity", &["stdx", "model", "ir", "engine", "net"]),
    ("http1", &[]),
    ("http2", &["http1"]),
    ("upstream", &["stdx", "model", "ir", "engine", "net", "identity", "http1", "http2"]),
    ("xds-client", &["stdx", "model", "ir", "xds-codec", "identity", "net", "lifecycle"]),
    ("agent", &["stdx", "model", "ir", "xds-codec", "xds-client", "net", "identity", "lifecycle"]),
    (
        "proxy",
        &[
            "stdx",
            "model",
            "ir",
            "engine",
            "xds-codec",
            "xds-client",
            "net",
            "identity",
            "http1",
            "http2",
            "upstream",
            "lifecycle",
            "observe",
        ],
    ),
    ("redirect", &["stdx", "net"]),
    (
        "local",
        &[
            "stdx",
            "model",
            "redirect",
            "istio-api",
            "registry",
            "source",
            "source-file",
            "net",
            "lifecycle",
            "observe",
        ],
    ),
];

/// Crates that think and never act.
const PURE: &[&str] =
    &["model", "istio-api", "registry", "analysis", "ir", "translate", "engine", "xds-codec", "stdx"];

/// What a pure crate must not know, directly or through others.
const IMPURE: &[&str] = &["tokio", "socket2", "rustix", "hyper", "mio"];

/// Crates that may contain `unsafe`.
const MAY_BE_UNSAFE: &[&str] = &["net", "http1", "redirect"];

fn metadata() -> Metadata {
    MetadataCommand::new().exec().expect("cargo metadata")
}

fn ours(metadata: &Metadata) -> BTreeMap<String, &Package> {
    metadata.workspace_packages().into_iter().map(|p| (p.name.to_string(), p)).collect()
}

/// Normal and build dependencies; tests of a crate may use more.
fn dependencies(package: &Package) -> BTreeSet<String> {
    let normal = package.dependencies.iter().filter(|d| d.kind != DependencyKind::Development);
    normal.map(|d| d.name.clone()).collect()
}

#[test]
fn dependencies_go_down_or_into_the_middle() {
    let metadata = metadata();
    let ours = ours(&metadata);
    let table: BTreeMap<&str, &[&str]> = MAY_DEPEND_ON.iter().copied().collect();
    let mut problems = Vec::new();
    for (name, package) in &ours {
        if ["lateen", "lateen-tests", "lateen-bench", "lateen-fuzz", "testkit"].contains(&name.as_str()) {
            continue;
        }
        let Some(allowed) = table.get(name.as_str()) else {
            problems.push(format!("{name} is not in the table: say what it may depend on"));
            continue;
        };
        for dependency in dependencies(package).iter().filter(|d| ours.contains_key(*d)) {
            if !allowed.contains(&dependency.as_str()) {
                problems.push(format!("{name} must not depend on {dependency}"));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn pure_crates_do_no_input_or_output() {
    let metadata = metadata();
    let ours = ours(&metadata);
    let mut problems = Vec::new();
    for name in PURE.iter().filter(|name| ours.contains_key(**name)) {
        for dependency in dependencies(ours[*name]) {
            if IMPURE.contains(&dependency.as_str()) {
                problems.push(format!("{name} is pure and must not know {dependency}"));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn protobuf_stays_at_its_border() {
    let metadata = metadata();
    let allowed = ["xds-codec", "xds-server", "xds-client", "agent", "ca"];
    let strangers: Vec<String> = ours(&metadata)
        .into_iter()
        .filter(|(name, package)| {
            dependencies(package).contains("envoy-types") && !allowed.contains(&name.as_str())
        })
        .map(|(name, _)| name)
        .collect();
    assert!(strangers.is_empty(), "these name Envoy's messages and should not: {strangers:?}");
}

#[test]
fn tests_helpers_stay_in_tests() {
    let metadata = metadata();
    for (name, package) in ours(&metadata) {
        let allowed = name == "lateen-tests" || name == "testkit";
        assert!(allowed || !dependencies(package).contains("testkit"), "{name} depends on testkit");
    }
}

#[test]
fn unsafe_has_its_places() {
    let metadata = metadata();
    for (name, package) in ours(&metadata) {
        let source = package.manifest_path.parent().expect("a folder").join("src");
        let blocks = count_unsafe(source.as_std_path());
        assert!(blocks == 0 || MAY_BE_UNSAFE.contains(&name.as_str()), "{name} has {blocks} unsafe blocks");
    }
}

fn count_unsafe(folder: &std::path::Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.path() {
            path if path.is_dir() => count_unsafe(&path),
            path if path.extension().is_some_and(|e| e == "rs") => {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                text.lines().filter(|l| !l.trim_start().starts_with("//") && l.contains("unsafe {")).count()
            }
            _ => 0,
        })
        .sum()
}
