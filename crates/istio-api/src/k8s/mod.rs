//! The Kubernetes kinds that a mesh reads.

pub mod config;
pub mod container;
pub mod deployment;
pub mod endpoint_slice;
pub mod pod;
pub mod probe;
pub mod service;
pub mod volume;

pub use config::{ConfigMap, Secret};
pub use container::{Container, ContainerPort, EnvValue, EnvVar, VolumeMount};
pub use deployment::{Deployment, PodTemplate};
pub use endpoint_slice::{EndpointSlice, SliceEndpoint};
pub use pod::{Pod, PodPhase, PodSpec, PodStatus};
pub use probe::{Probe, ProbeAction};
pub use service::{ClusterIps, Service, ServicePort, ServiceType};
pub use volume::{KeyToPath, Volume, VolumeSource};
