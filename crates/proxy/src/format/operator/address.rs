//! Addresses of both sides.

use std::net::{IpAddr, SocketAddr};

use super::Operator;
use crate::access_log::Flag;
use crate::format::Entry;
use crate::text::{put_display, put_ip, put_number, put_socket};

#[derive(Clone, Copy, Debug)]
pub(in crate::format) enum Which {
    DownstreamLocal,
    DownstreamRemote,
    DownstreamDirectRemote,
    DownstreamDirectLocal,
    UpstreamLocal,
    UpstreamRemote,
}

#[derive(Clone, Copy, Debug)]
pub(in crate::format) enum Part {
    Whole,
    Ip,
    /// The network of this many bits.
    Network(u8),
    Port,
}

pub(super) fn address(name: &str) -> Option<Operator> {
    let (name, part) = if let Some(name) = name.strip_suffix("_ADDRESS_WITHOUT_PORT") {
        (name, Part::Ip)
    } else if let Some(name) = name.strip_suffix("_ADDRESS") {
        (name, Part::Whole)
    } else {
        (name.strip_suffix("_PORT")?, Part::Port)
    };
    let which = match name {
        "DOWNSTREAM_LOCAL" => Which::DownstreamLocal,
        "DOWNSTREAM_REMOTE" => Which::DownstreamRemote,
        "DOWNSTREAM_DIRECT_REMOTE" => Which::DownstreamDirectRemote,
        "DOWNSTREAM_DIRECT_LOCAL" => Which::DownstreamDirectLocal,
        "UPSTREAM_LOCAL" => Which::UpstreamLocal,
        "UPSTREAM_REMOTE" => Which::UpstreamRemote,
        _ => return None,
    };
    Some(Operator::Address { which, part })
}

pub(super) fn write_address(entry: &Entry<'_>, which: Which, part: Part, out: &mut Vec<u8>) {
    let address: Option<SocketAddr> = match which {
        Which::DownstreamLocal => Some(entry.conn.local),
        Which::DownstreamRemote => Some(entry.record.remote.unwrap_or(entry.conn.remote)),
        Which::DownstreamDirectRemote => Some(entry.conn.direct_remote()),
        Which::DownstreamDirectLocal => Some(entry.conn.direct_local()),
        Which::UpstreamLocal => entry.record.local_to_upstream(),
        // Nobody was reached.
        Which::UpstreamRemote if entry.record.flags.has(Flag::UF) => None,
        Which::UpstreamRemote => match &entry.record.upstream_host {
            Some(ir::Address::Socket(address)) => Some(*address),
            _ => None,
        },
    };
    let Some(address) = address else { return };
    match part {
        Part::Whole => put_socket(out, address),
        Part::Ip => put_ip(out, address.ip()),
        Part::Network(bits) => put_display(out, format_args!("{}/{bits}", network(address.ip(), bits))),
        Part::Port => put_number(out, u64::from(address.port())),
    }
}

/// `%…_ADDRESS_WITHOUT_PORT(8)%`.
pub(super) fn masked(name: &str, arguments: &str) -> Option<Operator> {
    let bits: u8 = arguments.parse().ok().filter(|bits| *bits <= 128)?;
    match address(name)? {
        Operator::Address { which, part: Part::Ip } => {
            Some(Operator::Address { which, part: Part::Network(bits) })
        }
        _ => None,
    }
}

fn network(ip: IpAddr, bits: u8) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits.min(32))).unwrap_or(0);
            IpAddr::V4((u32::from(ip) & mask).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            IpAddr::V6((u128::from(ip) & mask).into())
        }
    }
}

pub(super) fn upstream_host(entry: &Entry<'_>, out: &mut Vec<u8>) {
    match &entry.record.upstream_host {
        Some(ir::Address::Socket(address)) => put_socket(out, *address),
        Some(other) => put_display(out, other),
        None => {}
    }
}
