//! One binary for all of the agent's tests over sockets: linking is what takes long.

mod agent;
mod certificates;
mod common;
mod dns;
mod sds;
