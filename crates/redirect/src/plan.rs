//! From a capture configuration to an ordered list of rules. Pure.
//!
//! The rules are those of Istio's `istio-iptables` in REDIRECT mode, for both address families.
//! Rules end in `return` where Istio's do, so order is meaning: first match wins.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::{CaptureConfig, Cidr, Owner, Ports, Ranges};

/// Ports that the proxy and its agent serve themselves, besides the agent's own: tunnels, readiness
/// and statistics.
const HBONE: u16 = 15008;
const READINESS: u16 = 15021;
const STATISTICS: u16 = 15090;
const DNS: u16 = 53;

/// The rules of one network namespace, in the order they are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub rules: Vec<Rule>,
}

/// One rule: if all of `matches` hold, `verdict`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub hook: Hook,
    pub matches: Vec<Match>,
    pub verdict: Verdict,
    /// Why the rule exists; stored with it in the kernel.
    pub comment: &'static str,
}

/// Where a rule is asked: for packets that arrive, or that a local process sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    Prerouting,
    Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    Transport(Transport),
    DestinationPort(u16),
    Source(Cidr),
    Destination(Cidr),
    /// Leaves through `lo`.
    OnLoopback,
    Owner(Owner),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Tcp,
    Udp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Leave the packet alone.
    Return,
    /// To this port of the namespace itself.
    Redirect(u16),
}

/// The rules for a configuration.
pub fn plan(config: &CaptureConfig) -> Plan {
    let mut rules = Rules(Vec::new());
    inbound(config, &mut rules);
    outbound(config, &mut rules);
    Plan { rules: rules.0 }
}

struct Rules(Vec<Rule>);

impl Rules {
    fn add(&mut self, hook: Hook, matches: impl Into<Vec<Match>>, verdict: Verdict, comment: &'static str) {
        self.0.push(Rule { hook, matches: matches.into(), verdict, comment });
    }
}

fn inbound(config: &CaptureConfig, rules: &mut Rules) {
    use Match::{DestinationPort, Transport};
    let tcp = Transport(crate::plan::Transport::Tcp);
    let mut add =
        |matches: &[Match], verdict, comment| rules.add(Hook::Prerouting, matches, verdict, comment);
    for port in [HBONE, config.status_port, READINESS, STATISTICS] {
        add(&[tcp, DestinationPort(port)], Verdict::Return, "the proxy's own port");
    }
    for port in &config.exclude_inbound_ports {
        add(&[tcp, DestinationPort(*port)], Verdict::Return, "excluded inbound port");
    }
    let capture = Verdict::Redirect(config.inbound_port);
    match &config.include_inbound_ports {
        Ports::All => add(&[tcp], capture, "inbound"),
        Ports::Only(ports) => {
            for port in ports {
                add(&[tcp, DestinationPort(*port)], capture, "included inbound port");
            }
        }
    }
}

fn outbound(config: &CaptureConfig, rules: &mut Rules) {
    use Match::{Destination, DestinationPort, OnLoopback, Source};
    let tcp = Match::Transport(Transport::Tcp);
    let mut add = |matches: &[Match], verdict, comment| rules.add(Hook::Output, matches, verdict, comment);

    for port in &config.exclude_outbound_ports {
        add(&[tcp, DestinationPort(*port)], Verdict::Return, "excluded outbound port");
    }
    for source in loopback_sources() {
        add(&[OnLoopback, Source(source)], Verdict::Return, "from the proxy (or a probe) to the application");
    }
    // The proxy calls an address of its own pod: the application called its own Service, and the
    // answer to that passes the inbound side like everybody's.
    for owner in &config.own {
        let own = Match::Owner(*owner);
        add(&[own, tcp, DestinationPort(HBONE)], Verdict::Return, "tunnels of the proxy");
        for loopback in loopback_destinations() {
            add(&[own, Destination(loopback)], Verdict::Return, "the proxy to its neighbours");
        }
        if config.dns.is_some() {
            add(&[own, tcp, DestinationPort(DNS)], Verdict::Return, "DNS queries of the agent");
        }
        let captured = Verdict::Redirect(config.inbound_port);
        add(&[own, OnLoopback, tcp], captured, "the application to itself through a Service");
        add(&[own], Verdict::Return, "the proxy's own traffic");
    }
    dns(config, &mut add);
    add(&[OnLoopback], Verdict::Return, "the application to its own pod");
    for loopback in loopback_destinations() {
        add(&[Destination(loopback)], Verdict::Return, "loopback");
    }
    for range in &config.exclude_outbound_ranges {
        add(&[Destination(*range)], Verdict::Return, "excluded outbound range");
    }
    let capture = Verdict::Redirect(config.outbound_port);
    for port in &config.include_outbound_ports {
        add(&[tcp, DestinationPort(*port)], capture, "included outbound port");
    }
    match &config.include_outbound_ranges {
        Ranges::All => add(&[tcp], capture, "outbound"),
        Ranges::Only(ranges) => {
            for range in ranges {
                add(&[tcp, Destination(*range)], capture, "included outbound range");
            }
        }
    }
}

/// Asked before loopback is left alone: a name server may well be on loopback.
fn dns(config: &CaptureConfig, add: &mut impl FnMut(&[Match], Verdict, &'static str)) {
    let Some(dns) = &config.dns else { return };
    let to_agent = Verdict::Redirect(dns.port);
    for transport in [Transport::Udp, Transport::Tcp] {
        let query = [Match::Transport(transport), Match::DestinationPort(DNS)];
        if dns.servers.is_empty() {
            add(&query, to_agent, "DNS query");
        }
        for server in &dns.servers {
            let to_server = [query[0], query[1], Match::Destination(Cidr::host(*server))];
            add(&to_server, to_agent, "DNS query");
        }
    }
}

/// 127.0.0.6 and ::6, from where the proxy calls the application.
fn loopback_sources() -> [Cidr; 2] {
    [
        Cidr::host(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 6))),
        Cidr::host(IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 6))),
    ]
}

fn loopback_destinations() -> [Cidr; 2] {
    [
        Cidr { address: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), prefix: 8 },
        Cidr::host(IpAddr::V6(Ipv6Addr::LOCALHOST)),
    ]
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
