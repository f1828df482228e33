//! Every decision a proxy takes: which filter chain, which route, whether a caller may, which
//! endpoint, whether to try again, which fault. Functions over values, with time and dice
//! passed in: the proxy acts on the answers, and whoever explains gives the same ones.
//!
//! The engine has no clock, no socket and no randomness of its own.

pub mod balance;
pub mod chain;
pub mod compressor;
pub mod cors;
pub mod dice;
pub mod fault;
pub mod follow;
pub mod forward_proxy;
pub mod grpc;
pub mod hash;
pub mod health_check;
pub mod jwt;
pub mod matcher;
pub mod metadata;
pub mod names;
pub mod outlier;
pub mod overrides;
pub mod path;
pub mod problem;
pub mod proxy_protocol;
pub mod rate_limit;
pub mod rbac;
pub mod redirect;
pub mod regex;
pub mod request;
pub mod retry;
pub mod retry_priority;
pub mod rewrite;
pub mod route;
pub mod timeouts;
pub mod tls_names;
pub mod upgrade;
pub mod xfcc;

pub use dice::Dice;
pub use problem::Problem;
pub use request::Request;
