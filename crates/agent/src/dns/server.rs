//! The DNS server: UDP and TCP on one address.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use hickory_proto::op::{Message, ResponseCode};
use ir::NameTable;
use lifecycle::DrainWatch;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;

use super::answer::{Reply, Transport, answer, failure};
use super::forward::Forwarder;
use super::table::{Names, SearchContext};

/// Queries on their way to resolvers; more are answered with SERVFAIL.
const MAX_FORWARDS: usize = 1024;
const MAX_TCP_CONNECTIONS: usize = 256;
/// A TCP client that says nothing for so long is let go.
const TCP_IDLE: Duration = Duration::from_secs(10);

/// What a server is told.
#[derive(Clone, Debug)]
pub struct DnsConfig {
    pub listen: SocketAddr,
    pub context: SearchContext,
    /// Whom names are asked of that the table does not know.
    pub resolvers: Vec<SocketAddr>,
    /// Patience with each of them. Istio's `DNS_FORWARD_TIMEOUT`, 5 s.
    pub forward_timeout: Duration,
}

/// What was counted.
#[derive(Debug, Default)]
pub struct DnsCounters {
    pub requests: AtomicU64,
    pub upstream_requests: AtomicU64,
    pub upstream_failures: AtomicU64,
}

/// Hands name tables to a server. Cheap to clone.
#[derive(Clone)]
pub struct NameTableHandle {
    shared: Arc<Shared>,
}

struct Shared {
    names: ArcSwapOption<Names>,
    context: SearchContext,
    forwarder: Forwarder,
    forwards: Arc<Semaphore>,
    /// Turns with every answer, so that addresses of headless services take turns.
    rotation: AtomicUsize,
    counters: DnsCounters,
}

/// The server, its sockets open.
pub struct DnsServer {
    udp: Arc<UdpSocket>,
    tcp: TcpListener,
    shared: Arc<Shared>,
}

impl NameTableHandle {
    /// Replaces the table. Before the first one every query gets SERVFAIL: a workload that starts
    /// early must not learn that a service does not exist.
    pub fn set(&self, table: &NameTable) {
        self.shared.names.store(Some(Arc::new(Names::new(table, &self.shared.context))));
    }

    /// Whether there is a table.
    pub fn is_set(&self) -> bool {
        self.shared.names.load().is_some()
    }

    pub fn counters(&self) -> &DnsCounters {
        &self.shared.counters
    }
}

impl DnsServer {
    /// Opens the sockets.
    ///
    /// # Errors
    /// The address cannot be used.
    pub async fn bind(config: DnsConfig) -> io::Result<Self> {
        let tcp = TcpListener::bind(config.listen).await?;
        // With port 0 both get the same.
        let udp = UdpSocket::bind(tcp.local_addr()?).await?;
        let shared = Shared {
            names: ArcSwapOption::empty(),
            context: config.context,
            forwarder: Forwarder { servers: config.resolvers, timeout: config.forward_timeout },
            forwards: Arc::new(Semaphore::new(MAX_FORWARDS)),
            rotation: AtomicUsize::new(0),
            counters: DnsCounters::default(),
        };
        Ok(DnsServer { udp: Arc::new(udp), tcp, shared: Arc::new(shared) })
    }

    /// # Errors
    /// The system does not know.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// For its tables.
    pub fn tables(&self) -> NameTableHandle {
        NameTableHandle { shared: self.shared.clone() }
    }

    /// Serves until a drain is forced: the workload still asks while it drains.
    pub async fn serve(self, drain: DrainWatch) {
        tokio::select! {
            () = serve_udp(self.udp, self.shared.clone()) => {}
            () = serve_tcp(self.tcp, self.shared) => {}
            () = drain.forced() => {}
        }
    }
}

async fn serve_udp(socket: Arc<UdpSocket>, shared: Arc<Shared>) {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let (length, client) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            // ICMP errors of earlier answers arrive here.
            Err(error) => {
                tracing::debug!(%error, "DNS over UDP");
                tokio::task::yield_now().await;
                continue;
            }
        };
        let query = buffer.get(..length).unwrap_or_default();
        match shared.answer(query, Transport::Udp) {
            Reply::Bytes(bytes) => drop(socket.send_to(&bytes, client).await),
            Reply::Forward(request) => {
                let (socket, shared, query) = (socket.clone(), shared.clone(), query.to_vec());
                tokio::spawn(async move {
                    let bytes = shared.forward(&query, &request, Transport::Udp).await;
                    let _ = socket.send_to(&bytes, client).await;
                });
            }
            Reply::Nothing => {}
        }
    }
}

async fn serve_tcp(listener: TcpListener, shared: Arc<Shared>) {
    let connections = Arc::new(Semaphore::new(MAX_TCP_CONNECTIONS));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = connections.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let shared = shared.clone();
                tokio::spawn(async move {
                    let _ = serve_connection(stream, &shared).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::debug!(%error, "DNS over TCP");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve_connection(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    loop {
        let query = tokio::time::timeout(TCP_IDLE, read_query(&mut stream)).await??;
        let bytes = match shared.answer(&query, Transport::Tcp) {
            Reply::Bytes(bytes) => bytes,
            Reply::Forward(request) => shared.forward(&query, &request, Transport::Tcp).await,
            Reply::Nothing => return Ok(()),
        };
        let length = u16::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidData)?;
        stream.write_all(&[&length.to_be_bytes(), bytes.as_slice()].concat()).await?;
    }
}

async fn read_query(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut query = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut query).await?;
    Ok(query)
}

impl Shared {
    fn answer(&self, query: &[u8], transport: Transport) -> Reply {
        self.counters.requests.fetch_add(1, Ordering::Relaxed);
        let turn = self.rotation.fetch_add(1, Ordering::Relaxed);
        answer(query, self.names.load().as_deref(), transport, turn)
    }

    async fn forward(&self, query: &[u8], request: &Message, transport: Transport) -> Vec<u8> {
        self.counters.upstream_requests.fetch_add(1, Ordering::Relaxed);
        let answered = match self.forwards.try_acquire() {
            Ok(_permit) => self.forwarder.ask(query, request, transport).await,
            Err(_) => None,
        };
        answered.unwrap_or_else(|| {
            self.counters.upstream_failures.fetch_add(1, Ordering::Relaxed);
            failure(request, ResponseCode::ServFail)
        })
    }
}
