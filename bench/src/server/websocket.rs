//! Echo over a WebSocket (RFC 6455), as small as it can be: frames of one length that fits a byte.

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The key of RFC 6455 section 1.3 and what answers it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Length of a message.
pub const MESSAGE: usize = 100;
/// FIN and the opcode for binary data.
const BINARY: u8 = 0x82;
const MASKED: u8 = 0x80;

/// One client of the echo.
pub async fn connection(mut stream: TcpStream) -> anyhow::Result<()> {
    let request = head(&mut stream).await?;
    ensure!(request.to_ascii_lowercase().contains("upgrade: websocket"), "no upgrade");
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await?;
    let mut frame = [0; 6 + MESSAGE];
    let mut answer = [0; 2 + MESSAGE];
    loop {
        stream.read_exact(&mut frame).await?;
        ensure!(frame[..2] == [BINARY, MASKED | MESSAGE as u8], "not a message of {MESSAGE} bytes");
        answer[..2].copy_from_slice(&[BINARY, MESSAGE as u8]);
        let (mask, message) = (&frame[2..6], &frame[6..]);
        for (index, byte) in message.iter().enumerate() {
            answer[2 + index] = byte ^ mask[index % 4];
        }
        stream.write_all(&answer).await?;
    }
}

/// The client's side: an upgrade.
///
/// # Errors
/// It is refused.
pub async fn upgrade(stream: &mut TcpStream) -> anyhow::Result<()> {
    let request = format!(
        "GET /echo HTTP/1.1\r\nHost: own.bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let answer = head(stream).await?;
    ensure!(answer.starts_with("HTTP/1.1 101 "), "answered {answer:?}");
    ensure!(answer.contains(ACCEPT), "a wrong Sec-WebSocket-Accept in {answer:?}");
    Ok(())
}

/// The client's side: one message there and back.
///
/// # Errors
/// The connection broke, or what came back is not what was sent.
pub async fn echo(stream: &mut TcpStream, mask: [u8; 4]) -> anyhow::Result<()> {
    let mut frame = [b'x'; 6 + MESSAGE];
    frame[..2].copy_from_slice(&[BINARY, MASKED | MESSAGE as u8]);
    frame[2..6].copy_from_slice(&mask);
    for (index, byte) in frame[6..].iter_mut().enumerate() {
        *byte ^= mask[index % 4];
    }
    stream.write_all(&frame).await?;
    let mut answer = [0; 2 + MESSAGE];
    stream.read_exact(&mut answer).await?;
    ensure!(answer[..2] == [BINARY, MESSAGE as u8] && answer[2..] == [b'x'; MESSAGE], "not an echo");
    Ok(())
}

/// Up to the empty line. The other side waits for us then, so nothing comes behind it.
async fn head(stream: &mut TcpStream) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        ensure!(bytes.len() < 8192, "a head without an end");
        ensure!(
            stream.read_buf(&mut bytes).await.context("no head")? > 0,
            "closed before the end of the head"
        );
    }
    String::from_utf8(bytes).context("a head that is no text")
}
