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

#[test]
fn a_proxy_may_listen_elsewhere() {
    let config = CaptureConfig {
        outbound_port: 25001,
        inbound_port: 25006,
        status_port: 25020,
        ..CaptureConfig::default()
    };
    let rules = plan(&config).rules;
    let to = |port: u16| rules.iter().filter(|rule| rule.verdict == Verdict::Redirect(port)).count();
    assert!(to(25001) == 1 && to(25006) > 1 && to(15001) == 0 && to(15006) == 0, "{rules:#?}");
    let left_alone = |port: u16| {
        let own = |rule: &&Rule| {
            rule.hook == Hook::Prerouting && rule.matches.contains(&Match::DestinationPort(port))
        };
        rules.iter().find(own).is_some_and(|rule| rule.verdict == Verdict::Return)
    };
    assert!(left_alone(25020) && left_alone(15021) && !left_alone(15020));
}
