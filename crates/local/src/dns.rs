//! DNS on the bridge: names of services become addresses of their ready pods, everything else
//! is asked of the host's name servers. For pods without a proxy, and for agents.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

const DOMAIN: &str = "svc.cluster.local";
/// Pods come and go.
const TTL: u32 = 5;
const PATIENCE: Duration = Duration::from_secs(5);
/// TCP connections at one time.
const MAX_CONNECTIONS: usize = 64;

/// Addresses by `SERVICE.NAMESPACE`. A service without ready pods has an empty list.
pub type Names = BTreeMap<String, Vec<Ipv4Addr>>;

/// Answers queries; the names can be replaced at any time.
pub struct Dns {
    names: Rc<RefCell<Names>>,
    upstreams: Rc<Vec<SocketAddr>>,
}

impl Dns {
    /// Begins to answer on port 53 of `address`. Must be called inside a `LocalSet`.
    ///
    /// # Errors
    /// The port is taken.
    pub async fn start(address: Ipv4Addr) -> anyhow::Result<Dns> {
        let udp = UdpSocket::bind((address, 53)).await.with_context(|| format!("UDP {address}:53"))?;
        let tcp = TcpListener::bind((address, 53)).await.with_context(|| format!("TCP {address}:53"))?;
        let resolv = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        let dns =
            Dns { names: Rc::default(), upstreams: Rc::new(net::ResolvConf::parse(&resolv).nameservers) };
        tokio::task::spawn_local(serve_udp(Rc::new(udp), dns.names.clone(), dns.upstreams.clone()));
        tokio::task::spawn_local(serve_tcp(tcp, dns.names.clone(), dns.upstreams.clone()));
        Ok(dns)
    }

    pub fn set(&self, names: Names) {
        *self.names.borrow_mut() = names;
    }
}

async fn serve_udp(socket: Rc<UdpSocket>, names: Rc<RefCell<Names>>, upstreams: Rc<Vec<SocketAddr>>) {
    let mut buffer = [0; 4096];
    loop {
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let query = buffer.get(..length).unwrap_or_default().to_vec();
        if let Some(answer) = own_answer(&query, &names.borrow(), true) {
            // A client that is gone asks again or does not care.
            let _ = socket.try_send_to(&answer, client);
            continue;
        }
        let (socket, upstreams) = (socket.clone(), upstreams.clone());
        tokio::task::spawn_local(async move {
            if let Some(answer) = ask_udp(&query, &upstreams).await {
                let _ = socket.send_to(&answer, client).await;
            }
        });
    }
}

async fn serve_tcp(listener: TcpListener, names: Rc<RefCell<Names>>, upstreams: Rc<Vec<SocketAddr>>) {
    let permits = Arc::new(tokio::sync::Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(permit) = permits.clone().acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let (names, upstreams) = (names.clone(), upstreams.clone());
        tokio::task::spawn_local(async move {
            let _permit = permit;
            let _ = tokio::time::timeout(PATIENCE * 2, converse(stream, &names, &upstreams)).await;
        });
    }
}

async fn converse(
    mut stream: TcpStream,
    names: &RefCell<Names>,
    upstreams: &[SocketAddr],
) -> std::io::Result<()> {
    loop {
        let length = stream.read_u16().await?;
        let mut query = vec![0; usize::from(length)];
        stream.read_exact(&mut query).await?;
        let own = own_answer(&query, &names.borrow(), false);
        let answer = match own {
            Some(answer) => Some(answer),
            None => ask_tcp(&query, upstreams).await,
        };
        let Some(answer) = answer else { return Ok(()) };
        stream.write_u16(u16::try_from(answer.len()).unwrap_or(u16::MAX)).await?;
        stream.write_all(&answer).await?;
    }
}

