//! Both ends of connections over in-memory streams.

mod burst;
mod client;
mod expectation;
mod server;

use std::future::poll_fn;
use std::time::Duration;

use http1::{Body, BodyError, ClientConn, Frame, Incoming, Limits, ServerConn, Trailers};
use tokio::io::{AsyncReadExt, DuplexStream, duplex};

fn server(size: usize) -> (DuplexStream, ServerConn<DuplexStream>) {
    let (far, near) = duplex(size);
    (far, ServerConn::new(near, Limits::default()))
}

async fn collect(body: &mut Incoming<DuplexStream>) -> Result<(Vec<u8>, Option<Trailers>), BodyError> {
    let mut data = Vec::new();
    loop {
        match poll_fn(|cx| body.poll_frame(cx)).await? {
            Some(Frame::Data(piece)) => data.extend_from_slice(&piece),
            Some(Frame::Trailers(trailers)) => return Ok((data, Some(trailers))),
            None => return Ok((data, None)),
        }
    }
}

/// Reads what there is until nothing more comes.
async fn available(stream: &mut DuplexStream) -> String {
    let mut all = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(Ok(read)) = tokio::time::timeout(Duration::from_millis(20), stream.read(&mut piece)).await {
        if read == 0 {
            break;
        }
        all.extend_from_slice(&piece[..read]);
    }
    String::from_utf8(all).unwrap()
}

fn client(size: usize) -> (DuplexStream, ClientConn<DuplexStream>) {
    let (far, near) = duplex(size);
    (far, ClientConn::new(near, Limits::default()))
}
