//! One question to name servers (RFC 1035), over UDP, and over TCP where the answer does not fit or the
//! configuration says so.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

/// What a server says.
pub type Answer = Message;

/// The patience with each server.
const PATIENCE: Duration = Duration::from_secs(1);
/// The longest message over UDP that a server sends without being told of more.
const MAX_UDP: usize = 512;

/// Asks one server after the other; `None`: none has an answer.
pub async fn ask(name: &Name, ty: RecordType, servers: &[SocketAddr], tcp: bool) -> Option<Answer> {
    for server in servers {
        let id = u16::try_from(crate::worker::seed(0) & 0xffff).unwrap_or_default();
        let mut query = Message::new(id, MessageType::Query, OpCode::Query);
        query.metadata.recursion_desired = true;
        query.add_query(Query::query(name.clone(), ty));
        match tokio::time::timeout(PATIENCE, exchange(*server, &query, tcp)).await {
            Ok(Ok(answer)) if says(&answer) => return Some(answer),
            Ok(Ok(answer)) => {
                tracing::debug!(%server, code = %answer.metadata.response_code, "name server refused");
            }
            Ok(Err(error)) => tracing::debug!(%server, %error, "name server failed"),
            Err(_) => tracing::debug!(%server, "name server did not answer in time"),
        }
    }
    None
}

/// Another server might know what this one could not say.
fn says(answer: &Answer) -> bool {
    matches!(answer.metadata.response_code, ResponseCode::NoError | ResponseCode::NXDomain)
}

/// Of the addresses, and of the aliases on the way to them.
pub fn lifetime(answer: &Answer, ty: RecordType) -> Option<Duration> {
    let is_address = |it: &&hickory_proto::rr::Record| it.record_type() == ty;
    answer.answers.iter().find(is_address)?;
    let least = answer.answers.iter().map(|it| it.ttl).min()?;
    Some(Duration::from_secs(least.into()))
}

async fn exchange(server: SocketAddr, query: &Message, tcp: bool) -> std::io::Result<Answer> {
    if tcp {
        return over_tcp(server, query).await;
    }
    let answer = over_udp(server, query).await?;
    if answer.metadata.truncation { over_tcp(server, query).await } else { Ok(answer) }
}

async fn over_udp(server: SocketAddr, query: &Message) -> std::io::Result<Answer> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // A socket of its own: who wants to answer in the server's place must guess port and id.
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(&query.to_vec().map_err(std::io::Error::other)?).await?;
    let mut buffer = [0; MAX_UDP];
    loop {
        let length = socket.recv(&mut buffer).await?;
        match Message::from_vec(&buffer[..length]) {
            Ok(answer) if answers(&answer, query) => return Ok(answer),
            _ => {}
        }
    }
}

/// With the message's length before it (RFC 1035, section 4.2.2).
async fn over_tcp(server: SocketAddr, query: &Message) -> std::io::Result<Answer> {
    let question = query.to_vec().map_err(std::io::Error::other)?;
    let length = u16::try_from(question.len()).map_err(std::io::Error::other)?;
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(&[&length.to_be_bytes()[..], &question].concat()).await?;
    let mut answer = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut answer).await?;
    let answer = Message::from_vec(&answer).map_err(std::io::Error::other)?;
    match answers(&answer, query) {
        true => Ok(answer),
        false => Err(std::io::Error::other("an answer to another question")),
    }
}

fn answers(answer: &Message, query: &Message) -> bool {
    let metadata = &answer.metadata;
    metadata.message_type == MessageType::Response
        && metadata.id == query.metadata.id
        && answer.queries == query.queries
}
