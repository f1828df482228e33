//! A small HTTP/1 client that sees every byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub struct Client {
    reader: BufReader<TcpStream>,
}

#[derive(Debug, Clone, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }
}

impl Client {
    pub fn connect(to: SocketAddr) -> Client {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { reader: BufReader::new(stream) }
    }

    pub fn stream(&mut self) -> &mut TcpStream {
        self.reader.get_mut()
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream().write_all(bytes.as_ref()).unwrap();
    }

    pub fn get(&mut self, path: &str) -> Reply {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n"));
        self.read().unwrap()
    }

    pub fn post(&mut self, path: &str, body: &[u8]) -> Reply {
        self.send(format!(
            "POST {path} HTTP/1.1\r\nHost: a.example\r\nContent-Length: {}\r\n\r\n",
            body.len()
        ));
        self.send(body);
        self.read().unwrap()
    }

    /// The next response; an error if the connection ends before it does.
    pub fn read(&mut self) -> std::io::Result<Reply> {
        let mut reply = self.read_head()?;
        let chunked = reply.header("transfer-encoding").is_some_and(|v| v == "chunked");
        let length = reply.header("content-length").map(|v| v.parse::<usize>().unwrap());
        if reply.status < 200 || reply.status == 204 || reply.status == 304 {
        } else if chunked {
            self.read_chunks(&mut reply)?;
        } else if let Some(length) = length {
            reply.body = vec![0; length];
            self.reader.read_exact(&mut reply.body)?;
        } else {
            self.reader.read_to_end(&mut reply.body)?;
        }
        Ok(reply)
    }

    pub fn read_head(&mut self) -> std::io::Result<Reply> {
        let start = self.line()?;
        let status = start.split(' ').nth(1).and_then(|s| s.parse().ok());
        let status = status.ok_or_else(|| std::io::Error::other(format!("no status line: {start:?}")))?;
        Ok(Reply { status, headers: self.fields()?, ..Reply::default() })
    }

    fn read_chunks(&mut self, reply: &mut Reply) -> std::io::Result<()> {
        loop {
            let size = self.line()?;
            let size = usize::from_str_radix(&size, 16).map_err(std::io::Error::other)?;
            if size == 0 {
                reply.trailers = self.fields()?;
                return Ok(());
            }
            let mut chunk = vec![0; size + 2];
            self.reader.read_exact(&mut chunk)?;
            reply.body.extend_from_slice(&chunk[..size]);
        }
    }

    fn fields(&mut self) -> std::io::Result<Vec<(String, String)>> {
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else { return Ok(fields) };
            fields.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }

    pub fn line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// Whether the other side has ended the connection.
    pub fn is_closed(&mut self) -> bool {
        matches!(self.reader.fill_buf(), Ok([]) | Err(_))
    }

    pub fn read_exact(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.reader.read_exact(&mut bytes).unwrap();
        bytes
    }

    pub fn read_to_end(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = self.reader.read_to_end(&mut bytes);
        bytes
    }
}

/// A POST without a body: status and text.
pub fn post(to: SocketAddr, path: &str) -> (u16, String) {
    let mut client = Client::connect(to);
    client.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
    let answer = client.read().unwrap();
    (answer.status, answer.text())
}

/// One request on a connection of its own.
pub fn get(to: SocketAddr, path: &str) -> Reply {
    Client::connect(to).get(path)
}
