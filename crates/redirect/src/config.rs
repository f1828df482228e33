//! What to capture: Istio's defaults and the annotations that change them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Prefix of the annotations that users change the capture with.
const PREFIX: &str = "traffic.sidecar.istio.io/";

/// What is captured and what is left alone. `Default` is what Istio does with a sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureConfig {
    /// Where inbound and outbound connections are sent: 15006 and 15001.
    pub inbound_port: u16,
    pub outbound_port: u16,
    /// Where the agent answers: 15020. It is never captured.
    pub status_port: u16,
    /// How the proxy's own traffic is known; none of it is captured as the application's.
    pub own: Vec<Owner>,
    pub dns: Option<DnsCapture>,
    pub include_inbound_ports: Ports,
    pub exclude_inbound_ports: Vec<u16>,
    pub include_outbound_ranges: Ranges,
    pub exclude_outbound_ranges: Vec<Cidr>,
    /// Captured whatever their address is.
    pub include_outbound_ports: Vec<u16>,
    pub exclude_outbound_ports: Vec<u16>,
}

/// DNS queries sent to the agent instead of to the servers they were meant for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsCapture {
    pub port: u16,
    /// Only queries to these servers; all queries if empty.
    pub servers: Vec<IpAddr>,
}

/// A mark by which the proxy's own sockets are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    Uid(u32),
    Gid(u32),
    /// `SO_MARK`.
    Mark(u32),
}

/// All ports, or some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ports {
    All,
    Only(Vec<u16>),
}

/// All addresses, or some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ranges {
    All,
    Only(Vec<Cidr>),
}

/// An address range. Host bits of the address are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    pub address: IpAddr,
    pub prefix: u8,
}

/// An annotation that cannot be read. The pod must not run as if it were absent: the capture
/// would differ from what its owner asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("annotation {key}: {message}")]
pub struct BadAnnotation {
    pub key: String,
    pub message: String,
}

impl Default for CaptureConfig {
    fn default() -> Self {
        CaptureConfig {
            inbound_port: 15006,
            outbound_port: 15001,
            status_port: 15020,
            own: vec![Owner::Uid(1337), Owner::Gid(1337), Owner::Mark(0x539)],
            dns: None,
            include_inbound_ports: Ports::All,
            exclude_inbound_ports: Vec::new(),
            include_outbound_ranges: Ranges::All,
            exclude_outbound_ranges: Vec::new(),
            include_outbound_ports: Vec::new(),
            exclude_outbound_ports: Vec::new(),
        }
    }
}

impl CaptureConfig {
    /// The default, changed by a pod's annotations (`traffic.sidecar.istio.io/…`); `annotation`
    /// looks one up by its full key.
    ///
    /// # Errors
    /// Every annotation that cannot be read or has no effect here.
    pub fn from_annotations<'a>(
        annotation: impl Fn(&str) -> Option<&'a str>,
    ) -> Result<CaptureConfig, Vec<BadAnnotation>> {
        let mut config = CaptureConfig::default();
        let mut bad = Vec::new();
        let mut read = |name: &str, set: &mut dyn FnMut(&str) -> Result<(), String>| {
            let key = format!("{PREFIX}{name}");
            if let Some(Err(message)) = annotation(&key).map(|text| set(text.trim())) {
                bad.push(BadAnnotation { key, message });
            }
        };
        read("includeInboundPorts", &mut |text| {
            config.include_inbound_ports = if text == "*" { Ports::All } else { Ports::Only(list(text)?) };
            Ok(())
        });
        read("includeOutboundIPRanges", &mut |text| {
            config.include_outbound_ranges =
                if text == "*" { Ranges::All } else { Ranges::Only(list(text)?) };
            Ok(())
        });
        read("excludeInboundPorts", &mut |text| assign(&mut config.exclude_inbound_ports, text));
        read("excludeOutboundIPRanges", &mut |text| assign(&mut config.exclude_outbound_ranges, text));
        read("includeOutboundPorts", &mut |text| assign(&mut config.include_outbound_ports, text));
        read("excludeOutboundPorts", &mut |text| assign(&mut config.exclude_outbound_ports, text));
        for name in ["excludeInterfaces", "kubevirtInterfaces"] {
            read(name, &mut |text| match text {
                "" => Ok(()),
                _ => Err("interfaces are not supported".to_owned()),
            });
        }
        if bad.is_empty() { Ok(config) } else { Err(bad) }
    }
}

