//! HTTP/1 towards endpoints: reuse, races, early answers, upgrades, errors.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use crate::common::{Pieces, destination, get, http1_server, post, read, soon, text, worker};
use bytes::Bytes;
use http1::{ResponseHead, ServerConn};
use net::Io;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use upstream::{Body, BodyError, BodyKind, Empty, Failure, Full, SendOptions, Upstream};

/// Answers every request with its path and body.
async fn echo(mut conn: ServerConn<Io>) {
    while let Ok(Some(head)) = conn.read_head().await {
        let (data, trailers) = read(&mut conn.body()).await.unwrap();
        let mut out = [head.path(), b":", &data].concat();
        if let Some(trailers) = trailers {
            trailers.iter().for_each(|(name, value)| out.extend([b";", name, b"=", value].concat()));
        }
        conn.start(&ResponseHead::new(200), BodyKind::Length(out.len() as u64), false);
        conn.write_body(&mut Full::new(out)).await.unwrap().unwrap();
        if !conn.finish().await.unwrap() {
            return;
        }
    }
}

#[test]
fn uses_a_connection_again_and_counts() {
    worker(async {
        let (address, connections) = http1_server(|_, conn| echo(conn)).await;
        let (upstream, to) = (Upstream::new(), destination(address, |_| ()));
        for n in 0..3 {
            let head = get(&format!("/{n}"));
            let response = upstream.send(&to, &head, Empty, &SendOptions::default()).await.unwrap();
            assert_eq!((response.head.status(), response.facts.protocol), (200, "HTTP/1.1"));
            assert_eq!(response.reused, n > 0);
            assert_eq!((to.endpoint.load(), to.cluster.requests(), to.cluster.connections()), (1, 1, 1));
            assert_eq!(text(response).await, format!("/{n}:"));
            assert_eq!((to.endpoint.load(), to.cluster.requests()), (0, 0));
        }
        let body = Pieces::of(3, 2).trailer("t", "v");
        let released = body.released.clone();
        let response = upstream.send(&to, &post("/p"), body, &SendOptions::default()).await.unwrap();
        assert_eq!(text(response).await, "/p:xxxxxx;t=v");
        assert_eq!((connections.get(), upstream.kept(), released.get()), (1, (1, 0), 6));
        upstream.shut_down();
        assert_eq!((upstream.kept(), to.cluster.connections()), ((0, 0), 0));
    });
}

#[test]
fn parallel_requests_have_connections_of_their_own() {
    worker(async {
        let (address, connections) = http1_server(|_, conn| echo(conn)).await;
        let (upstream, to) = (Upstream::new(), destination(address, |_| ()));
        for _ in 0..2 {
            let (head, options) = (get("/"), SendOptions::default());
            let send = || upstream.send(&to, &head, Empty, &options);
            let (a, b, c) = tokio::join!(send(), send(), send());
            for response in [a, b, c] {
                assert_eq!(text(response.unwrap()).await, "/:");
            }
        }
        assert_eq!((connections.get(), upstream.kept().0), (3, 3));
    });
}

#[test]
fn lets_go_of_what_the_endpoint_closed() {
    worker(async {
        let close = Rc::new(Notify::new());
        let told = close.clone();
        let served = move |_, mut conn: ServerConn<Io>| {
            let told = told.clone();
            async move {
                conn.read_head().await.unwrap().unwrap();
                conn.start(&ResponseHead::new(200), BodyKind::None, false);
                conn.flush().await.unwrap();
                told.notified().await;
            }
        };
        let (address, connections) = http1_server(served).await;
        let (upstream, to) = (Upstream::new(), destination(address, |_| ()));
        for n in 1..=2 {
            let response = upstream.send(&to, &get("/"), Empty, &SendOptions::default()).await.unwrap();
            text(response).await;
            assert_eq!((upstream.kept().0, connections.get()), (1, n));
            close.notify_one();
            soon("closed as soon as the endpoint did", || {
                (upstream.kept().0, to.cluster.connections()) == (0, 0)
            })
            .await;
        }
    });
}