/// The answer to a query about a service. `None`: ask others.
fn own_answer(query: &[u8], names: &Names, udp: bool) -> Option<Vec<u8>> {
    let query = Message::from_vec(query).ok()?;
    let question = query.queries.first()?;
    let name = question.name().to_utf8().to_ascii_lowercase();
    let service = name.trim_end_matches('.').strip_suffix(DOMAIN)?.trim_end_matches('.');
    let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
    answer.metadata.recursion_desired = query.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    answer.metadata.authoritative = true;
    answer.add_query(question.clone());
    match names.get(service) {
        None => answer.metadata.response_code = ResponseCode::NXDomain,
        Some(addresses) if question.query_type() == RecordType::A => {
            for address in addresses {
                answer.add_answer(Record::from_rdata(question.name().clone(), TTL, RData::A(A(*address))));
            }
        }
        // The name exists; it has no records of this type.
        Some(_) => {}
    }
    let bytes = answer.to_vec().ok()?;
    // Too long for a datagram: the client comes again over TCP.
    if udp && bytes.len() > usize::from(query.max_payload()) {
        answer.truncate().to_vec().ok()
    } else {
        Some(bytes)
    }
}

async fn ask_udp(query: &[u8], upstreams: &[SocketAddr]) -> Option<Vec<u8>> {
    for upstream in upstreams {
        let ask = async {
            let any: IpAddr = if upstream.is_ipv4() { [0; 4].into() } else { [0u16; 8].into() };
            let socket = UdpSocket::bind((any, 0)).await.ok()?;
            socket.connect(upstream).await.ok()?;
            socket.send(query).await.ok()?;
            let mut buffer = vec![0; 4096];
            loop {
                let length = socket.recv(&mut buffer).await.ok()?;
                // An answer has the query's id.
                if length >= 2 && buffer.get(..2) == query.get(..2) {
                    buffer.truncate(length);
                    return Some(buffer);
                }
            }
        };
        if let Ok(Some(answer)) = tokio::time::timeout(PATIENCE, ask).await {
            return Some(answer);
        }
    }
    failure(query)
}

async fn ask_tcp(query: &[u8], upstreams: &[SocketAddr]) -> Option<Vec<u8>> {
    for upstream in upstreams {
        let ask = async {
            let mut stream = TcpStream::connect(upstream).await?;
            stream.write_u16(u16::try_from(query.len()).unwrap_or(u16::MAX)).await?;
            stream.write_all(query).await?;
            let mut answer = vec![0; usize::from(stream.read_u16().await?)];
            stream.read_exact(&mut answer).await?;
            std::io::Result::Ok(answer)
        };
        if let Ok(Ok(answer)) = tokio::time::timeout(PATIENCE, ask).await {
            return Some(answer);
        }
    }
    failure(query)
}

/// SERVFAIL, so that the client need not wait.
fn failure(query: &[u8]) -> Option<Vec<u8>> {
    let query = Message::from_vec(query).ok()?;
    let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
    answer.metadata.response_code = ResponseCode::ServFail;
    answer.add_queries(query.queries);
    answer.to_vec().ok()
}

#[cfg(test)]
mod tests {
    use std::str::FromStr;

    use hickory_proto::op::{MessageType, OpCode, Query};
    use hickory_proto::rr::Name;

    use super::*;

    #[test]
    fn services_are_answered_and_others_are_not() {
        let names: Names = [
            ("web.shop".to_owned(), vec![Ipv4Addr::new(10, 1, 0, 2), Ipv4Addr::new(10, 1, 0, 3)]),
            ("idle.shop".to_owned(), Vec::new()),
        ]
        .into();
        let ask = |name: &str, kind: RecordType| {
            let mut query = Message::new(77, MessageType::Query, OpCode::Query);
            query.add_query(Query::query(Name::from_str(name).unwrap(), kind));
            let answer = own_answer(&query.to_vec().unwrap(), &names, true)?;
            let answer = Message::from_vec(&answer).unwrap();
            assert_eq!(answer.metadata.id, query.metadata.id);
            Some((answer.metadata.response_code, answer.answers.len()))
        };
        let ok = ResponseCode::NoError;
        assert_eq!(ask("web.shop.svc.cluster.local.", RecordType::A), Some((ok, 2)));
        assert_eq!(ask("WEB.shop.svc.cluster.local.", RecordType::AAAA), Some((ok, 0)));
        assert_eq!(ask("idle.shop.svc.cluster.local.", RecordType::A), Some((ok, 0)));
        assert_eq!(ask("no.shop.svc.cluster.local.", RecordType::A), Some((ResponseCode::NXDomain, 0)));
        assert_eq!(ask("example.com.", RecordType::A), None);
        assert_eq!(own_answer(b"nonsense", &names, true), None);
    }
}
