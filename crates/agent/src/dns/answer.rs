//! From a query's bytes to an answer's, as far as we know one. Pure, save for the dice.

use std::net::IpAddr;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::table::{Family, Lookup, Names};

/// Short, so that a changed address is seen soon. Istio's value.
const TTL: u32 = 30;
/// Without EDNS a response over UDP has at most this (RFC 1035).
const PLAIN_UDP: usize = 512;
/// What we take over UDP, and tell with EDNS.
pub(super) const MAX_UDP: u16 = 4096;

/// What to do with a query.
#[derive(Debug)]
pub(super) enum Reply {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Not ours: ask the resolvers.
    Forward(Box<Message>),
    /// Not a query one can answer.
    Nothing,
}

/// The transport of a query, which bounds the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

/// Answers a query from the table (`None`: there is none yet). `rotate` decides which address
/// comes first.
pub(super) fn answer(query: &[u8], names: Option<&Names>, transport: Transport, rotate: usize) -> Reply {
    let Ok(request) = Message::from_vec(query) else { return malformed(query) };
    if request.metadata.message_type != MessageType::Query {
        return Reply::Nothing;
    }
    let Some(names) = names else { return Reply::Bytes(failure(&request, ResponseCode::ServFail)) };
    if request.metadata.op_code != OpCode::Query {
        return Reply::Bytes(failure(&request, ResponseCode::NotImp));
    }
    let [question] = request.queries.as_slice() else {
        return Reply::Bytes(failure(&request, ResponseCode::FormErr));
    };
    let family = match (question.query_class, question.query_type) {
        (DNSClass::IN, RecordType::A) => Family::V4,
        (DNSClass::IN, RecordType::AAAA) => Family::V6,
        _ => return Reply::Forward(Box::new(request)),
    };
    let name = question.name.to_ascii();
    match names.lookup(name.trim_end_matches('.'), family) {
        Lookup::Unknown => Reply::Forward(Box::new(request)),
        Lookup::Known { canonical, addresses } => {
            let records = records(question, canonical.as_deref(), &addresses, rotate);
            Reply::Bytes(bounded(&request, response(&request, records), transport))
        }
    }
}

/// An error as the answer to a query.
pub(super) fn failure(request: &Message, code: ResponseCode) -> Vec<u8> {
    let mut response = response(request, Vec::new());
    response.metadata.authoritative = false;
    response.metadata.response_code = code;
    response.to_vec().unwrap_or_default()
}

/// Bytes that are no message: if they at least begin like one, say so.
fn malformed(query: &[u8]) -> Reply {
    match query {
        // The first bit of the third byte marks responses.
        [high, low, flags, ..] if query.len() >= 12 && flags & 0x80 == 0 => {
            let id = u16::from_be_bytes([*high, *low]);
            let response = Message::error_msg(id, OpCode::Query, ResponseCode::FormErr);
            response.to_vec().map_or(Reply::Nothing, Reply::Bytes)
        }
        _ => Reply::Nothing,
    }
}

fn records(question: &Query, canonical: Option<&str>, addresses: &[IpAddr], rotate: usize) -> Vec<Record> {
    let mut records = Vec::with_capacity(addresses.len() + 1);
    let mut owner = question.name.clone();
    if addresses.is_empty() {
        return records;
    }
    if let Some(host) = canonical.and_then(|host| Name::from_ascii(format!("{host}.")).ok()) {
        records.push(Record::from_rdata(owner, TTL, RData::CNAME(CNAME(host.clone()))));
        owner = host;
    }
    let first = rotate % addresses.len();
    let (tail, head) = addresses.split_at(first);
    for address in head.iter().chain(tail) {
        let data = match address {
            IpAddr::V4(ip) => RData::A(A(*ip)),
            IpAddr::V6(ip) => RData::AAAA(AAAA(*ip)),
        };
        records.push(Record::from_rdata(owner.clone(), TTL, data));
    }
    records
}

fn response(request: &Message, answers: Vec<Record>) -> Message {
    let mut response = Message::response(request.metadata.id, request.metadata.op_code);
    response.metadata.recursion_desired = request.metadata.recursion_desired;
    response.metadata.recursion_available = true;
    response.metadata.authoritative = true;
    response.queries.clone_from(&request.queries);
    response.answers = answers;
    if request.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(MAX_UDP);
        response.edns = Some(edns);
    }
    response
}

