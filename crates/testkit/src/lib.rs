//! Helpers of the end-to-end suites: what they need from the environment, a running mesh,
//! load with an exact account of failures, sockets inside a pod's network namespace.

pub mod anyone;
pub mod client;
pub mod environment;
pub mod load;
pub mod mesh;
pub mod namespace;
pub mod ports;
pub mod system;
pub mod wait;

pub use environment::{binary, conformance, envoy, root, skip};
pub use load::{Load, Report};
pub use mesh::{Mesh, MeshOptions, Pod};
pub use namespace::{in_namespace, in_network_of};
pub use ports::free_port;
pub use wait::eventually;
