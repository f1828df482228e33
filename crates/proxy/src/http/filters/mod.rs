//! HTTP filters: each decides one thing about a request.

pub mod alpn;
pub mod fault;
pub mod peer_metadata;
pub mod rbac;
