//! Parse, write, parse: heads of requests and responses, and the body of a whole request, are the
//! same message again, and what is written is read alike by everyone.

#![no_main]

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http1::{Body, BodyKind, ClientConn, Frame, Limits, RequestHead, ResponseHead, ServerConn};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A head that was rewritten may be a few bytes longer.
const ROOMY: Limits = Limits { max_headers_kb: 128, max_headers_count: 200 };

fuzz_target!(|bytes: &[u8]| {
    response(bytes);
    let Some(message) = run(read(bytes.to_vec(), Limits::default())) else { return };
    let Some(sent) = run(forward(&message)) else { return };
    let again = run(read(sent, ROOMY)).expect("what we write is a request");
    let same = |m: &Message| {
        let (path, host) = (m.head.path().to_vec(), m.head.authority().to_vec());
        (m.head.method().to_vec(), path, host, m.body.clone(), m.trailers.clone())
    };
    assert_eq!(same(&message), same(&again));
});

fn response(bytes: &[u8]) {
    for method in [&b"GET"[..], b"HEAD"] {
        let Ok(Some((head, _))) = ResponseHead::parse(bytes, method, &Limits::default()) else { continue };
        let mut out = BytesMut::new();
        head.write(head.body_kind(), &mut out);
        let (again, len) = ResponseHead::parse(&out, method, &ROOMY).expect("valid").expect("complete");
        assert_eq!((len, again.status(), again.body_kind()), (out.len(), head.status(), head.body_kind()));
    }
}

struct Message {
    head: RequestHead,
    body: Vec<u8>,
    trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

/// The first request in the bytes, if it is good and whole.
async fn read(bytes: Vec<u8>, limits: Limits) -> Option<Message> {
    let mut conn = ServerConn::new(Memory { bytes, at: 0, written: Vec::new() }, limits);
    let head = conn.read_head().await.ok()??;
    let (mut body, mut message) = (conn.body(), Message { head, body: Vec::new(), trailers: Vec::new() });
    while let Some(frame) = poll_fn(|cx| body.poll_frame(cx)).await.ok()? {
        match frame {
            Frame::Data(data) => message.body.extend_from_slice(&data),
            Frame::Trailers(all) => {
                message.trailers.extend(all.iter().map(|(n, v)| (n.to_vec(), v.to_vec())))
            }
        }
    }
    Some(message)
}

/// The bytes of the message as we send it on.
async fn forward(message: &Message) -> Option<Vec<u8>> {
    let mut head = message.head.clone();
    head.strip_hop_by_hop(false);
    // Only HTTP/1.0 may come without one, and leaves as HTTP/1.1.
    if head.authority().is_empty() {
        return None;
    }
    let mut conn = ClientConn::new(Memory::default(), ROOMY);
    let mut frames = vec![];
    if !message.body.is_empty() {
        frames.push(Frame::Data(Bytes::from(message.body.clone())));
    }
    if !message.trailers.is_empty() {
        let mut trailers = http1::Trailers::default();
        message.trailers.iter().for_each(|(n, v)| trailers.push(n.clone(), v.clone()));
        frames.push(Frame::Trailers(trailers));
    }
    frames.reverse();
    let mut body = Frames(frames, message.head.body_kind());
    conn.start(&head, body.kind());
    poll_fn(|cx| conn.poll_write_body(&mut body, cx)).await.expect("a socket").expect("a body as announced");
    conn.with_io(|io| io.written.clone())
}

/// Frames, the next one last.
struct Frames(Vec<Frame>, BodyKind);

impl Body for Frames {
    fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Frame>, http1::BodyError>> {
        Poll::Ready(Ok(self.0.pop()))
    }

    fn kind(&self) -> BodyKind {
        self.1
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("nothing to wait for"),
    }
}

/// A stream of bytes that are there, which keeps what is written.
#[derive(Default)]
struct Memory {
    bytes: Vec<u8>,
    at: usize,
    written: Vec<u8>,
}

impl AsyncRead for Memory {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let len = (self.bytes.len() - self.at).min(buf.remaining());
        buf.put_slice(&self.bytes[self.at..self.at + len]);
        self.at += len;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Memory {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        self.written.extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
