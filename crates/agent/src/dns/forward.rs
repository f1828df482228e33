//! Asking the resolvers of `resolv.conf`, one after the other.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::answer::{MAX_UDP, Transport};

/// Resolvers, and the patience with each.
#[derive(Clone, Debug)]
pub(super) struct Forwarder {
    pub servers: Vec<SocketAddr>,
    pub timeout: Duration,
}

impl Forwarder {
    /// The first resolver's answer, as it came. `None`: nobody answered in time.
    pub(super) async fn ask(&self, query: &[u8], request: &Message, transport: Transport) -> Option<Vec<u8>> {
        for server in &self.servers {
            let exchange = async {
                match transport {
                    Transport::Udp => over_udp(*server, query, request).await,
                    Transport::Tcp => over_tcp(*server, query, request).await,
                }
            };
            match tokio::time::timeout(self.timeout, exchange).await {
                Ok(Ok(answer)) => return Some(answer),
                Ok(Err(error)) => tracing::debug!(%server, %error, "resolver failed"),
                Err(_) => tracing::debug!(%server, "resolver did not answer in time"),
            }
        }
        None
    }
}

/// A socket of its own for each query: an off-path attacker must guess port and id.
async fn over_udp(server: SocketAddr, query: &[u8], request: &Message) -> io::Result<Vec<u8>> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(query).await?;
    let mut buffer = vec![0; usize::from(request.max_payload().max(MAX_UDP))];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if let Some(answer) = buffer.get(..length).filter(|answer| belongs(answer, request)) {
            return Ok(answer.to_vec());
        }
    }
}

async fn over_tcp(server: SocketAddr, query: &[u8], request: &Message) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(query.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    stream.write_all(&[&length.to_be_bytes(), query].concat()).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    if belongs(&answer, request) { Ok(answer) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// Whether this is a response to that request. (A resolver may leave the question out of errors.)
fn belongs(answer: &[u8], request: &Message) -> bool {
    let Ok(answer) = Message::from_vec(answer) else { return false };
    let question = answer.queries.is_empty() || answer.queries == request.queries;
    answer.metadata.message_type == MessageType::Response
        && answer.metadata.id == request.metadata.id
        && question
}
