//! Connections to endpoints: pools per worker, sending over HTTP/1 and HTTP/2, state that
//! outlives configuration.
//!
//! A worker owns one [`Upstream`]. It keeps connections by endpoint and transport, never by
//! configuration, so a push closes none of them. [`Registry`] holds what all workers share about
//! clusters and endpoints: requests in flight, connections, as padded atomics.
//!
//! [`Upstream::send`] is the one way to send a request, whatever is spoken on either side.
//! [`Upstream::connect`] gives a raw stream for TCP.

mod dial;
mod endpoint;
mod error;
mod gauge;
mod h1;
mod h2c;
mod head;
pub mod health;
mod keepalive;
mod left;
pub mod probe;
mod raw;
mod recent;
mod response;
mod send;
mod state;
mod sweep;
mod traffic;
mod tunnel;

pub use endpoint::{CheckedState, EndpointState, InFlightAt};
pub use error::{Failure, SendError};
pub use h1::is_idempotent;
pub use head::{RequestHead, ResponseHead};
pub use http1::{Body, BodyError, BodyKind, Empty, Frame, Full, Trailers};
pub use keepalive::keepalive;
pub use left::Left;
pub use response::{Dialing, Facts, Response, ResponseBody};
pub use send::{Destination, Interim, Named, SendOptions, Upstream, Watch};
pub use state::{Breaker, ClusterState, InFlight, Limits, Registry};
pub use traffic::{Begun, HostStats, Traffic};
pub use tunnel::{H2Tunnel, Tunnel};
