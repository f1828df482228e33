//! Configuration from files, read again when they change: `path_config_source`, and the certificates,
//! keys and roots that a discovered secret names.
//!
//! Envoy reads again only what is moved into place. Here what is written in place counts as well, once its
//! writer has closed it. What cannot be read leaves in effect what was there, and is reported.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ir::{ConfigSource, PathSource, ResourceType, Secret};
use stdx::{Digest, Str, digest};
use xds_client::{Added, Reject, Update};
use xds_codec::json::{ReadResponse, response_from_bytes, response_from_json, response_from_yaml};

use super::watch::{Stamp, Watch};
use crate::config::source::{Names, files_of, is_wanted};
use crate::manager::Shared;

/// A file is not read beyond this many bytes: something other than configuration got here.
const MAX_BYTES: u64 = 64 << 20;

/// All files that are in use.
pub struct Files {
    manager: Shared,
    readers: BTreeMap<(PathSource, ResourceType), Reader>,
    /// By what the secret is kept under: it, and its files as they were read last.
    secrets: BTreeMap<Str, (Arc<Secret>, Vec<Option<Stamp>>)>,
    watch: Watch,
}

/// A file of resources.
struct Reader {
    names: Names,
    stamp: Option<Stamp>,
    /// Of the content, so that what is only touched need not be parsed.
    digest: Option<Digest>,
    /// It was reported to be missing.
    missed: bool,
}

impl Files {
    pub fn new(manager: Shared) -> Self {
        Files { manager, readers: BTreeMap::new(), secrets: BTreeMap::new(), watch: Watch::new() }
    }

    /// Takes these resources of a file from now on.
    pub async fn want(&mut self, source: PathSource, ty: ResourceType, names: Names) {
        let key = (source, ty);
        if matches!(&names, Names::These(names) if names.is_empty()) {
            self.readers.remove(&key);
        } else {
            let reader = Reader { names, stamp: None, digest: None, missed: false };
            self.readers.insert(key.clone(), reader);
        }
        self.follow();
        self.read(&key).await;
    }

    /// Reads a secret again whenever its files change.
    pub fn watch_files_of(&mut self, secret: Arc<Secret>) {
        // They may have changed since they were read.
        self.secrets.insert(secret.name.clone(), (secret, Vec::new()));
        self.follow();
    }

    /// What such a secret named may change without bringing it back.
    pub fn forget_files_of(&mut self, secret: &Str) {
        if self.secrets.remove(secret).is_some() {
            self.follow();
        }
    }

    /// Waits until some file may have changed. Cancelling loses nothing.
    pub async fn changed(&mut self) {
        if self.readers.is_empty() && self.secrets.is_empty() {
            std::future::pending::<()>().await;
        }
        self.watch.changed().await;
    }

    /// Reads whatever has changed.
    pub async fn look(&mut self) {
        let keys: Vec<_> = self.readers.keys().cloned().collect();
        for key in keys {
            self.read(&key).await;
        }
        for (secret, before) in self.secrets.values_mut() {
            let now = stamps(secret);
            let written = files_of(secret).iter().any(|file| self.watch.is_being_written(Path::new(&**file)));
            if now == *before || written {
                continue;
            }
            *before = now;
            match self.manager.read_again(secret) {
                Ok(()) => tracing::info!(secret = %secret.name, "files have changed, and are in use"),
                // A certificate and its key may change one after the other.
                Err(error) => tracing::warn!("{error}: what was read before stays in use"),
            }
        }
        // What paths lead to may have changed.
        self.follow();
    }

    fn follow(&mut self) {
        let of_secrets = self.secrets.values().flat_map(|(secret, _)| files_of(secret));
        let paths = self.readers.keys().map(|(source, _)| source.path.clone());
        let files = paths.chain(of_secrets).map(|path| PathBuf::from(path.as_str()));
        let folders = self.readers.keys().filter_map(|(source, _)| source.watched_directory.as_ref());
        self.watch.follow(files, folders.map(|path| PathBuf::from(path.as_str())));
    }

