//! A name server: `*.ok.test` is at 127.0.0.1, `silent.test` is not answered, and nothing else exists.

use std::net::{SocketAddr, UdpSocket};

const HEADER: usize = 12;
const A: [u8; 2] = [0, 1];

/// Starts one.
pub fn start() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("an address");
    std::thread::spawn(move || {
        let mut room = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut room) {
            if let Some(answer) = answer(&room[..length]) {
                let _ = socket.send_to(&answer, from);
            }
        }
    });
    address
}

/// As RFC 1035 (section 4) has messages: one question, at most one record.
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let (mut at, mut name) = (HEADER, String::new());
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        name.push_str(std::str::from_utf8(query.get(at..at + length)?).ok()?);
        name.push('.');
        at += length;
    }
    let (ty, question) = (query.get(at..at + 2)?, query.get(HEADER..at + 4)?);
    if name == "silent.test." {
        return None;
    }
    let exists = name.ends_with(".ok.test.");
    let found = exists && ty == A;
    let code = if exists { 0x80 } else { 0x83 };
    let counts = [0, 1, 0, u8::from(found), 0, 0, 0, 0];
    let mut answer = [&query[..2], &[0x81, code], &counts, question].concat();
    if found {
        // The name of the question, of class IN, for five minutes.
        answer.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, 127, 0, 0, 1]);
    }
    Some(answer)
}
