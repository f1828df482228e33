//! Through an HTTP proxy: CONNECT of HTTP/1.1 (RFC 9110, section 9.3.6), Envoy's `tunneling_config`.

use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use net::Io;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Envoy waits for ever. Whoever asks does not, and takes its place at the endpoint with it.
const PATIENCE: Duration = Duration::from_secs(60);
/// Of the answer's head.
const MAX_HEAD: usize = 16 * 1024;

/// Asks for a tunnel to `target` (`HOST:PORT`). What comes behind the answer is left to be read.
///
/// # Errors
/// Why there is none, in words.
pub async fn open(io: &mut Io, target: &str) -> Result<(), String> {
    match tokio::time::timeout(PATIENCE, ask(io, target)).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer to CONNECT {target}")),
    }
}

async fn ask(io: &mut Io, target: &str) -> Result<(), String> {
    let request = format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n\r\n");
    io.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
    io.flush().await.map_err(|error| error.to_string())?;
    let mut read = BytesMut::with_capacity(512);
    loop {
        if let Some(end) = end_of_head(&read) {
            let status = status(&read).ok_or_else(|| format!("no HTTP answers CONNECT {target}"))?;
            read.advance(end);
            match status {
                200..=299 => break,
                // Interim: the answer is yet to come.
                100 | 102..=199 => continue,
                _ => return Err(format!("CONNECT {target} is answered with {status}")),
            }
        }
        if read.len() > MAX_HEAD {
            return Err(format!("the answer to CONNECT {target} is too long"));
        }
        if io.read_buf(&mut read).await.map_err(|error| error.to_string())? == 0 {
            return Err(format!("the connection ended before CONNECT {target} was answered"));
        }
    }
    if !read.is_empty() {
        io.unread(read.freeze());
    }
    Ok(())
}

/// Behind the empty line.
fn end_of_head(read: &[u8]) -> Option<usize> {
    read.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// Of a status line of HTTP/1.
fn status(head: &[u8]) -> Option<u16> {
    let line = head.strip_prefix(b"HTTP/1.")?;
    let digits = line.get(1..5)?.strip_prefix(b" ")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixStream;

    use super::*;

    async fn answered(answer: &'static str) -> (Result<(), String>, String) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut io = Io::from(ours);
        let proxy = async move {
            let mut request = [0; 512];
            let length = theirs.read(&mut request).await.unwrap();
            theirs.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        };
        let (opened, request) = tokio::join!(open(&mut io, "db.example.com:5432"), proxy);
        assert_eq!(request, "CONNECT db.example.com:5432 HTTP/1.1\r\nhost: db.example.com:5432\r\n\r\n");
        let mut rest = String::new();
        if opened.is_ok() {
            io.read_to_string(&mut rest).await.unwrap();
        }
        (opened, rest)
    }

    #[tokio::test]
    async fn bytes_behind_the_answer_are_the_tunnels() {
        let (opened, rest) = answered("HTTP/1.1 200 OK\r\nvia: x\r\n\r\nhello").await;
        assert_eq!((opened, rest.as_str()), (Ok(()), "hello"));
        let (opened, rest) = answered("HTTP/1.1 103 Early\r\n\r\nHTTP/1.0 204 No\r\n\r\n").await;
        assert_eq!((opened, rest.as_str()), (Ok(()), ""));
    }

    #[tokio::test]
    async fn other_answers_are_refusals() {
        for (answer, why) in [
            ("HTTP/1.1 403 No\r\n\r\n", "is answered with 403"),
            ("HTTP/1.1 101 Go\r\n\r\n", "is answered with 101"),
            ("220 mail.example.com\r\n\r\n", "no HTTP"),
            ("HTTP/1.1 200 OK\r\n", "the connection ended"),
        ] {
            let refused = answered(answer).await.0.unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
    }
}
