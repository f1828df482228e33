//! Destinations, bodies and servers over real sockets.

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http1::{Limits, ServerConn};
use net::Io;
use tokio::net::TcpListener;
use upstream::{
    Body, BodyError, BodyKind, Destination, Frame, Registry, RequestHead, Response, ResponseBody, Trailers,
};

/// Runs a test as a worker runs: one thread, local tasks, bounded in time.
pub fn worker<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    let bounded = local.run_until(async { tokio::time::timeout(Duration::from_secs(20), test).await });
    runtime.block_on(bounded).expect("in time");
}

pub fn destination(address: SocketAddr, edit: impl FnOnce(&mut ir::Cluster)) -> Destination {
    let mut config = ir::Cluster::new("test", ir::ClusterDiscovery::Static(Default::default()));
    edit(&mut config);
    let cluster = Registry::default().cluster(&config.name);
    let endpoint = cluster.endpoint(&ir::Address::Socket(address));
    Destination {
        config: Arc::new(config),
        cluster,
        endpoint,
        tls: None,
        transport_key: 0,
        proxy_protocol: None,
        named: None,
    }
}

pub fn http2(config: &mut ir::Cluster) {
    config.protocol = ir::HttpProtocol::Http2;
}

pub fn get(path: &str) -> RequestHead {
    RequestHead::new("GET", "http", "host", path)
}

pub fn post(path: &str) -> RequestHead {
    RequestHead::new("POST", "http", "host", path)
}

/// All of a body, each piece released as it is taken.
pub async fn read<B: Body>(body: &mut B) -> Result<(Vec<u8>, Option<Trailers>), BodyError> {
    let (mut data, mut trailers) = (Vec::new(), None);
    while let Some(frame) = poll_fn(|cx| body.poll_frame(cx)).await? {
        match frame {
            Frame::Data(piece) => {
                data.extend_from_slice(&piece);
                body.release(piece.len());
            }
            Frame::Trailers(fields) => trailers = Some(fields),
        }
    }
    Ok((data, trailers))
}

/// Waits for what is to happen at once, and not only when somebody looks after 15 s.
pub async fn soon(what: &str, happened: impl Fn() -> bool) {
    let waiting = async {
        while !happened() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(2), waiting).await.expect(what);
}

pub async fn text<B: Body>(response: Box<Response<B>>) -> String {
    let Response { mut body, .. } = *response;
    String::from_utf8(read(&mut body).await.unwrap().0).unwrap()
}

pub async fn drain<B: Body>(mut body: ResponseBody<B>) -> Result<usize, BodyError> {
    Ok(read(&mut body).await?.0.len())
}

/// A body in pieces. Counts what was taken and what was released.
#[derive(Default)]
pub struct Pieces {
    pub frames: VecDeque<Frame>,
    pub taken: Rc<Cell<usize>>,
    pub released: Rc<Cell<usize>>,
    /// After the frames: never ends.
    pub endless: bool,
}

impl Pieces {
    pub fn of(count: usize, size: usize) -> Self {
        let piece = Frame::Data(Bytes::from(vec![b'x'; size]));
        Pieces { frames: std::iter::repeat_n(piece, count).collect(), ..Pieces::default() }
    }

    pub fn trailer(mut self, name: &'static str, value: &'static str) -> Self {
        let mut trailers = Trailers::default();
        trailers.push(name, value);
        self.frames.push_back(Frame::Trailers(trailers));
        self
    }
}

impl Body for Pieces {
    fn poll_frame(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Frame>, BodyError>> {
        let frame = self.frames.pop_front();
        if let Some(Frame::Data(data)) = &frame {
            self.taken.set(self.taken.get() + data.len());
        }
        match frame {
            None if self.endless => Poll::Pending,
            frame => Poll::Ready(Ok(frame)),
        }
    }

    fn release(&mut self, bytes: usize) {
        self.released.set(self.released.get() + bytes);
    }

    fn kind(&self) -> BodyKind {
        BodyKind::Chunked
    }
}

/// Serves each HTTP/1 connection with `serve`; counts connections.
pub async fn http1_server<F, Fut>(serve: F) -> (SocketAddr, Rc<Cell<usize>>)
where
    F: Fn(usize, ServerConn<Io>) -> Fut + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Rc::new(Cell::new(0));
    let counted = count.clone();
    tokio::task::spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let number = counted.get();
            counted.set(number + 1);
            tokio::task::spawn_local(serve(number, ServerConn::new(Io::from(stream), Limits::default())));
        }
    });
    (address, count)
}

/// Serves each HTTP/2 connection with `serve`; counts connections.
pub async fn http2_server<F, Fut>(serve: F) -> (SocketAddr, Rc<Cell<usize>>)
where
    F: Fn(usize, h2::server::Connection<Io, Bytes>) -> Fut + 'static,
    Fut: Future<Output = ()> + 'static,
{
    http2_server_with(h2::server::Builder::new(), serve).await
}

pub async fn http2_server_with<F, Fut>(
    builder: h2::server::Builder,
    serve: F,
) -> (SocketAddr, Rc<Cell<usize>>)
where
    F: Fn(usize, h2::server::Connection<Io, Bytes>) -> Fut + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Rc::new(Cell::new(0));
    let counted = count.clone();
    tokio::task::spawn_local(async move {
        let serve = Rc::new(serve);
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let number = counted.get();
            counted.set(number + 1);
            let (builder, serve) = (builder.clone(), serve.clone());
            tokio::task::spawn_local(async move {
                let conn = builder.handshake(Io::from(stream)).await.unwrap();
                serve(number, conn).await;
            });
        }
    });
    (address, count)
}
