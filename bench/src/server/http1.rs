//! HTTP/1.1 with 100 bytes to whatever is asked: no cheaper backend would still read what came and answer it
//! with a system call each, as any server does.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use anyhow::Context as _;
use rustix::event::epoll;
use rustix::fd::OwnedFd;

use crate::machine::loopback;

/// What nginx sends with as many bytes, so that the proxies have as many fields to look at.
const HEAD: &str = "HTTP/1.1 200 OK\r\nServer: bench\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                    Content-Type: application/octet-stream\r\nContent-Length: 100\r\nConnection: keep-alive\r\n\r\n";
const END: &[u8] = b"\r\n\r\n";

/// Which of epoll's events is a new connection's; others are of the connection at this place.
const NEW: u64 = u64::MAX;

/// Serves until the process is ended.
///
/// # Errors
/// The port is taken.
pub fn serve(port: u16) -> anyhow::Result<()> {
    let listener = TcpListener::bind(loopback(port))?;
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, epoll::EventData::new_u64(NEW), epoll::EventFlags::IN)?;
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut events = Vec::with_capacity(256);
    let answer = [HEAD.as_bytes(), &[b'x'; 100]].concat();
    loop {
        epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            let place = event.data.u64();
            if place == NEW {
                accept(&listener, &epoll, &mut connections)?;
                continue;
            }
            let connection = &mut connections[place as usize];
            // One that breaks is the other side's business: the load generator counts it.
            if connection.as_mut().is_some_and(|it| it.answer(&answer).is_err()) {
                *connection = None;
            }
        }
    }
}

fn accept(
    listener: &TcpListener,
    epoll: &OwnedFd,
    connections: &mut Vec<Option<Connection>>,
) -> anyhow::Result<()> {
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).context("accept"),
        };
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let place = connections.iter().position(Option::is_none).unwrap_or_else(|| {
            connections.push(None);
            connections.len() - 1
        });
        epoll::add(epoll, &stream, epoll::EventData::new_u64(place as u64), epoll::EventFlags::IN)?;
        connections[place] = Some(Connection { stream, rest: Vec::new() });
    }
}

struct Connection {
    stream: TcpStream,
    /// What came of a head that is not complete.
    rest: Vec<u8>,
}

impl Connection {
    /// Requests have no body, so each ends with its head.
    fn answer(&mut self, answer: &[u8]) -> std::io::Result<()> {
        let mut chunk = [0; 4096];
        let count = match self.stream.read(&mut chunk) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        self.rest.extend_from_slice(&chunk[..count]);
        let heads = complete(&mut self.rest);
        // Less than any socket's buffer: clients of ours have no more than some requests under way.
        match heads {
            1 => self.stream.write_all(answer),
            _ => self.stream.write_all(&answer.repeat(heads)),
        }
    }
}

/// Takes the complete heads away and says how many there were.
fn complete(bytes: &mut Vec<u8>) -> usize {
    let ends = || bytes.windows(END.len()).enumerate().filter(|(_, window)| *window == END);
    let (count, last) = (ends().count(), ends().next_back());
    if let Some((at, _)) = last {
        bytes.drain(..at + END.len());
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_end_with_an_empty_line_wherever_reads_do() {
        let mut bytes = b"GET / HTTP/1.1\r\nhost: a\r\n\r".to_vec();
        assert_eq!(complete(&mut bytes), 0);
        bytes.extend_from_slice(b"\nGET / HTTP/1.1\r\n\r\nGET");
        assert_eq!((complete(&mut bytes), bytes.as_slice()), (2, b"GET".as_slice()));
    }
}