#[test]
fn closes_what_is_idle_for_too_long() {
    worker(async {
        let (address, connections) = http1_server(|_, conn| echo(conn)).await;
        let idle = |timeout: Option<Duration>| destination(address, |c| c.idle_timeout = timeout);
        let (upstream, short, long) = (Upstream::new(), idle(Some(Duration::from_millis(50))), idle(None));
        for to in [&long, &short] {
            text(upstream.send(to, &get("/"), Empty, &SendOptions::default()).await.unwrap()).await;
        }
        assert_eq!(upstream.kept().0, 2);
        tokio::time::sleep(Duration::from_millis(120)).await;
        assert_eq!((upstream.kept().0, connections.get()), (1, 2));
    });
}

#[test]
fn keeps_to_max_requests_per_connection() {
    worker(async {
        let (address, connections) = http1_server(|_, conn| echo(conn)).await;
        let (upstream, to) =
            (Upstream::new(), destination(address, |c| c.max_requests_per_connection = Some(2)));
        for _ in 0..4 {
            text(upstream.send(&to, &get("/"), Empty, &SendOptions::default()).await.unwrap()).await;
        }
        assert_eq!(connections.get(), 2);
    });
}

/// The first connection answers once and closes when the second request is there.
async fn closes_on_second(number: usize, mut conn: ServerConn<Io>) {
    if number > 0 {
        return echo(conn).await;
    }
    conn.read_head().await.unwrap().unwrap();
    conn.start(&ResponseHead::new(200), BodyKind::None, false);
    conn.flush().await.unwrap();
    conn.readable().await.unwrap();
}

#[test]
fn a_request_lost_with_an_old_connection_goes_over_a_new_one() {
    worker(async {
        for (method, again) in [("GET", true), ("POST", false)] {
            let (address, connections) = http1_server(closes_on_second).await;
            let (upstream, to) = (Upstream::new(), destination(address, |_| ()));
            text(upstream.send(&to, &get("/1"), Empty, &SendOptions::default()).await.unwrap()).await;
            let mut head = get("/2");
            head.set_method(method);
            match upstream.send(&to, &head, Empty, &SendOptions::default()).await {
                Ok(response) => assert_eq!((text(response).await, again), ("/2:".to_owned(), true)),
                Err(error) => {
                    assert!(matches!(error.failure, Failure::Closed) && !again, "{error:?}");
                    assert!(error.request_started && !error.response_started);
                    assert!(error.over.as_ref().is_some_and(|over| over.local.is_some()));
                    assert_eq!((error.flag(), to.endpoint.load()), ("UC", 0));
                }
            }
            assert_eq!(connections.get(), if again { 2 } else { 1 });
        }
    });
}

#[test]
fn an_answer_may_come_before_the_request_ends() {
    worker(async {
        let served = |_, mut conn: ServerConn<Io>| async move {
            conn.read_head().await.unwrap().unwrap();
            conn.start(&ResponseHead::new(413), BodyKind::Length(3), true);
            conn.write_body(&mut Full::new("big")).await.unwrap().unwrap();
            conn.close(Duration::from_secs(1)).await;
        };
        let (address, _) = http1_server(served).await;
        let (upstream, to) = (Upstream::new(), destination(address, |_| ()));
        let body = Pieces { endless: true, ..Pieces::of(1, 10) };
        let response = upstream.send(&to, &post("/"), body, &SendOptions::default()).await.unwrap();
        assert_eq!((response.head.status(), response.body.request_done()), (413, false));
        assert_eq!(text(response).await, "big");
        assert_eq!((upstream.kept().0, to.cluster.connections()), (0, 0));
    });
}

