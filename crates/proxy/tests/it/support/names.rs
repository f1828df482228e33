//! A name server.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{RData, Record, RecordType};

/// Knows IPv4 addresses of names, with a time to live of 0.
pub struct Names {
    pub address: SocketAddr,
    pub known: Arc<Mutex<HashMap<String, Ipv4Addr>>>,
    pub queries: Arc<AtomicUsize>,
}

impl Names {
    /// Starts one that thinks for a while before each answer.
    pub fn start(known: &[(&str, Ipv4Addr)], pause: Duration) -> Names {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let known: HashMap<String, Ipv4Addr> =
            known.iter().map(|(name, ip)| (format!("{name}."), *ip)).collect();
        let (known, queries) = (Arc::new(Mutex::new(known)), Arc::new(AtomicUsize::new(0)));
        let (answers, asked) = (known.clone(), queries.clone());
        std::thread::spawn(move || {
            let mut room = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut room) {
                let query = Message::from_vec(&room[..length]).unwrap();
                asked.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(pause);
                let answer = answer(&query, &answers.lock().unwrap());
                socket.send_to(&answer.to_vec().unwrap(), from).unwrap();
            }
        });
        Names { address, known, queries }
    }

    pub fn queries(&self) -> usize {
        self.queries.load(Ordering::Relaxed)
    }
}

fn answer(query: &Message, known: &HashMap<String, Ipv4Addr>) -> Message {
    let mut answer = Message::new(query.metadata.id, MessageType::Response, OpCode::Query);
    answer.queries = query.queries.clone();
    let asked = &query.queries[0];
    match known.get(&asked.name().to_string()) {
        None => answer.metadata.response_code = ResponseCode::NXDomain,
        Some(ip) if asked.query_type() == RecordType::A => {
            answer.answers = vec![Record::from_rdata(asked.name().clone(), 0, RData::A(A(*ip)))];
        }
        Some(_) => {}
    }
    answer
}
