//! The server's end of xDS: one delta stream per proxy, as a pure state machine ([`stream`]), and
//! the gRPC service around it. Knows neither the registry nor Istio: what a proxy is to have comes
//! from a [`Generator`] as an immutable [`ResourceSet`].

mod auth;
mod codec;
mod generator;
mod hello;
mod hosts;
mod metrics;
mod peer;
mod references;
mod resources;
mod run;
mod service;
mod status;
pub mod stream;
mod wire;

pub use auth::authorize;
pub use generator::{ClientHello, Generator, Refused, Subscription};
pub use hosts::{EncodedHost, Hosts};
pub use metrics::{Metrics, NoMetrics};
pub use peer::{Connection, PeerIdentity, PeerInfo};
pub use resources::{Body, Encoded, Reference, ResourceSet, Step, TypeSet, Withheld};
pub use service::{AdsService, Options, XdsServer};
pub use status::{ClientStatus, Refusal, Status, TypeStatus};