/// As many answers as fit; if not all do, the client is told to ask over TCP.
fn bounded(request: &Message, mut response: Message, transport: Transport) -> Vec<u8> {
    let limit = match (transport, &request.edns) {
        (Transport::Tcp, _) => usize::from(u16::MAX),
        (Transport::Udp, None) => PLAIN_UDP,
        (Transport::Udp, Some(edns)) => usize::from(edns.max_payload().min(MAX_UDP)).max(PLAIN_UDP),
    };
    loop {
        let bytes = response.to_vec().unwrap_or_default();
        if bytes.len() <= limit || response.answers.is_empty() {
            return bytes;
        }
        response.metadata.truncation = transport == Transport::Udp;
        let keep = (response.answers.len() * limit / bytes.len()).min(response.answers.len() - 1);
        response.answers.truncate(keep);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::SearchContext;
    use ir::name_table::NameInfo;

    fn names(count: u8) -> Names {
        let ips = (1..=count).map(|last| IpAddr::from([10, 96, 0, last])).collect();
        let info = NameInfo { ips, registry: "External".into(), ..NameInfo::default() };
        let table = ir::NameTable { table: [("api.example.com".into(), info)].into() };
        let context =
            SearchContext { search: vec!["shop.svc.cluster.local".into()], ..SearchContext::default() };
        Names::new(&table, &context)
    }

    fn query(name: &str, kind: RecordType) -> Vec<u8> {
        let mut message = Message::new(7, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        message.to_vec().unwrap()
    }

    fn ask(
        name: &str,
        kind: RecordType,
        names: Option<&Names>,
        transport: Transport,
        rotate: usize,
    ) -> Message {
        match answer(&query(name, kind), names, transport, rotate) {
            Reply::Bytes(bytes) => Message::from_vec(&bytes).unwrap(),
            other => panic!("{name}: {other:?}"),
        }
    }

    fn addresses(message: &Message) -> Vec<String> {
        message.answers.iter().map(|record| record.data.to_string()).collect()
    }

    #[test]
    fn known_names_are_answered_with_authority() {
        let names = names(3);
        let answer = ask("API.example.com.", RecordType::A, Some(&names), Transport::Udp, 1);
        assert_eq!(addresses(&answer), ["10.96.0.2", "10.96.0.3", "10.96.0.1"]);
        assert!(answer.metadata.authoritative && answer.metadata.recursion_desired);
        assert_eq!((answer.metadata.id, answer.answers[0].ttl), (7, 30));
        assert_eq!(answer.answers[0].name.to_ascii(), "API.example.com.");
        // The other family: no error, no answers.
        let answer = ask("api.example.com.", RecordType::AAAA, Some(&names), Transport::Udp, 0);
        assert_eq!((answer.metadata.response_code, answer.answers.len()), (ResponseCode::NoError, 0));
        let chained = "api.example.com.shop.svc.cluster.local.";
        let answer = ask(chained, RecordType::A, Some(&names), Transport::Udp, 0);
        assert_eq!(addresses(&answer)[..2], ["api.example.com.", "10.96.0.1"]);
        assert_eq!(answer.answers[1].name.to_ascii(), "api.example.com.");
    }

    #[test]
    fn what_is_not_ours_is_forwarded_or_refused() {
        let names = names(1);
        for (name, kind) in [("other.", RecordType::A), ("api.example.com.", RecordType::MX)] {
            assert!(matches!(answer(&query(name, kind), Some(&names), Transport::Udp, 0), Reply::Forward(_)));
        }
        let early = ask("api.example.com.", RecordType::A, None, Transport::Udp, 0);
        assert_eq!(early.metadata.response_code, ResponseCode::ServFail);
        assert!(matches!(answer(b"", Some(&names), Transport::Udp, 0), Reply::Nothing));
        let mut rubbish = query("a.", RecordType::A);
        rubbish.truncate(14);
        let Reply::Bytes(bytes) = answer(&rubbish, Some(&names), Transport::Udp, 0) else {
            panic!("no answer")
        };
        assert_eq!(Message::from_vec(&bytes).unwrap().metadata.response_code, ResponseCode::FormErr);
        // A response is never answered: two servers would talk for ever.
        assert!(matches!(answer(&bytes, Some(&names), Transport::Udp, 0), Reply::Nothing));
    }

    #[test]
    fn what_does_not_fit_is_marked_and_whole_over_tcp() {
        let names = names(200);
        let udp = ask("api.example.com.", RecordType::A, Some(&names), Transport::Udp, 0);
        assert!(udp.metadata.truncation && !udp.answers.is_empty() && udp.answers.len() < 200);
        assert!(udp.to_vec().unwrap().len() <= 512);
        let tcp = ask("api.example.com.", RecordType::A, Some(&names), Transport::Tcp, 0);
        assert_eq!((tcp.metadata.truncation, tcp.answers.len()), (false, 200));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let names = names(2);
        let good = query("api.example.com.", RecordType::A);
        for index in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[index] ^= 1 << bit;
                let _ = answer(&bad, Some(&names), Transport::Udp, usize::MAX);
                let _ = answer(&bad[..index], Some(&names), Transport::Tcp, 1);
            }
        }
    }
}
