//! What a test needs from outside. What is missing is a skip that is counted aloud, or with
//! `LATEEN_NO_SKIP=1` a failure.

use std::io::Write as _;
use std::path::PathBuf;

/// The `lateen` that is tested: `LATEEN_BIN`, else the one built beside the tests.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("LATEEN_BIN") {
        return path.into();
    }
    let mut path = std::env::current_exe().expect("the test's own path");
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    path.push("lateen");
    assert!(path.exists(), "{} is not there: cargo build --bin lateen, or set LATEEN_BIN", path.display());
    path
}

/// Stock Envoy, from `LATEEN_ENVOY`. `None` after a skip was counted.
pub fn envoy(test: &str) -> Option<PathBuf> {
    let path = std::env::var_os("LATEEN_ENVOY").map(PathBuf::from).filter(|path| path.exists());
    if path.is_none() {
        skip(test, "LATEEN_ENVOY names no Envoy; scripts/test.sh installs one");
    }
    path
}

/// The conformance data, from `LATEEN_CONFORMANCE`. `None` after a skip was counted.
pub fn conformance(test: &str) -> Option<PathBuf> {
    let path = std::env::var_os("LATEEN_CONFORMANCE").map(PathBuf::from);
    match path {
        Some(path) if path.is_dir() => Some(path),
        Some(path) => panic!("LATEEN_CONFORMANCE is set, but {} is no folder", path.display()),
        None => {
            skip(test, "LATEEN_CONFORMANCE is not set");
            None
        }
    }
}

/// Whether this process may make network namespaces; a skip is counted if not.
pub fn root(test: &str) -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        skip(test, "needs root, for network namespaces");
    }
    is_root
}

/// Counts a skip: aloud, and in the file `LATEEN_SKIPS` for the summary of the test command.
///
/// # Panics
/// With `LATEEN_NO_SKIP`: there a skip is a failure.
pub fn skip(test: &str, why: &str) {
    assert!(std::env::var_os("LATEEN_NO_SKIP").is_none(), "{test} cannot run: {why}");
    eprintln!("SKIPPED {test}: {why}");
    if let Some(path) = std::env::var_os("LATEEN_SKIPS") {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        if let Ok(mut file) = file {
            let _ = writeln!(file, "{test}: {why}");
        }
    }
}
