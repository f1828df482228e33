//! Addresses and ranges.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ir::{Address, Cidr};
use stdx::Str;

use super::at::At;
use super::strict::refuse;
use super::wire;
use crate::pb::core::{self, address::Address as Kind, socket_address::PortSpecifier};

pub(super) fn address(at: At<'_>, it: Option<core::Address>) -> Address {
    match it.and_then(|it| it.address) {
        Some(Kind::SocketAddress(it)) => {
            let (host, port) = socket(at.field("socket_address"), it);
            match host.parse::<IpAddr>() {
                Ok(ip) => Address::Socket(SocketAddr::new(ip, port)),
                Err(_) => Address::Name { host: host.into(), port },
            }
        }
        Some(Kind::Pipe(core::Pipe { path, mode })) => {
            let at = at.field("pipe");
            refuse!(at; mode);
            Address::Pipe(wire::required(at.field("path"), path))
        }
        Some(Kind::EnvoyInternalAddress(_)) => {
            at.unsupported("envoy_internal_address");
            Address::Pipe(Str::default())
        }
        None => {
            at.refuse("is required");
            Address::Pipe(Str::default())
        }
    }
}

/// A source address without a port.
pub(super) fn source(at: At<'_>, it: core::SocketAddress) -> Option<IpAddr> {
    let (host, port) = socket(at, it);
    if port != 0 {
        at.field("port_value").refuse("only 0, any port, is supported here");
    }
    let ip = host.parse().ok();
    if ip.is_none() {
        at.field("address").refuse(format!("{host:?} is not an IP address"));
    }
    ip
}

/// A name or an address, and a port.
pub(super) fn socket(at: At<'_>, it: core::SocketAddress) -> (String, u16) {
    let core::SocketAddress {
        protocol,
        address,
        resolver_name,
        ipv4_compat,
        network_namespace_filepath,
        port_specifier,
    } = it;
    refuse!(at; resolver_name, ipv4_compat, network_namespace_filepath);
    if protocol != core::socket_address::Protocol::Tcp as i32 {
        at.field("protocol").refuse("only TCP is supported");
    }
    let port = match port_specifier {
        Some(PortSpecifier::PortValue(port)) => wire::port(at.field("port_value"), port),
        Some(PortSpecifier::NamedPort(_)) => {
            at.unsupported("named_port");
            0
        }
        None => {
            at.field("port_value").refuse("is required");
            0
        }
    };
    if address.is_empty() {
        at.field("address").refuse("is required");
    }
    (address, port)
}

pub(super) fn cidr(at: At<'_>, it: core::CidrRange) -> Cidr {
    let core::CidrRange { address_prefix, prefix_len } = it;
    let Ok(address) = address_prefix.parse::<IpAddr>() else {
        at.field("address_prefix").refuse(format!("{address_prefix:?} is not an IP address"));
        return Cidr::host(Ipv4Addr::UNSPECIFIED.into());
    };
    let max = Cidr::host(address).prefix_len;
    // Without a length Envoy takes 0: everything.
    let length = prefix_len.map_or(0, |it| it.value);
    let Some(prefix_len) = u8::try_from(length).ok().filter(|length| *length <= max) else {
        at.field("prefix_len").refuse(format!("{length} is more than {max}"));
        return Cidr::host(address);
    };
    Cidr { address, prefix_len }
}

pub(super) fn cidrs(at: &At<'_>, name: &str, all: Vec<core::CidrRange>) -> Vec<Cidr> {
    all.into_iter().enumerate().map(|(index, it)| cidr(at.index(name, index), it)).collect()
}