#[test]
fn both_directions_flow_at_once() {
    worker(async {
        // Answers at once and echoes: the request's body goes out while the response is read.
        let served = |_, mut conn: ServerConn<Io>| async move {
            conn.read_head().await.unwrap().unwrap();
            let mut body = conn.body();
            conn.start(&ResponseHead::new(200), BodyKind::Chunked, true);
            conn.write_body(&mut body).await.unwrap().unwrap();
        };
        let (address, _) = http1_server(served).await;
        let (upstream, to) = (Upstream::new(), destination(address, |_| ()));
        let mut body = Pieces::of(200, 50_000);
        let (taken, released) = (body.taken.clone(), body.released.clone());
        let response = upstream.send(&to, &post("/"), &mut body, &SendOptions::default()).await.unwrap();
        // Nobody reads the response, so at some point nothing more of the request is taken.
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(taken.get() < 10_000_000, "{}", taken.get());
        let mut body = response.body;
        assert_eq!(read(&mut body).await.unwrap().0.len(), 10_000_000);
        assert_eq!((released.get(), body.request_done()), (10_000_000, true));
    });
}

#[test]
fn says_what_went_wrong() {
    worker(async {
        let upstream = Upstream::new();
        let options = SendOptions::default();
        // Nobody listens.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = destination(listener.local_addr().unwrap(), |_| ());
        drop(listener);
        let error = upstream.send(&to, &get("/"), Empty, &options).await.err().unwrap();
        assert!(matches!(error.failure, Failure::Connect { timeout: false, tls: false }));
        assert_eq!(
            (error.flag(), error.detail.as_str()),
            ("UF", "delayed connect error: Connection refused")
        );
        assert!(!error.request_started);

        // Garbage, or an end in the middle.
        let garbage: [(&'static [u8], &str); 3] = [
            (b"garbage\r\n\r\n", "UPE"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n", "UPE"),
            (b"HTTP/1.1 200", "UC"),
        ];
        for (bytes, flag) in garbage {
            let served = move |_, conn: ServerConn<Io>| async move {
                let mut conn = conn;
                conn.read_head().await.unwrap().unwrap();
                let (mut io, _) = conn.into_upgraded().unwrap();
                io.write_all(bytes).await.unwrap();
            };
            let (address, _) = http1_server(served).await;
            let to = destination(address, |_| ());
            let error = upstream.send(&to, &get("/"), Empty, &options).await.err().unwrap();
            assert_eq!(error.flag(), flag, "{error:?}");
            assert!(error.request_started && error.response_started);
        }

        // The client's body fails.
        struct Failing;
        impl Body for Failing {
            fn poll_frame(
                &mut self,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Result<Option<upstream::Frame>, BodyError>> {
                std::task::Poll::Ready(Err(BodyError::Incomplete))
            }
            fn kind(&self) -> BodyKind {
                BodyKind::Chunked
            }
        }
        let (address, _) = http1_server(|_, conn| echo(conn)).await;
        let to = destination(address, |_| ());
        let error = upstream.send(&to, &post("/"), Failing, &options).await.err().unwrap();
        assert!(matches!(error.failure, Failure::RequestBody(BodyError::Incomplete)));
        assert_eq!((error.flag(), error.outcome(), upstream.kept().0), ("", None, 0));
    });
}

#[test]
fn keeps_to_circuit_breakers_and_timeouts() {
    worker(async {
        let stuck = |_, mut conn: ServerConn<Io>| async move {
            conn.read_head().await.unwrap();
            std::future::pending::<()>().await;
        };
        let (address, _) = http1_server(stuck).await;
        let (upstream, options) = (Upstream::new(), SendOptions::default());
        let edits: [fn(&mut ir::Cluster); 2] = [
            |c| c.thresholds.max_requests = Some(2),
            // The second request waits for the first one's connection.
            |c| (c.thresholds.max_connections, c.thresholds.max_pending_requests) = (Some(1), Some(1)),
        ];
        for edit in edits {
            let to = destination(address, edit);
            // By then the request before has its connection, on a busy machine, too.
            let (head, delay) = (get("/"), Duration::from_millis(150));
            let first = upstream.send(&to, &head, Empty, &options);
            let second = async {
                tokio::time::sleep(delay).await;
                upstream.send(&to, &head, Empty, &options).await
            };
            let third = async {
                tokio::time::sleep(2 * delay).await;
                upstream.send(&to, &head, Empty, &options).await.err().unwrap()
            };
            tokio::select! {
                _ = first => panic!("no answer comes"),
                _ = second => panic!("nor for this one"),
                error = third => assert_eq!(error.flag(), "UO"),
            }
            assert_eq!((to.cluster.requests(), to.cluster.connections(), to.endpoint.load()), (0, 0, 0));
            assert_eq!(to.cluster.pending(), 0);
        }
        // A listener whose queue is full does not answer.
        let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        listener.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let _fillers: Vec<_> =
            (0..2).map(|_| tokio::spawn(tokio::net::TcpStream::connect(address))).collect();
        tokio::time::sleep(Duration::from_millis(20)).await;
        let to = destination(address, |c| c.connect_timeout = Some(Duration::from_millis(50)));
        let error = upstream.send(&to, &get("/"), Empty, &options).await.err().unwrap();
        assert!(matches!(error.failure, Failure::Connect { timeout: true, .. }), "{error:?}");
        assert_eq!(error.reason(), "connection timeout");
    });
}

#[test]
fn upgrades() {
    worker(async {
        let served = |_, mut conn: ServerConn<Io>| async move {
            assert_eq!(conn.read_head().await.unwrap().unwrap().upgrade(), Some(&b"websocket"[..]));
            let mut head = ResponseHead::new(101);
            head.set("upgrade", "websocket");
            conn.start(&head, BodyKind::None, false);
            conn.flush().await.unwrap();
            let (mut io, _) = conn.into_upgraded().unwrap();
            let mut bytes = [0; 4];
            io.read_exact(&mut bytes).await.unwrap();
            io.write_all(&bytes).await.unwrap();
        };
        let (address, _) = http1_server(served).await;
        let (upstream, to) = (Upstream::new(), destination(address, |_| ()));
        let mut head = get("/ws");
        head.set("connection", "upgrade");
        head.set("upgrade", "websocket");
        let response = upstream.send(&to, &head, Empty, &SendOptions::default()).await.unwrap();
        assert_eq!(response.head.status(), 101);
        let (mut io, rest) = response.body.into_upgraded().unwrap();
        assert_eq!((rest, upstream.kept().0), (Bytes::new(), 0));
        assert_eq!((to.endpoint.load(), to.cluster.requests(), to.cluster.connections()), (1, 1, 1));
        io.write_all(b"ping").await.unwrap();
        let mut bytes = [0; 4];
        io.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"ping");
        drop(io);
        assert_eq!((to.endpoint.load(), to.cluster.requests(), to.cluster.connections()), (0, 0, 0));
    });
}

#[test]
fn a_dropped_response_closes_its_connection() {
    worker(async {
        let gone = Rc::new(Cell::new(false));
        let seen = gone.clone();
        let served = move |_, mut conn: ServerConn<Io>| {
            let seen = seen.clone();
            async move {
                conn.read_head().await.unwrap().unwrap();
                conn.start(&ResponseHead::new(200), BodyKind::Chunked, false);
                conn.flush().await.unwrap();
                poll_fn(|cx| conn.poll_closed(cx)).await;
                seen.set(true);
            }
        };
        let (address, _) = http1_server(served).await;
        let (upstream, to) = (Upstream::new(), destination(address, |_| ()));
        drop(upstream.send(&to, &get("/"), Empty, &SendOptions::default()).await.unwrap());
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert!(gone.get() && upstream.kept().0 == 0 && to.endpoint.load() == 0);
    });
}
