//! Whole connections from any bytes, in pieces: the same requests and bodies however they are cut.

#![no_main]

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use http1::{Body, Frame, Limits, ServerConn};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

fuzz_target!(|bytes: &[u8]| {
    let whole = serve(bytes, usize::MAX);
    assert_eq!(whole, serve(bytes, 1));
    assert_eq!(whole, serve(bytes, 7));
});

/// Method, path and body of every request, and how it ended.
fn serve(bytes: &[u8], piece: usize) -> Vec<String> {
    let conn = ServerConn::new(Pieces { bytes: bytes.to_vec(), at: 0, piece }, Limits::default());
    match pin!(read_all(conn)).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(seen) => seen,
        Poll::Pending => panic!("nothing to wait for"),
    }
}

async fn read_all(mut conn: ServerConn<Pieces>) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        match conn.read_head().await {
            Ok(Some(head)) => seen.push(format!("{:?} {:?}", head.method(), head.path())),
            Ok(None) => break,
            // Which of several faults is found first may depend on the pieces.
            Err(_) => {
                seen.push("refused".to_owned());
                break;
            }
        }
        let (mut body, mut data) = (conn.body(), Vec::new());
        let broken = loop {
            match poll_fn(|cx| body.poll_frame(cx)).await {
                Ok(Some(Frame::Data(piece))) => data.extend_from_slice(&piece),
                Ok(Some(Frame::Trailers(trailers))) => seen.push(format!("{trailers:?}")),
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        seen.push(format!("{data:?} {broken}"));
        if broken {
            break;
        }
    }
    seen
}

/// Gives bytes in pieces and takes everything.
struct Pieces {
    bytes: Vec<u8>,
    at: usize,
    piece: usize,
}

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let len = (self.bytes.len() - self.at).min(self.piece).min(buf.remaining());
        buf.put_slice(&self.bytes[self.at..self.at + len]);
        self.at += len;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pieces {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
