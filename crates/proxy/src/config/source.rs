//! What is asked of sources other than the aggregated stream: files, and streams of one type.
//! [`crate::sources`] brings it.

use std::collections::BTreeSet;
use std::sync::Arc;

use ir::tls::{DataSource, SecretContent};
use ir::{ConfigSource, Resource, ResourceType, Secret};
use stdx::Str;

use super::Config;

/// What is wanted from now on, in place of what was before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    Resources {
        source: ConfigSource,
        ty: ResourceType,
        names: Names,
    },
    /// This secret, which names files, is to be read again when they change.
    Files(Arc<Secret>),
    /// What is kept under this name has no files, or none any more.
    NoFiles(Str),
}

/// Which resources of a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    All,
    /// None: the source is not wanted any more.
    These(BTreeSet<Str>),
}

impl Config {
    /// What is wanted in another way than before.
    pub fn take_wants(&mut self) -> Vec<Want> {
        self.wants.extend(self.subscriptions.take_wants());
        std::mem::take(&mut self.wants)
    }

    /// Asks for clusters and listeners as a whole, where they do not come over the aggregated stream.
    pub(super) fn want_what_is_there(&mut self) {
        let bootstrap = &self.bootstrap;
        for (source, ty) in
            [(&bootstrap.cds, ResourceType::Cluster), (&bootstrap.lds, ResourceType::Listener)]
        {
            if let Some(source) = source.as_ref().filter(|source| **source != ConfigSource::Ads) {
                self.wants.push(Want::Resources { source: source.clone(), ty, names: Names::All });
            }
        }
    }

    /// Has the files that a secret names watched.
    pub(super) fn want_files_of(&mut self, secret: Arc<Secret>) {
        let has_files = !files_of(&secret).is_empty();
        self.wants.push(if has_files { Want::Files(secret) } else { Want::NoFiles(secret.name.clone()) });
    }

    /// Reads a secret's files again.
    ///
    /// # Errors
    /// They cannot be used; what was read before stays.
    pub fn read_again(&self, secret: &Secret) -> Result<(), String> {
        self.context.secrets.apply(secret).map_err(|error| error.to_string())
    }

    /// Counts what could not even be read.
    pub fn note_unreadable(&mut self, ty: ResourceType) {
        match ty {
            ResourceType::Cluster => self.clusters.rejected += 1,
            ResourceType::Endpoints => self.endpoints.rejected += 1,
            ResourceType::Listener => self.listeners.rejected += 1,
            ResourceType::Route => self.routes.rejected += 1,
            ResourceType::Secret | ResourceType::NameTable => {}
        }
    }

    /// Names of clusters or listeners that discovery brought and has not taken away.
    pub fn discovered(&self, ty: ResourceType) -> BTreeSet<Str> {
        match ty {
            ResourceType::Cluster => self.clusters.discovered(),
            ResourceType::Listener => self.listeners.discovered(),
            _ => BTreeSet::new(),
        }
    }
}

/// The files that a secret names.
pub fn files_of(secret: &Secret) -> Vec<Str> {
    let sources = match &secret.content {
        SecretContent::Certificate(it) => [Some(&it.chain), Some(&it.key)],
        SecretContent::Roots(it) => [Some(&it.roots), it.crl.as_ref()],
    };
    let file = |source: &DataSource| match source {
        DataSource::File(path) => Some(path.clone()),
        DataSource::Inline(_) => None,
    };
    sources.into_iter().flatten().filter_map(file).collect()
}

/// Whether a resource is among those that are wanted.
pub fn is_wanted(names: &Names, resource: &Resource) -> bool {
    match names {
        Names::All => true,
        Names::These(names) => names.contains(&resource.name()),
    }
}
