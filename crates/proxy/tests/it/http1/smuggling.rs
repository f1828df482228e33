//! The corpus through a hop: what is forwarded can be read in one way only, and as we read it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use super::corpus::{self, Case, End, Message, strict};
use crate::support::backend;
use crate::support::client::Client;
use crate::support::{Running, Setup};

/// What an upstream was sent: requests, and what could be read in another way.
type Seen = Arc<Mutex<Vec<Result<Message, String>>>>;

/// An upstream that answers whole requests, and nothing else.
fn recorder() -> (SocketAddr, Seen) {
    let seen = Seen::default();
    let record = seen.clone();
    let serve = move |mut stream: TcpStream| {
        let (mut unread, mut room) = (Vec::new(), [0; 4096]);
        while let Ok(len @ 1..) = stream.read(&mut room) {
            unread.extend_from_slice(&room[..len]);
            loop {
                match strict::read(&unread) {
                    strict::Read::Part => break,
                    strict::Read::Whole(message, len) => {
                        record.lock().unwrap().push(Ok(message));
                        unread.drain(..len);
                        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
                    }
                    strict::Read::Ambiguous(why) => return record.lock().unwrap().push(Err(why)),
                }
            }
        }
    };
    (backend::tcp(serve), seen)
}

/// Sends a case and gives the statuses of all answers, in order.
fn answers(proxy: &Running, case: &Case) -> Vec<u16> {
    let mut client = Client::connect(proxy.address);
    client.send(&case.bytes);
    let mut statuses = Vec::new();
    for _ in &case.messages {
        match client.read() {
            Ok(reply) => statuses.push(reply.status),
            Err(_) => return statuses,
        }
    }
    if !matches!(case.end, End::Refused(_)) {
        let _ = client.stream().shutdown(Shutdown::Write);
    }
    while let Ok(reply) = client.read() {
        statuses.push(reply.status);
    }
    statuses
}

#[test]
fn nothing_is_forwarded_ambiguously() {
    let (upstream, seen) = recorder();
    let mut setup = Setup::new().cluster("b", &[upstream]).route("/", "b");
    setup.concurrency = 1;
    let proxy = setup.start();
    let mut wrong = Vec::new();
    for case in corpus::requests() {
        let statuses = answers(&proxy, &case);
        let forwarded = std::mem::take(&mut *seen.lock().unwrap());
        if let Err(why) = judge(&case, &statuses, &forwarded) {
            wrong.push(format!("{}: {why}; answers {statuses:?}, forwarded {forwarded:?}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // One good request after all this: no connection was left poisoned.
    let mut client = Client::connect(proxy.address);
    assert_eq!(client.get("/last").status, 200);
}

fn judge(case: &Case, statuses: &[u16], forwarded: &[Result<Message, String>]) -> Result<(), &'static str> {
    let mut expected = case.messages.iter();
    for message in forwarded {
        let Ok(message) = message else { return Err("something ambiguous was forwarded") };
        // OPTIONS * has no route and is answered here.
        if !expected.any(|one| one == message) {
            return Err("something else was forwarded");
        }
    }
    let good = statuses.iter().filter(|status| **status == 200).count();
    let bad = statuses.iter().filter(|status| (400..600).contains(*status)).count();
    match case.end {
        _ if good != forwarded.len() || good + bad != statuses.len() => Err("wrong answers"),
        End::Clean if statuses.len() != case.messages.len() => Err("not as many answers as requests"),
        // A body that breaks on its way may end the connection without an answer.
        End::Refused(_) if statuses.len() > case.messages.len() + 1 => {
            Err("more than one answer to what is refused")
        }
        End::Refused(_) if statuses.len() == case.messages.len() && !case.name.starts_with("chunk: ") => {
            Err("no answer to what is refused")
        }
        _ => Ok(()),
    }
}

#[test]
fn no_answer_becomes_two() {
    let answer = Arc::new(Mutex::new(Vec::new()));
    let current = answer.clone();
    let upstream = backend::tcp(move |mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(&current.lock().unwrap());
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let proxy = Setup::new().cluster("b", &[upstream]).route("/", "b").start();
    for corpus::Answer { name, method, bytes, read } in corpus::responses() {
        *answer.lock().unwrap() = bytes;
        let mut client = Client::connect(proxy.address);
        client.send(format!("{method} /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
        let reply = loop {
            let reply = if method == "HEAD" { client.read_head() } else { client.read() };
            match reply {
                Ok(reply) if reply.status < 200 => {}
                other => break other.ok().map(|reply| (reply.status, reply.body)),
            }
        };
        match (read, reply) {
            (Ok((status, Some(body))), Some(reply)) => assert_eq!(reply, (status, body.to_vec()), "{name}"),
            (Ok((_, None)), None) => {}
            (Err(_), Some((502 | 503, _))) => {}
            (read, reply) => panic!("{name}: {reply:?} instead of {read:?}"),
        }
        assert_eq!(client.read_to_end(), b"", "{name}");
    }
}
