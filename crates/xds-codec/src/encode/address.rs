//! Addresses and ranges.

use std::net::IpAddr;

use ir::{Address, Cidr};

use super::wire;
use crate::pb::core::{self, address::Address as Kind};

pub(super) fn address(it: &Address) -> core::Address {
    let kind = match it {
        Address::Socket(address) => Kind::SocketAddress(socket(address.ip().to_string(), address.port())),
        Address::Name { host, port } => Kind::SocketAddress(socket(host.to_string(), *port)),
        Address::Pipe(path) => Kind::Pipe(core::Pipe { path: path.to_string(), mode: 0 }),
    };
    core::Address { address: Some(kind) }
}

pub(crate) fn socket_address(it: std::net::SocketAddr) -> core::Address {
    address(&Address::Socket(it))
}

/// A source address: any port.
pub(super) fn source(ip: IpAddr) -> core::SocketAddress {
    socket(ip.to_string(), 0)
}

fn socket(address: String, port: u16) -> core::SocketAddress {
    core::SocketAddress {
        address,
        port_specifier: Some(core::socket_address::PortSpecifier::PortValue(port.into())),
        ..Default::default()
    }
}

pub(super) fn cidr(it: &Cidr) -> core::CidrRange {
    core::CidrRange {
        address_prefix: it.address.to_string(),
        prefix_len: Some(wire::number(it.prefix_len.into())),
    }
}
