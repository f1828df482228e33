//! What an exchange costs in allocations, once a connection is warm: nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::future::poll_fn;

use bytes::Bytes;
use http1::{Body, BodyKind, ClientConn, Empty, Frame, Full, Limits, RequestHead, ResponseHead, ServerConn};
use tokio::io::{DuplexStream, duplex};

/// Counts what the present thread asks for.
struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

fn count() {
    // While the thread ends there is nothing to count for.
    let _ = COUNT.try_with(|count| count.set(count.get() + 1));
}

#[allow(unsafe_code)]
// SAFETY: everything is left to the system's allocator; counting neither allocates nor panics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as our own caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as our own caller promised.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new: usize) -> *mut u8 {
        count();
        // SAFETY: as our own caller promised.
        unsafe { System.realloc(ptr, layout, new) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Ends {
    client: ClientConn<DuplexStream>,
    server: ServerConn<DuplexStream>,
}

/// A request and its response as a proxy handles them: read, stripped, edited, answered.
async fn exchange(ends: &mut Ends, head: &RequestHead, request: &Bytes, chunked: bool, response: &Bytes) {
    let Ends { client, server } = ends;
    let mut upload = Full::new(request.clone());
    client.start(head, if chunked { BodyKind::Chunked } else { upload.kind() });
    let serve = async {
        let mut head = server.read_head().await.unwrap().unwrap();
        head.strip_hop_by_hop(false);
        head.set("x-forwarded-proto", "http");
        assert_eq!(drain(&mut server.body()).await, request.len());
        let mut answer = ResponseHead::new(200);
        answer.set("server", "lateen");
        let mut body = Full::new(response.clone());
        server.start(&answer, if chunked { BodyKind::Chunked } else { body.kind() }, false);
        server.write_body(&mut body).await.unwrap().unwrap();
        assert!(server.finish().await.unwrap());
    };
    let ask = async {
        match request.is_empty() {
            true => poll_fn(|cx| client.poll_write_body(&mut Empty, cx)).await.unwrap().unwrap(),
            false => poll_fn(|cx| client.poll_write_body(&mut upload, cx)).await.unwrap().unwrap(),
        }
        assert_eq!(client.read_head().await.unwrap().status(), 200);
        assert_eq!(drain(&mut client.body()).await, response.len());
        assert!(client.reusable());
    };
    tokio::join!(serve, ask);
}

async fn drain(body: &mut impl Body) -> usize {
    let mut len = 0;
    while let Some(frame) = poll_fn(|cx| body.poll_frame(cx)).await.unwrap() {
        if let Frame::Data(data) = frame {
            len += data.len();
            http1::pool::recycle(data);
        }
    }
    len
}

#[tokio::test(flavor = "current_thread")]
async fn an_exchange_allocates_nothing() {
    let (near, far) = duplex(1 << 16);
    let mut ends = Ends {
        client: ClientConn::new(near, Limits::default()),
        server: ServerConn::new(far, Limits::default()),
    };
    let mut plain = RequestHead::new("GET", "a.example", "/index.html?page=1");
    plain.set("user-agent", "test");
    plain.set("accept", "*/*");
    plain.set("connection", "keep-alive");
    let mut post = RequestHead::new("POST", "a.example", "/upload");
    post.set("content-type", "text/plain");
    for (what, head, request, response, chunked) in [
        ("GET", &plain, 0, 200, false),
        ("POST", &post, 1000, 0, false),
        ("larger than what is copied", &post, 10_000, 10_000, false),
        ("chunks", &post, 5000, 5000, true),
    ] {
        let (request, response) = (Bytes::from(vec![b'x'; request]), Bytes::from(vec![b'y'; response]));
        for _ in 0..3 {
            exchange(&mut ends, head, &request, chunked, &response).await;
        }
        let before = COUNT.get();
        for _ in 0..100 {
            exchange(&mut ends, head, &request, chunked, &response).await;
        }
        assert_eq!(COUNT.get() - before, 0, "{what}: in 100 exchanges");
    }
}
