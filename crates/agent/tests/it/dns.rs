//! The DNS server over its sockets, with a resolver behind it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ::agent::dns::{DnsConfig, DnsServer, SearchContext};
use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use ir::name_table::{NameInfo, NameTable};
use lifecycle::Drain;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

fn query(name: &str, id: u16) -> Vec<u8> {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
    message.to_vec().unwrap()
}

fn addresses(message: &Message) -> Vec<String> {
    message.answers.iter().map(|record| record.data.to_string()).collect()
}

/// Knows one name. Answers first with someone else's id over UDP, which must be passed over.
async fn resolver() -> SocketAddr {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let udp = UdpSocket::bind(address).await.unwrap();
    let reply = |query: &[u8]| {
        let request = Message::from_vec(query).unwrap();
        let mut response = Message::response(request.metadata.id, OpCode::Query);
        response.queries.clone_from(&request.queries);
        let name = request.queries[0].name.clone();
        if name.to_ascii() == "example.org." {
            response.add_answer(Record::from_rdata(name, 60, RData::A(A("192.0.2.1".parse().unwrap()))));
        } else {
            response.metadata.response_code = ResponseCode::NXDomain;
        }
        response
    };
    tokio::spawn(async move {
        let mut buffer = [0; 1024];
        loop {
            let (length, client) = udp.recv_from(&mut buffer).await.unwrap();
            let mut response = reply(&buffer[..length]);
            response.metadata.id ^= 1;
            udp.send_to(&response.to_vec().unwrap(), client).await.unwrap();
            udp.send_to(&reply(&buffer[..length]).to_vec().unwrap(), client).await.unwrap();
        }
    });
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = tcp.accept().await.unwrap();
            let mut query = vec![0; usize::from(stream.read_u16().await.unwrap())];
            stream.read_exact(&mut query).await.unwrap();
            let response = reply(&query).to_vec().unwrap();
            stream.write_u16(response.len() as u16).await.unwrap();
            stream.write_all(&response).await.unwrap();
        }
    });
    address
}

struct Client(SocketAddr);

impl Client {
    async fn udp(&self, name: &str) -> Message {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.send_to(&query(name, 77), self.0).await.unwrap();
        let mut buffer = [0; 4096];
        let received =
            tokio::time::timeout(Duration::from_secs(5), socket.recv(&mut buffer)).await.unwrap().unwrap();
        let message = Message::from_vec(&buffer[..received]).unwrap();
        assert_eq!(message.metadata.id, 77);
        message
    }

    /// Several queries on one connection.
    async fn tcp(&self, names: &[&str]) -> Vec<Message> {
        let mut stream = TcpStream::connect(self.0).await.unwrap();
        let mut all = Vec::new();
        for name in names {
            let query = query(name, 78);
            stream.write_u16(query.len() as u16).await.unwrap();
            stream.write_all(&query).await.unwrap();
            let mut answer = vec![0; usize::from(stream.read_u16().await.unwrap())];
            stream.read_exact(&mut answer).await.unwrap();
            all.push(Message::from_vec(&answer).unwrap());
        }
        all
    }
}

#[tokio::test]
async fn names_of_the_mesh_and_of_the_world() {
    // The first resolver is dead, the second answers.
    let resolvers = vec!["127.0.0.1:1".parse().unwrap(), resolver().await];
    let context = SearchContext {
        namespace: "shop".into(),
        service_domain: "svc.cluster.local".into(),
        search: vec!["shop.svc.cluster.local".into()],
    };
    let listen = "127.0.0.1:0".parse().unwrap();
    let config = DnsConfig { listen, context, resolvers, forward_timeout: Duration::from_millis(500) };
    let server = DnsServer::bind(config).await.unwrap();
    let (tables, client, drain) = (server.tables(), Client(server.local_addr().unwrap()), Drain::new());
    tokio::spawn(server.serve(drain.watch()));

    assert_eq!(client.udp("reviews.").await.metadata.response_code, ResponseCode::ServFail);
    assert!(!tables.is_set());
    let info = NameInfo {
        ips: vec![IpAddr::from([10, 96, 0, 1]), IpAddr::from([10, 96, 0, 2])],
        registry: "Kubernetes".into(),
        shortname: "reviews".into(),
        namespace: "shop".into(),
    };
    tables.set(&NameTable { table: [("reviews.shop.svc.cluster.local".into(), info)].into() });

    let (one, two) = (client.udp("reviews.").await, client.udp("reviews.").await);
    let mut both = [addresses(&one)[0].clone(), addresses(&two)[0].clone()];
    both.sort();
    assert_eq!(both, ["10.96.0.1", "10.96.0.2"], "addresses take turns");
    assert_eq!(addresses(&client.udp("example.org.").await), ["192.0.2.1"]);
    assert_eq!(client.udp("nowhere.example.").await.metadata.response_code, ResponseCode::NXDomain);
    let all = client.tcp(&["reviews.shop.", "example.org."]).await;
    assert_eq!((all[0].answers.len(), addresses(&all[1])), (2, vec!["192.0.2.1".to_owned()]));

    // A table that is gone over to another keeps nothing of the old.
    tables.set(&NameTable::default());
    assert_eq!(client.udp("reviews.").await.metadata.response_code, ResponseCode::NXDomain);
}

#[tokio::test]
async fn silence_of_all_resolvers_is_a_failure_in_time() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let config = DnsConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        context: SearchContext::default(),
        resolvers: vec![silent.local_addr().unwrap()],
        forward_timeout: Duration::from_millis(200),
    };
    let server = DnsServer::bind(config).await.unwrap();
    server.tables().set(&NameTable::default());
    let (tables, client, drain) = (server.tables(), Client(server.local_addr().unwrap()), Drain::new());
    tokio::spawn(server.serve(drain.watch()));
    assert_eq!(client.udp("example.org.").await.metadata.response_code, ResponseCode::ServFail);
    let counted = tables.counters().upstream_failures.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(counted, 1);
}
