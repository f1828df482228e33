//! Where discovered resources come from.

use stdx::Str;

use crate::Resource;
use crate::bootstrap::AdsConfig;

/// `envoy.config.core.v3.ConfigSource`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConfigSource {
    /// The aggregated stream.
    #[default]
    Ads,
    /// A file.
    Path(Box<PathSource>),
    /// A stream of this type alone.
    Api(Box<AdsConfig>),
}

/// `PathConfigSource`: a file that holds a `DiscoveryResponse`, and is read again when it changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathSource {
    pub path: Str,
    /// In place of the folder that the file is in.
    pub watched_directory: Option<Str>,
}

impl ConfigSource {
    /// What a resource is kept under: two sources may each have one of the same name. Over ADS it is the
    /// name itself.
    pub fn key(&self, name: &Str) -> Str {
        match self {
            ConfigSource::Ads => name.clone(),
            ConfigSource::Path(it) => format!("{name}@{}", it.path).into(),
            ConfigSource::Api(it) => format!("{name}@{}", it.cluster).into(),
        }
    }

    /// What this resource is kept under. Clusters and listeners have one source at most.
    pub fn key_of(&self, resource: &Resource) -> Str {
        match resource {
            Resource::Cluster(_) | Resource::Listener(_) | Resource::NameTable(_) => resource.name(),
            Resource::Endpoints(_) | Resource::Route(_) | Resource::Secret(_) => self.key(&resource.name()),
        }
    }
}
