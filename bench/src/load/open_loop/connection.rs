//! One connection of the open loop: a request at a time, an answer with a `content-length`.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Instant;

use anyhow::Context as _;
use rustix::event::epoll;
use rustix::fd::OwnedFd;

use crate::machine::loopback;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: own.bench\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n";

pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    due: Option<Instant>,
}

pub(super) enum Progress {
    Pending,
    /// The answer is complete. `ok`: it is a 200.
    Done {
        due: Instant,
        ok: bool,
    },
    Broken,
}

impl Connection {
    pub(super) fn open(port: u16, epoll: &OwnedFd, index: usize) -> anyhow::Result<Connection> {
        let stream =
            TcpStream::connect(loopback(port)).with_context(|| format!("no connection to port {port}"))?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let data = epoll::EventData::new_u64(index as u64);
        epoll::add(epoll, &stream, data, epoll::EventFlags::IN)?;
        Ok(Connection { stream, buffer: Vec::with_capacity(4096), due: None })
    }

    pub(super) fn send(&mut self, due: Instant) -> std::io::Result<()> {
        self.due = Some(due);
        self.buffer.clear();
        // Less than any socket's buffer, and nothing else is in it.
        self.stream.write_all(REQUEST)
    }

    pub(super) fn read(&mut self) -> Progress {
        let mut chunk = [0; 4096];
        match self.stream.read(&mut chunk) {
            Ok(0) => return Progress::Broken,
            Ok(count) => self.buffer.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Progress::Pending,
            Err(_) => return Progress::Broken,
        }
        match answer(&self.buffer) {
            Answer::Partial => Progress::Pending,
            Answer::Complete { ok } => {
                self.due.take().map_or(Progress::Broken, |due| Progress::Done { due, ok })
            }
            Answer::Strange => Progress::Broken,
        }
    }
}

#[derive(Debug, PartialEq)]
enum Answer {
    Partial,
    Complete {
        ok: bool,
    },
    /// Without a length, or longer than it says.
    Strange,
}

fn answer(bytes: &[u8]) -> Answer {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Answer::Partial };
    let Ok(head) = std::str::from_utf8(&bytes[..end]) else { return Answer::Strange };
    let length = head.lines().filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    match length {
        Some(length) if bytes.len() < end + 4 + length => Answer::Partial,
        Some(length) if bytes.len() == end + 4 + length => {
            Answer::Complete { ok: head.starts_with("HTTP/1.1 200 ") }
        }
        _ => Answer::Strange,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_with_its_last_byte() {
        let all = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        assert_eq!(answer(&all[..all.len() - 1]), Answer::Partial);
        assert_eq!(answer(&all[..20]), Answer::Partial);
        assert_eq!(answer(all), Answer::Complete { ok: true });
        assert_eq!(answer(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"), Answer::Complete { ok: false });
        assert_eq!(answer(b"HTTP/1.1 200 OK\r\n\r\n"), Answer::Strange);
    }
}
