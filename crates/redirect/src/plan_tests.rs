//! The rules of a sidecar, as text.

use super::*;
use crate::config::DnsCapture;

#[test]
fn a_sidecar_as_istio_redirects_it() {
    let dns = Some(DnsCapture { port: 15053, servers: vec![IpAddr::from([10, 42, 0, 1])] });
    let config =
        CaptureConfig { dns, own: vec![Owner::Uid(1337), Owner::Gid(1337)], ..CaptureConfig::default() };
    insta::assert_snapshot!(plan(&config));
}

#[test]
fn annotations_narrow_and_widen() {
    let config = CaptureConfig {
        own: vec![Owner::Mark(0x539)],
        include_inbound_ports: Ports::Only(vec![80]),
        exclude_inbound_ports: vec![22],
        include_outbound_ranges: Ranges::Only(vec!["10.0.0.0/8".parse().unwrap()]),
        exclude_outbound_ranges: vec!["10.1.0.0/16".parse().unwrap(), "fd00::/8".parse().unwrap()],
        include_outbound_ports: vec![3306],
        exclude_outbound_ports: vec![25],
        ..CaptureConfig::default()
    };
    insta::assert_snapshot!(plan(&config));
}
