//! The header that a connection begins with to say who its client is.
//! See <https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ir::cluster::ProxyProtocol;

/// Source and destination of the client's own connection.
pub type Addresses = (SocketAddr, SocketAddr);

/// What the first bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    NeedMore,
    /// Not this protocol.
    None,
    /// It begins like a header, and is none.
    Malformed,
    /// So many bytes. `None`: the addresses are those of the connection (health checks).
    Header {
        version: ProxyProtocol,
        length: usize,
        addresses: Option<Addresses>,
    },
}

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const V1: &[u8] = b"PROXY ";
/// The longest header of version 1 (section 2.1).
const V1_MAX: usize = 107;
/// A header of version 2 that is longer is not read: nobody has so many TLVs.
pub const MAX: usize = 16 + 4096;

/// Reads a header.
pub fn parse(bytes: &[u8]) -> Verdict {
    let begins = |with: &[u8]| {
        let len = bytes.len().min(with.len());
        bytes[..len] == with[..len]
    };
    if begins(SIGNATURE) {
        if bytes.len() < 16 { Verdict::NeedMore } else { version_2(bytes) }
    } else if begins(V1) {
        if bytes.len() < V1.len() { Verdict::NeedMore } else { version_1(bytes) }
    } else {
        Verdict::None
    }
}

fn version_1(bytes: &[u8]) -> Verdict {
    let Some(end) = bytes.windows(2).take(V1_MAX).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < V1_MAX { Verdict::NeedMore } else { Verdict::Malformed };
    };
    let line = std::str::from_utf8(&bytes[..end]).unwrap_or_default();
    let parts: Vec<&str> = line.split(' ').collect();
    let addresses = match parts.as_slice() {
        ["PROXY", "UNKNOWN", ..] => None,
        ["PROXY", family @ ("TCP4" | "TCP6"), source, destination, from, to] => {
            let pair = v1_address(family, source, from).zip(v1_address(family, destination, to));
            match pair {
                Some(pair) => Some(pair),
                None => return Verdict::Malformed,
            }
        }
        _ => return Verdict::Malformed,
    };
    Verdict::Header { version: ProxyProtocol::V1, length: end + 2, addresses }
}

fn v1_address(family: &str, ip: &str, port: &str) -> Option<SocketAddr> {
    let ip: IpAddr = ip.parse().ok()?;
    (ip.is_ipv4() == (family == "TCP4")).then_some(SocketAddr::new(ip, port.parse().ok()?))
}

/// `bytes` has the fixed part.
fn version_2(bytes: &[u8]) -> Verdict {
    let length = 16 + usize::from(u16::from_be_bytes([bytes[14], bytes[15]]));
    let (command, family) = (bytes[12], bytes[13]);
    if command >> 4 != 2 || length > MAX {
        return Verdict::Malformed;
    }
    if bytes.len() < length {
        return Verdict::NeedMore;
    }
    let body = &bytes[16..length];
    let addresses = match (command & 0xf, family) {
        (0, _) => Some(None),
        (1, 0x11) => v2_pair::<4>(body).map(Some),
        (1, 0x21) => v2_pair::<16>(body).map(Some),
        // Datagrams, Unix sockets and what is unspecified say nothing about an IP client.
        (1, _) => Some(None),
        _ => None,
    };
    match addresses {
        Some(addresses) => Verdict::Header { version: ProxyProtocol::V2, length, addresses },
        None => Verdict::Malformed,
    }
}

fn v2_pair<const N: usize>(body: &[u8]) -> Option<Addresses>
where
    IpAddr: From<[u8; N]>,
{
    let (source, rest) = body.split_first_chunk::<N>()?;
    let (destination, rest) = rest.split_first_chunk::<N>()?;
    let (from, rest) = rest.split_first_chunk::<2>()?;
    let to = rest.first_chunk::<2>()?;
    let at = |ip: &[u8; N], port: &[u8; 2]| SocketAddr::new(IpAddr::from(*ip), u16::from_be_bytes(*port));
    Some((at(source, from), at(destination, to)))
}

/// Writes a header. Without addresses it says that the connection is our own.
pub fn write(version: ProxyProtocol, addresses: Option<Addresses>) -> Vec<u8> {
    let addresses = addresses.map(|(from, to)| one_family(from, to));
    match version {
        ProxyProtocol::V1 => write_1(addresses),
        ProxyProtocol::V2 => write_2(addresses),
    }
}

