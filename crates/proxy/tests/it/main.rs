//! The proxy as a process sees it: real sockets, its own configuration, real upstreams. One binary, for
//! each links the whole data plane.

mod access_log;
mod admin;
mod connect;
mod filters;
mod http1;
mod http2;
mod mesh;
mod network_filters;
mod overload;
mod push;
mod retry;
mod sources;
mod support;
mod tcp;
mod upstreams;