    async fn read(&mut self, key: &(PathSource, ResourceType)) {
        let Some(reader) = self.readers.get_mut(key) else { return };
        let path = PathBuf::from(key.0.path.as_str());
        if self.watch.is_being_written(&path) {
            return;
        }
        let stamp = Stamp::of(&path);
        if stamp.is_none() {
            if !std::mem::replace(&mut reader.missed, true) {
                tracing::error!("{}: does not exist; {} wait for it", key.0.path, key.1);
            }
            return;
        }
        if stamp == reader.stamp {
            return;
        }
        (reader.stamp, reader.missed) = (stamp, false);
        let before = reader.digest;
        // It may be large, and the disk slow.
        let read = tokio::task::spawn_blocking(move || read_file(&path, before)).await;
        match read {
            Ok(Ok(None)) => {}
            Ok(Ok(Some((digest, response)))) => {
                reader.digest = Some(digest);
                let names = reader.names.clone();
                self.apply(key, &names, response);
            }
            Ok(Err((digest, why))) => {
                // It may be read twice, where it was changed just before: it is refused once.
                reader.digest = digest;
                tracing::error!("{}: {why}: what was read before stays in effect", key.0.path);
                self.manager.note_unreadable(key.1);
            }
            Err(error) => tracing::error!("{}: {error}", key.0.path),
        }
    }

    /// Hands over what is wanted. Of clusters and listeners a file has all there are.
    fn apply(&self, (path, ty): &(PathSource, ResourceType), names: &Names, response: ReadResponse) {
        let mut update = Update { ty: *ty, added: Vec::new(), removed: Vec::new(), problems: Vec::new() };
        let (mut named, mut nameless) = (BTreeSet::new(), false);
        for resource in response.resources {
            match resource {
                Ok(resource) if resource.ty() != *ty => {
                    nameless = true;
                    let message = format!("is of type {} in a file of {ty}", resource.ty());
                    update.problems.push(Reject { name: resource.name(), message });
                }
                Ok(resource) => {
                    if !named.insert(resource.name()) {
                        let message = "is in the file twice".to_owned();
                        update.problems.push(Reject { name: resource.name(), message });
                    } else if is_wanted(names, &resource) {
                        update.added.push(Added::new(resource, response.version.clone()));
                    }
                }
                Err(error) => {
                    nameless |= error.name.is_none();
                    let name = error.name.clone().unwrap_or_default();
                    named.insert(name.clone());
                    update.problems.push(Reject { name, message: problems(&error) });
                }
            }
        }
        match names {
            // One without a name may be any of those that seem to be missing; another type's file is none of
            // ours.
            Names::All if nameless => {}
            Names::All => update.removed = self.manager.discovered(*ty).difference(&named).cloned().collect(),
            Names::These(wanted) => {
                for name in wanted.difference(&named) {
                    tracing::error!("{}: has no {ty} resource {name:?}", path.path);
                }
            }
        }
        let mut refused = update.problems.clone();
        let source = ConfigSource::Path(Box::new(path.clone()));
        refused.extend(self.manager.update(&source, update));
        for Reject { name, message } in refused {
            tracing::error!("{}: {name}: {message}: what was read before stays in effect", path.path);
        }
    }
}

fn stamps(secret: &Secret) -> Vec<Option<Stamp>> {
    files_of(secret).iter().map(|path| Stamp::of(Path::new(path.as_str()))).collect()
}

fn problems(error: &xds_codec::DecodeError) -> String {
    error.problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// `None`: it says what it said before. What cannot be understood has a digest as well.
fn read_file(
    path: &Path,
    before: Option<Digest>,
) -> Result<Option<(Digest, ReadResponse)>, (Option<Digest>, String)> {
    let unread = |error: std::io::Error| (None, error.to_string());
    let size = std::fs::metadata(path).map_err(unread)?.len();
    if size > MAX_BYTES {
        return Err((None, format!("is larger than {} MiB", MAX_BYTES >> 20)));
    }
    let bytes = std::fs::read(path).map_err(unread)?;
    let digest = digest(&bytes);
    if before == Some(digest) {
        return Ok(None);
    }
    match understand(path, &bytes) {
        Ok(response) => Ok(Some((digest, response))),
        Err(why) => Err((Some(digest), why)),
    }
}

fn understand(path: &Path, bytes: &[u8]) -> Result<ReadResponse, String> {
    let text = || {
        let utf8 = std::str::from_utf8(bytes);
        utf8.map_err(|error| format!("is not UTF-8 after byte {}", error.valid_up_to()))
    };
    let extension = path.extension().and_then(|it| it.to_str()).unwrap_or_default().to_ascii_lowercase();
    let response = match extension.as_str() {
        "pb" => response_from_bytes(bytes),
        "pb_text" => return Err("protobuf's text format is not supported".to_owned()),
        "yaml" | "yml" => response_from_yaml(text()?),
        // As in Envoy.
        _ => response_from_json(text()?),
    };
    response.map_err(|error| error.to_string())
}
