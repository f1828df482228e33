//! The server over sockets: our client, and a stock Envoy.

mod common;
mod envoy;
mod loopback;
