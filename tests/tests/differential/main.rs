//! Lateen's proxy beside a real Envoy: the same bootstrap, the same requests, the same answers; or the
//! difference stands in `docs/differences.md` with its reason.
//!
//! A topic is a file in `topics/`: a bootstrap's parts and cases, one a line. A case is compared as a
//! whole: answers with their headers and bodies (the upstream's tells what it received), what became of
//! the connection, and the access log's line. Statistics are cases as well: a name, and the same number.

mod backend;
mod case;
mod client;
mod http2;
mod names;
mod network;
mod servers;
mod sources;
mod tls;
mod tokens;
mod topic;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use topic::Topic;

/// At least so many cases, and at most this share of them may differ.
const CASES: usize = 300;
const DIFFERENT_PERCENT: usize = 5;

#[test]
fn lateen_and_envoy_agree_or_there_is_a_reason() {
    let Some(envoy) = testkit::envoy("differential::lateen_and_envoy_agree_or_there_is_a_reason") else {
        return;
    };
    let lateen = testkit::binary();
    let only = std::env::var("LATEEN_TOPIC").ok();
    let mut topics = Topic::all();
    topics.retain(|topic| only.as_ref().is_none_or(|name| topic.name == *name));
    let count: usize = topics.iter().map(Topic::len).sum();
    let queue = Mutex::new(topics.into_iter());
    let found: Mutex<BTreeMap<String, String>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Some(topic) = { queue.lock().expect("no panic").next() } {
                    let different = topic.compare(&lateen, &envoy);
                    found.lock().expect("no panic").extend(different);
                }
            });
        }
    });
    let found = found.into_inner().expect("no panic");
    let listed = listed(only.as_deref());
    let mut wrong = Vec::new();
    for (name, how) in &found {
        if !listed.contains_key(name) {
            wrong.push(format!("== {name} differs:\n{how}"));
        }
    }
    for name in listed.keys().filter(|name| !found.contains_key(*name)) {
        wrong.push(format!("== {name} does not differ any more: take it off docs/differences.md"));
    }
    eprintln!("differential: {count} cases, {} differ", found.len());
    assert!(wrong.is_empty(), "{} of {count} cases:\n{}", wrong.len(), wrong.join("\n"));
    if only.is_none() {
        assert!(count >= CASES, "{count} cases");
        assert!(found.len() * 100 <= count * DIFFERENT_PERCENT, "{} of {count} cases differ", found.len());
    }
}

/// The differences that have a reason: `topic/case` → reason, from the first table of the page.
fn listed(only: Option<&str>) -> BTreeMap<String, String> {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/differences.md");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut listed = BTreeMap::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, what, reason] = cells.as_slice() else { continue };
        let Some(name) = name.strip_prefix('`').and_then(|name| name.strip_suffix('`')) else { continue };
        assert!(!what.is_empty() && !reason.is_empty(), "{name} needs what differs, and a reason");
        let wanted = only.is_none_or(|topic| name.starts_with(&format!("{topic}/")));
        if wanted {
            listed.insert(name.to_owned(), (*reason).to_owned());
        }
    }
    listed
}
