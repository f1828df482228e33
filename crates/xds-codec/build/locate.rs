//! Finds the source of the `envoy-types` crate, wherever cargo has it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const OVERRIDE: &str = "LATEEN_ENVOY_TYPES";

/// The folder of the crate: by `LATEEN_ENVOY_TYPES`, as `cargo metadata` says (registry, vendored
/// or patched), or where the registry unpacks the version of `Cargo.lock`.
pub fn envoy_types() -> Result<PathBuf, String> {
    println!("cargo::rerun-if-env-changed={OVERRIDE}");
    if let Some(path) = env::var_os(OVERRIDE) {
        return Ok(path.into());
    }
    by_metadata().or_else(by_lock_file).ok_or_else(|| {
        format!("the source of the crate envoy-types was not found; set {OVERRIDE} to its folder")
    })
}

/// Offline: everything that this package needs is there when its build script runs, while what
/// other packages of the workspace need may not be, and then the next way is tried.
fn by_metadata() -> Option<PathBuf> {
    let output = Command::new(env::var_os("CARGO")?)
        .args(["metadata", "--format-version=1", "--frozen", "--filter-platform"])
        .arg(env::var_os("TARGET")?)
        .current_dir(env::var_os("CARGO_MANIFEST_DIR")?)
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (_, package) = text.split_once(r#"{"name":"envoy-types","version":"#)?;
    let (_, path) = package.split_once(r#""manifest_path":""#)?;
    let (path, _) = path.split_once('"')?;
    Path::new(path).parent().map(Path::to_owned)
}

fn by_lock_file() -> Option<PathBuf> {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?);
    let lock = manifest.ancestors().find_map(|folder| fs::read_to_string(folder.join("Cargo.lock")).ok())?;
    let (_, package) = lock.split_once("name = \"envoy-types\"\nversion = \"")?;
    let (version, _) = package.split_once('"')?;
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")))?;
    let registries = fs::read_dir(home.join("registry/src")).ok()?;
    registries
        .flatten()
        .map(|registry| registry.path().join(format!("envoy-types-{version}")))
        .find(|path| path.is_dir())
}
