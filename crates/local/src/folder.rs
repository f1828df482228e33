//! The files of a pod on the host: what its containers see under `/etc`, its token, its volumes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::render::{PodPlan, Volumes};

const PROXY_USER: u32 = 1337;

/// Makes the pod's folder.
///
/// # Errors
/// A file could not be written.
pub fn create(plan: &PodPlan, volumes: &Volumes, containers: &[String]) -> anyhow::Result<()> {
    remove(&plan.folder)?;
    for folder in ["etc", "tokens", "istio", "proxy", "volumes", "root"] {
        folder_with_mode(&plan.folder.join(folder), 0o755)?;
    }
    chown(plan.folder.join("proxy"), Some(PROXY_USER), Some(PROXY_USER)).context("proxy's folder")?;
    for container in containers {
        folder_with_mode(&plan.folder.join("root").join(container), 0o755)?;
    }
    let etc = plan.folder.join("etc");
    let (namespace, name, address) = (&plan.namespace, &plan.name, plan.address);
    let resolv = format!(
        "search {namespace}.svc.cluster.local svc.cluster.local cluster.local\nnameserver {}\noptions ndots:5\n",
        plan.host
    );
    write(&etc.join("resolv.conf"), resolv.as_bytes())?;
    write(&etc.join("hosts"), format!("127.0.0.1\tlocalhost\n{address}\t{name}\n").as_bytes())?;
    write(&etc.join("hostname"), format!("{name}\n").as_bytes())?;
    fill(plan, volumes)
}

/// Writes the volumes' files, each anew and then in place of the old one, so that a running
/// container sees one or the other. Files that are no longer there are removed.
///
/// # Errors
/// A file could not be written.
pub fn fill(plan: &PodPlan, volumes: &Volumes) -> anyhow::Result<()> {
    for (name, files) in volumes {
        let folder = plan.volume(name);
        match files {
            // Anybody's, as an emptyDir is; the sticky bit as on /tmp.
            None if !folder.exists() => folder_with_mode(&folder, 0o1777)?,
            None => {}
            Some(files) => fill_one(&folder, files)?,
        }
        for container in &plan.template.spec.containers {
            for mount in
                container.volume_mounts.iter().filter(|m| *m.name == **name && !m.sub_path.is_empty())
            {
                let path = folder.join(mount.sub_path.trim_start_matches('/'));
                if files.is_none() && !path.exists() && !mount.sub_path.contains("..") {
                    folder_with_mode(&path, 0o1777)?;
                }
            }
        }
    }
    Ok(())
}

fn fill_one(folder: &Path, files: &BTreeMap<PathBuf, Vec<u8>>) -> anyhow::Result<()> {
    folder_with_mode(folder, 0o755)?;
    for (path, bytes) in files {
        let file = folder.join(path);
        if let Some(parent) = file.parent() {
            folder_with_mode(parent, 0o755)?;
        }
        if fs::read(&file).ok().as_ref() != Some(bytes) {
            write(&file, bytes)?;
        }
    }
    for entry in fs::read_dir(folder)?.flatten() {
        let name = PathBuf::from(entry.file_name());
        if entry.path().is_file() && !files.contains_key(&name) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The token, for the proxy alone, and the roots.
///
/// # Errors
/// A file could not be written.
pub fn put_credentials(plan: &PodPlan, token: &str, roots: &str) -> anyhow::Result<()> {
    let file = plan.folder.join("tokens/istio-token");
    let fresh = plan.folder.join("istio-token.fresh");
    fs::write(&fresh, token).context("token")?;
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o400))?;
    chown(&fresh, Some(PROXY_USER), Some(PROXY_USER))?;
    fs::rename(&fresh, &file)?;
    write(&plan.folder.join("istio/root-cert.pem"), roots.as_bytes())
}

/// Removes a folder and everything in it, if it is there.
///
/// # Errors
/// Something in it could not be removed.
pub fn remove(folder: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Writes a file whole or not at all, readable by all.
///
/// # Errors
/// It could not be written.
pub fn write(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let fresh = file.with_file_name(format!(".{name}.fresh"));
    fs::write(&fresh, bytes).with_context(|| fresh.display().to_string())?;
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o644))?;
    fs::rename(&fresh, file).with_context(|| file.display().to_string())
}

/// Makes a folder with its parents; the umask has no say.
pub fn folder_with_mode(folder: &Path, mode: u32) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    fs::set_permissions(folder, fs::Permissions::from_mode(mode))
        .with_context(|| folder.display().to_string())
}