/// Both as IPv4 addresses if both are, else both as IPv6 addresses.
fn one_family(from: SocketAddr, to: SocketAddr) -> Addresses {
    let (source, destination) = (from.ip().to_canonical(), to.ip().to_canonical());
    let v6 = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => IpAddr::V6(ip.to_ipv6_mapped()),
        ip => ip,
    };
    let same = source.is_ipv4() == destination.is_ipv4();
    let (source, destination) = if same { (source, destination) } else { (v6(source), v6(destination)) };
    (SocketAddr::new(source, from.port()), SocketAddr::new(destination, to.port()))
}

fn write_1(addresses: Option<Addresses>) -> Vec<u8> {
    let mut out = Vec::new();
    let written = match addresses {
        None => write!(out, "PROXY UNKNOWN\r\n"),
        Some((from, to)) => {
            let family = if from.is_ipv4() { "TCP4" } else { "TCP6" };
            write!(out, "PROXY {family} {} {} {} {}\r\n", from.ip(), to.ip(), from.port(), to.port())
        }
    };
    debug_assert!(written.is_ok(), "writing to a Vec does not fail");
    out
}

fn write_2(addresses: Option<Addresses>) -> Vec<u8> {
    let mut out = SIGNATURE.to_vec();
    let Some((from, to)) = addresses else {
        out.extend([0x20, 0, 0, 0]);
        return out;
    };
    out.extend([0x21, if from.is_ipv4() { 0x11 } else { 0x21 }, 0, if from.is_ipv4() { 12 } else { 36 }]);
    for ip in [from.ip(), to.ip()] {
        match ip {
            IpAddr::V4(ip) => out.extend(Ipv4Addr::octets(&ip)),
            IpAddr::V6(ip) => out.extend(Ipv6Addr::octets(&ip)),
        }
    }
    out.extend(from.port().to_be_bytes());
    out.extend(to.port().to_be_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use ProxyProtocol::{V1, V2};

    fn pair(from: &str, to: &str) -> Addresses {
        (from.parse().unwrap(), to.parse().unwrap())
    }

    #[test]
    fn what_is_written_is_read_in_pieces() {
        let all = [None, Some(pair("1.2.3.4:5", "6.7.8.9:10")), Some(pair("[2001:db8::1]:65535", "[::1]:1"))];
        for (version, addresses) in [V1, V2].into_iter().flat_map(|version| all.map(|it| (version, it))) {
            let mut bytes = write(version, addresses);
            let length = bytes.len();
            for end in 0..length {
                assert_eq!(parse(&bytes[..end]), Verdict::NeedMore, "{version:?} {addresses:?} {end}");
            }
            bytes.extend(b"GET / HTTP/1.1");
            assert_eq!(parse(&bytes), Verdict::Header { version, length, addresses });
        }
    }

    #[test]
    fn families_are_not_mixed() {
        let mixed = write(V1, Some(pair("1.2.3.4:5", "[2001:db8::1]:80")));
        assert_eq!(mixed, b"PROXY TCP6 ::ffff:1.2.3.4 2001:db8::1 5 80\r\n");
        assert_eq!(
            write(V1, Some(pair("[::ffff:1.2.3.4]:5", "1.1.1.1:80"))),
            b"PROXY TCP4 1.2.3.4 1.1.1.1 5 80\r\n"
        );
    }

    #[test]
    fn nonsense_is_told_from_other_protocols() {
        assert_eq!(parse(b"GET / HTTP/1.1\r\n"), Verdict::None);
        assert_eq!(parse(b"PRI * HTTP/2.0"), Verdict::None);
        assert_eq!(parse(b"\x16\x03\x01"), Verdict::None);
        let malformed: [&[u8]; 5] = [
            b"PROXY TCP4 1.2.3.4 5.6.7.8 80\r\n",
            b"PROXY TCP4 ::1 ::1 1 2\r\n",
            b"PROXY TCP4 1.2.3.4 1.2.3.4 99999 2\r\n",
            &[b"PROXY ".as_slice(), &[b'x'; 200]].concat(),
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04abcd",
        ];
        for bytes in malformed {
            assert_eq!(parse(bytes), Verdict::Malformed, "{}", String::from_utf8_lossy(bytes));
        }
    }
}
