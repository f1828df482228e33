//! How long an answer is good for: `respect_dns_ttl`. The system's resolver does not tell, so once it has
//! found a name, the name servers of `resolv.conf` are asked for just that.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::rr::{Name, RecordType};
use ir::dns::DnsFamily;
use net::ResolvConf;

use super::query;

/// Servers beyond are not asked, as in glibc.
const MAX_SERVERS: usize = 3;

/// The servers of the system.
pub fn servers() -> Vec<SocketAddr> {
    parse(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default())
}

fn parse(text: &str) -> Vec<SocketAddr> {
    ResolvConf::parse(text).nameservers.into_iter().take(MAX_SERVERS).collect()
}

/// The least of the lifetimes of what `host` has. `None`: nobody says, as for names of `/etc/hosts`.
pub async fn of(host: &str, family: DnsFamily, servers: &[SocketAddr]) -> Option<Duration> {
    let name = absolute(host)?;
    let types: &[RecordType] = match family {
        DnsFamily::V4Only => &[RecordType::A],
        DnsFamily::V6Only => &[RecordType::AAAA],
        DnsFamily::V4Preferred => &[RecordType::A, RecordType::AAAA],
        DnsFamily::Auto | DnsFamily::All => &[RecordType::AAAA, RecordType::A],
    };
    let mut least: Option<Duration> = None;
    for ty in types {
        let answer = query::ask(&name, *ty, servers, false).await;
        if let Some(found) = answer.and_then(|answer| query::lifetime(&answer, *ty)) {
            least = Some(least.map_or(found, |least| least.min(found)));
            // The other family is used only where this one has nothing.
            if family != DnsFamily::All {
                break;
            }
        }
    }
    least
}

/// Names without a dot depend on search lists, and the answer's lifetime on which entry it was.
fn absolute(host: &str) -> Option<Name> {
    let host = host.strip_suffix('.').unwrap_or(host);
    if !host.contains('.') || host.parse::<IpAddr>().is_ok() {
        return None;
    }
    Name::from_ascii(format!("{host}.")).ok()
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::{Message, MessageType, OpCode};
    use hickory_proto::rr::rdata::{A, AAAA, CNAME};
    use hickory_proto::rr::{RData, Record};
    use tokio::net::UdpSocket;

    use super::*;

    #[test]
    fn the_systems_servers_are_read() {
        let text =
            "# nameserver 1.1.1.1\nsearch a.b\nnameserver 10.0.0.1 # x\n nameserver fd00::1\nnameserver x\n";
        assert_eq!(parse(text), ["10.0.0.1:53".parse().unwrap(), "[fd00::1]:53".parse().unwrap()]);
        assert_eq!(parse(""), []);
    }

    /// Answers every query with what `records` has of its type.
    async fn server(records: Vec<Record>) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut room = [0; 512];
            loop {
                let (length, from) = socket.recv_from(&mut room).await.unwrap();
                let query = Message::from_vec(&room[..length]).unwrap();
                let mut answer = Message::new(query.metadata.id, MessageType::Response, OpCode::Query);
                let ty = query.queries[0].query_type();
                answer.queries = query.queries.clone();
                let of_type =
                    |it: &&Record| matches!(it.record_type(), RecordType::CNAME) || it.record_type() == ty;
                answer.answers = records.iter().filter(of_type).cloned().collect();
                // One that is not for us comes first.
                let mut other = answer.clone();
                other.metadata.id = !other.metadata.id;
                other.answers.clear();
                socket.send_to(&other.to_vec().unwrap(), from).await.unwrap();
                socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
            }
        });
        address
    }

    #[tokio::test]
    async fn the_least_lifetime_counts() {
        let name = |name: &str| Name::from_ascii(name).unwrap();
        let a = |ttl| Record::from_rdata(name("b.example."), ttl, RData::A(A::new(10, 0, 0, 1)));
        let v6 = AAAA::new(0xfd00, 0, 0, 0, 0, 0, 0, 1);
        let aaaa = |ttl| Record::from_rdata(name("b.example."), ttl, RData::AAAA(v6));
        let alias =
            |ttl| Record::from_rdata(name("a.example."), ttl, RData::CNAME(CNAME(name("b.example."))));
        let secs = |secs| Some(Duration::from_secs(secs));
        let v4 = server(vec![a(30), a(20)]).await;
        assert_eq!(of("a.example", DnsFamily::V4Only, &[v4]).await, secs(20));
        assert_eq!(of("a.example.", DnsFamily::Auto, &[v4]).await, secs(20), "there is no IPv6");
        assert_eq!(of("a.example", DnsFamily::V6Only, &[v4]).await, None);
        assert_eq!(of("a", DnsFamily::V4Only, &[v4]).await, None, "which search domain?");
        assert_eq!(of("10.0.0.1", DnsFamily::V4Only, &[v4]).await, None);
        let both = server(vec![alias(9), a(5), aaaa(7)]).await;
        assert_eq!(of("a.example", DnsFamily::Auto, &[both]).await, secs(7));
        assert_eq!(of("a.example", DnsFamily::V4Preferred, &[both]).await, secs(5));
        assert_eq!(of("a.example", DnsFamily::All, &[both]).await, secs(5));
        // A server that is not there costs nothing: the next one is asked.
        let gone = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(of("a.example", DnsFamily::V6Only, &[gone, both]).await, secs(7));
        assert_eq!(of("a.example", DnsFamily::V4Only, &[]).await, None);
    }
}
