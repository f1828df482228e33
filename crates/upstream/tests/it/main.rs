//! Endpoints over real sockets: HTTP/1, HTTP/2 and TLS towards them.

mod common;
mod http1;
mod http2;
mod tls;