fn assign<T: FromStr<Err: fmt::Display>>(target: &mut Vec<T>, text: &str) -> Result<(), String> {
    *target = list(text)?;
    Ok(())
}

/// Reads a comma-separated list; empty text is an empty list.
fn list<T: FromStr<Err: fmt::Display>>(text: &str) -> Result<Vec<T>, String> {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    items.map(|item| item.parse().map_err(|error| format!("{item:?}: {error}"))).collect()
}

impl Cidr {
    /// Zeroes the host bits. `None` if `prefix` is longer than the address.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Cidr> {
        let address = match address {
            IpAddr::V4(v4) if prefix <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                IpAddr::from((u32::from(v4) & mask).to_be_bytes())
            }
            IpAddr::V6(v6) if prefix <= 128 => {
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                IpAddr::from((u128::from(v6) & mask).to_be_bytes())
            }
            _ => return None,
        };
        Some(Cidr { address, prefix })
    }

    /// A range of one address.
    pub fn host(address: IpAddr) -> Cidr {
        Cidr { address, prefix: if address.is_ipv4() { 32 } else { 128 } }
    }

    /// Whether `address` is in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv4() == self.address.is_ipv4()
            && Cidr::new(address, self.prefix).is_some_and(|range| range.address == self.address)
    }

    /// Whether some address is in both ranges.
    pub fn overlaps(&self, other: &Cidr) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Cidr, String> {
        let bad = || "not an address range such as 10.0.0.0/8".to_owned();
        let (address, prefix) = text.split_once('/').ok_or_else(bad)?;
        let address = address.parse().map_err(|_| bad())?;
        Cidr::new(address, prefix.parse().map_err(|_| bad())?).ok_or_else(bad)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &'static str)]) -> Result<CaptureConfig, Vec<BadAnnotation>> {
        CaptureConfig::from_annotations(|key| {
            pairs.iter().find(|(name, _)| key.strip_prefix(PREFIX) == Some(name)).map(|(_, value)| *value)
        })
    }

    #[test]
    fn annotations_change_the_default() {
        assert_eq!(read(&[]), Ok(CaptureConfig::default()));
        let config = read(&[
            ("includeInboundPorts", "80, 443"),
            ("excludeInboundPorts", "22"),
            ("includeOutboundIPRanges", "10.1.2.3/16"),
            ("excludeOutboundIPRanges", "10.0.0.0/8,fd00::/8"),
            ("excludeOutboundPorts", ""),
        ])
        .unwrap();
        assert_eq!(config.include_inbound_ports, Ports::Only(vec![80, 443]));
        assert_eq!(config.exclude_inbound_ports, [22]);
        assert_eq!(config.include_outbound_ranges, Ranges::Only(vec!["10.1.0.0/16".parse().unwrap()]));
        assert_eq!(config.exclude_outbound_ranges.len(), 2);
        assert_eq!(read(&[("includeInboundPorts", "")]).unwrap().include_inbound_ports, Ports::Only(vec![]));
    }

    #[test]
    fn every_bad_annotation_is_named() {
        let bad =
            read(&[("excludeInboundPorts", "http"), ("includeOutboundIPRanges", "10.0.0.1")]).unwrap_err();
        let keys: Vec<&str> = bad.iter().map(|b| b.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "traffic.sidecar.istio.io/includeOutboundIPRanges",
                "traffic.sidecar.istio.io/excludeInboundPorts"
            ]
        );
        for (name, value) in [
            ("includeInboundPorts", "70000"),
            ("excludeOutboundIPRanges", "10.0.0.0/33"),
            ("excludeOutboundIPRanges", "10.0.0.0/x"),
            ("excludeInterfaces", "eth1"),
        ] {
            assert!(read(&[(name, value)]).is_err(), "{name}={value}");
        }
    }

    #[test]
    fn ranges_contain_and_overlap() {
        let cidr = |text: &str| text.parse::<Cidr>().unwrap();
        assert!(cidr("0.0.0.0/0").contains("1.2.3.4".parse().unwrap()));
        assert!(!cidr("0.0.0.0/0").contains("::1".parse().unwrap()));
        assert!(cidr("10.0.0.0/8").overlaps(&cidr("10.9.0.0/16")));
        assert!(!cidr("10.8.0.0/16").overlaps(&cidr("10.9.0.0/16")));
    }
}
