//! Clusters: who is picked, who is left out, how much is let through.

mod balancing;
mod breakers;
mod checks;
mod forward_proxy;
mod names;
mod outlier;
mod proxy_protocol;
mod races;
mod rolling;
mod server_names;
mod storms;
mod subsets;
mod tcp;

use std::net::SocketAddr;

use crate::support::client::{Client, Reply};

/// A request on a connection of its own, with more fields.
fn get_with(to: SocketAddr, path: &str, fields: &str) -> Reply {
    let mut client = Client::connect(to);
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n"));
    client.read().unwrap()
}

/// Who has answered.
fn backend_of(reply: &Reply) -> String {
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.header("x-backend").unwrap_or_default().to_owned()
}
