//! Texts, numbers and other small values.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ir::{Cidr, Origin, Str};
use model::{Locality, ObjectRef};
use proptest::prelude::*;

pub fn name() -> impl Strategy<Value = Str> {
    "[a-z][a-z0-9._-]{0,12}".prop_map(Str::from)
}

pub fn maybe_empty() -> impl Strategy<Value = Str> {
    "[a-z0-9._-]{0,8}".prop_map(Str::from)
}

/// Not empty, with anything that a text may have.
pub fn any_text() -> impl Strategy<Value = Str> {
    "[ -~äß😀\t%\"\\\\]{1,12}".prop_map(Str::from)
}

pub fn header() -> impl Strategy<Value = Str> {
    "x-[a-z0-9-]{1,8}".prop_map(Str::from)
}

pub fn path() -> impl Strategy<Value = Str> {
    "/[a-z][a-z0-9/]{0,8}[a-z]".prop_map(Str::from)
}

pub fn regex() -> impl Strategy<Value = Str> {
    "[a-z.*+]{1,6}".prop_map(Str::from)
}

pub fn port() -> impl Strategy<Value = u16> {
    1..=u16::MAX
}

pub fn ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|it| IpAddr::V4(it.into())),
        any::<u128>().prop_map(|it| IpAddr::V6(it.into()))
    ]
}

pub fn socket() -> impl Strategy<Value = SocketAddr> {
    (ip(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

pub fn cidr() -> impl Strategy<Value = Cidr> {
    (ip(), 0u8..=128).prop_map(|(address, length)| {
        let prefix_len = length.min(Cidr::host(address).prefix_len);
        Cidr { address, prefix_len }
    })
}

pub fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        (0u64..100_000).prop_map(Duration::from_millis),
        (0u64..1_000_000_000_000).prop_map(Duration::from_nanos),
    ]
}

pub fn locality() -> impl Strategy<Value = Locality> {
    (maybe_empty(), maybe_empty(), maybe_empty()).prop_map(|(region, zone, sub_zone)| Locality {
        region,
        zone,
        sub_zone,
    })
}

pub fn origin() -> impl Strategy<Value = Option<Origin>> {
    let kind = prop_oneof![Just("VirtualService"), Just("Service"), Just("PeerAuthentication")];
    let origin = (kind, maybe_empty(), name(), maybe_empty()).prop_map(|(kind, namespace, name, field)| {
        Origin { object: ObjectRef { kind: kind.into(), namespace, name }, field }
    });
    proptest::option::of(origin)
}
