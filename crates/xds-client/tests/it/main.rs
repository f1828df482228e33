//! The client over sockets, against small servers.

mod secrets;
mod sotw;
