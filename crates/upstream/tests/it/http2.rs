//! HTTP/2 towards endpoints: many requests on one connection, windows, GOAWAY, bridging, ALPN.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use crate::common::{
    Pieces, destination, drain, get, http2, http2_server, http2_server_with, post, soon, text, worker,
};
use bytes::Bytes;
use futures_util::future::join_all;
use h2::RecvStream;
use h2::server::{Connection, SendResponse};
use net::Io;
use tokio::sync::Notify;
use upstream::{Body, Empty, Failure, SendOptions, Upstream};

type Conn = Connection<Io, Bytes>;

/// Serves every stream of a connection with `serve`.
async fn streams<F, Fut>(mut conn: Conn, serve: F)
where
    F: Fn(http::Request<RecvStream>, SendResponse<Bytes>) -> Fut + 'static,
    Fut: Future<Output = ()> + 'static,
{
    while let Some(Ok((request, respond))) = conn.accept().await {
        tokio::task::spawn_local(serve(request, respond));
    }
}

/// Answers with path and body, and the request's trailers.
async fn echo(request: http::Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let path = request.uri().path().to_owned();
    let mut recv = request.into_body();
    let mut data = Vec::new();
    while let Some(piece) = recv.data().await {
        let piece = piece.unwrap();
        recv.flow_control().release_capacity(piece.len()).unwrap();
        data.extend_from_slice(&piece);
    }
    let trailers = recv.trailers().await.unwrap();
    let mut send = respond.send_response(http::Response::new(()), false).unwrap();
    let out = format!("{path}:{}", data.len());
    send.send_data(out.into(), trailers.is_none()).unwrap();
    if let Some(trailers) = trailers {
        send.send_trailers(trailers).unwrap();
    }
}

/// Longer than its connection may be idle.
async fn slowly(_request: http::Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    tokio::time::sleep(Duration::from_millis(100)).await;
    respond.send_response(http::Response::new(()), true).unwrap();
}

#[test]
fn closes_what_is_idle_after_having_been_busy_for_longer() {
    worker(async {
        let (address, _) = http2_server(|_, conn| streams(conn, slowly)).await;
        let to = destination(address, |cluster| {
            http2(cluster);
            cluster.idle_timeout = Some(Duration::from_millis(40));
        });
        let upstream = Upstream::new();
        text(upstream.send(&to, &get("/"), Empty, &SendOptions::default()).await.unwrap()).await;
        assert_eq!(to.cluster.connections(), 1);
        soon("closed once it was idle for long", || to.cluster.connections() == 0).await;
    });
}

#[test]
fn many_requests_share_a_connection() {
    worker(async {
        let (address, connections) = http2_server(|_, conn| streams(conn, echo)).await;
        let (upstream, to) = (Upstream::new(), destination(address, http2));
        let one = |n: usize| {
            let (upstream, to) = (&upstream, &to);
            async move {
                let head = get(&format!("/{n}"));
                let response = upstream.send(to, &head, Empty, &SendOptions::default()).await.unwrap();
                assert_eq!(response.facts.protocol, "HTTP/2");
                assert_eq!(text(response).await, format!("/{n}:0"));
            }
        };
        join_all((0..50).map(one)).await;
        join_all((0..50).map(one)).await;
        assert_eq!((connections.get(), upstream.kept()), (1, (0, 1)));
        assert_eq!((to.endpoint.load(), to.cluster.requests(), to.cluster.connections()), (0, 0, 1));
        upstream.shut_down();
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(to.cluster.connections(), 0);
    });
}

#[test]
fn keeps_to_the_streams_that_the_endpoint_allows() {
    worker(async {
        let mut builder = h2::server::Builder::new();
        builder.max_concurrent_streams(2);
        let most = Rc::new(Cell::new(0usize));
        let seen = most.clone();
        let slow = move |_, conn| {
            let (seen, active) = (seen.clone(), Rc::new(Cell::new(0usize)));
            streams(conn, move |request, respond| {
                let (seen, active) = (seen.clone(), active.clone());
                async move {
                    active.set(active.get() + 1);
                    seen.set(seen.get().max(active.get()));
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    echo(request, respond).await;
                    active.set(active.get() - 1);
                }
            })
        };
        let (address, connections) = http2_server_with(builder, slow).await;
        let (upstream, to) = (Upstream::new(), destination(address, http2));
        // The first tells us the setting.
        text(upstream.send(&to, &get("/"), Empty, &SendOptions::default()).await.unwrap()).await;
        let one = |_| async {
            text(upstream.send(&to, &get("/"), Empty, &SendOptions::default()).await.unwrap()).await
        };
        let all = join_all((0..6).map(one)).await;
        assert!(all.iter().all(|body| body == "/:0"));
        assert!(most.get() <= 2 && connections.get() >= 2, "{} on {}", most.get(), connections.get());
    });
}

#[test]
fn bodies_and_trailers_cross() {
    worker(async {
        let (address, _) = http2_server(|_, conn| streams(conn, echo)).await;
        let (upstream, to) = (Upstream::new(), destination(address, http2));
        let body = Pieces::of(100, 30_000).trailer("grpc-status", "0");
        let released = body.released.clone();
        let mut head = post("/svc/m");
        head.set("content-type", "application/grpc");
        head.set("te", "trailers");
        let response = upstream.send(&to, &head, body, &SendOptions::default()).await.unwrap();
        let mut body = response.body;
        let (data, trailers) = crate::common::read(&mut body).await.unwrap();
        assert_eq!(data, b"/svc/m:3000000");
        assert_eq!(trailers.unwrap().get("grpc-status"), Some(&b"0"[..]));
        assert_eq!(released.get(), 3_000_000);
    });
}

#[test]
fn windows_hold_both_sides_back() {
    worker(async {
        // The server takes nothing of the request, and sends without end.
        let served = |_, conn| {
            streams(conn, |request: http::Request<RecvStream>, mut respond: SendResponse<Bytes>| async move {
                let _kept = request.into_body();
                let mut send = respond.send_response(http::Response::new(()), false).unwrap();
                loop {
                    send.reserve_capacity(16 * 1024);
                    let Some(Ok(room)) = poll_fn(|cx| send.poll_capacity(cx)).await else { return };
                    if send.send_data(vec![b'x'; room].into(), false).is_err() {
                        return;
                    }
                }
            })
        };
        let (address, _) = http2_server(served).await;
        let (upstream, to) = (Upstream::new(), destination(address, http2));
        let body = Pieces::of(1000, 10_000);
        let (taken, released) = (body.taken.clone(), body.released.clone());
        let mut response = upstream.send(&to, &post("/"), body, &SendOptions::default()).await.unwrap();
        // Take pieces without releasing them: at the window's end nothing more comes.
        let mut received = 0;
        let mut pieces = Vec::new();
        let next =
            |body: &mut upstream::ResponseBody<Pieces>, cx: &mut std::task::Context<'_>| body.poll_frame(cx);
        while let Ok(frame) =
            tokio::time::timeout(Duration::from_millis(50), poll_fn(|cx| next(&mut response.body, cx))).await
        {
            let Some(upstream::Frame::Data(piece)) = frame.unwrap() else { panic!("no end comes") };
            received += piece.len();
            pieces.push(piece.len());
        }
        assert_eq!(received, 256 * 1024);
        assert!(taken.get() < 500_000 && released.get() <= taken.get(), "{} {}", taken.get(), released.get());
        // Releasing makes more come.
        pieces.into_iter().for_each(|len| response.body.release(len));
        assert!(poll_fn(|cx| next(&mut response.body, cx)).await.unwrap().is_some());
        assert!(!response.body.request_done());
    });
}

#[test]
fn goaway_ends_nothing_that_runs() {
    worker(async {
        // Each connection announces its end with its first request, and serves that slowly.
        let served = |number: usize, mut conn: Conn| async move {
            while let Some(Ok((_, mut respond))) = conn.accept().await {
                if number == 0 {
                    conn.graceful_shutdown();
                }
                tokio::task::spawn_local(async move {
                    let mut send = respond.send_response(http::Response::new(()), false).unwrap();
                    tokio::time::sleep(Duration::from_millis(80)).await;
                    send.send_data(format!("from {number}").into(), true).unwrap();
                });
            }
        };
        let (address, connections) = http2_server(served).await;
        let (upstream, to) = (Upstream::new(), destination(address, http2));
        let first = upstream.send(&to, &get("/"), Empty, &SendOptions::default()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        let second = upstream.send(&to, &get("/"), Empty, &SendOptions::default()).await.unwrap();
        let (first, second) = tokio::join!(text(first), text(second));
        assert_eq!((first.as_str(), second.as_str()), ("from 0", "from 1"));
        assert_eq!((connections.get(), upstream.kept().1), (2, 1));
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(to.cluster.connections(), 1);
    });
}

/// Serves one request, is deaf for a while, and hangs up without a word.
async fn hangs_up(mut conn: Conn, deaf: Rc<Notify>) {
    if let Some(Ok((request, respond))) = conn.accept().await {
        tokio::task::spawn_local(echo(request, respond));
        let _ = tokio::time::timeout(Duration::from_millis(30), conn.accept()).await;
        deaf.notify_one();
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
}

#[test]
fn a_request_lost_with_an_old_connection_goes_over_a_new_one() {
    worker(async {
        for (method, again) in [("GET", true), ("POST", false)] {
            let deaf = Rc::new(Notify::new());
            let told = deaf.clone();
            let (address, connections) = http2_server(move |_, conn| hangs_up(conn, told.clone())).await;
            let (upstream, to) = (Upstream::new(), destination(address, http2));
            let mut head = get("/");
            text(upstream.send(&to, &head, Empty, &SendOptions::default()).await.unwrap()).await;
            deaf.notified().await;
            head.set_method(method);
            match upstream.send(&to, &head, Empty, &SendOptions::default()).await {
                Ok(response) => assert_eq!((text(response).await, again), ("/:0".to_owned(), true)),
                Err(error) => assert!(!again && error.flag() == "UC" && error.request_started, "{error:?}"),
            }
            assert_eq!(connections.get(), if again { 2 } else { 1 });
            // An idle connection that ends is let go of.
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert_eq!((upstream.kept().1, to.cluster.connections()), (0, 0));
        }
    });
}

#[test]
fn resets_are_told_apart() {
    worker(async {
        for (reason, flag, refused) in [
            (h2::Reason::REFUSED_STREAM, "UR", true),
            (h2::Reason::INTERNAL_ERROR, "UR", false),
            (h2::Reason::ENHANCE_YOUR_CALM, "UR", false),
        ] {
            let served = move |_, conn| {
                streams(
                    conn,
                    move |_, mut respond: SendResponse<Bytes>| async move { respond.send_reset(reason) },
                )
            };
            let (address, _) = http2_server(served).await;
            let (upstream, to) = (Upstream::new(), destination(address, http2));
            let error = upstream.send(&to, &get("/"), Empty, &SendOptions::default()).await.err().unwrap();
            assert_eq!(
                (error.flag(), matches!(error.failure, Failure::Refused)),
                (flag, refused),
                "{error:?}"
            );
            // One stream's reset is not the connection's end; another one is tried after a refusal.
            assert_eq!(upstream.kept().1, if refused { 2 } else { 1 });
        }
        // A reset in the middle of a body.
        let served = |_, conn| {
            streams(conn, |_, mut respond: SendResponse<Bytes>| async move {
                let mut send = respond.send_response(http::Response::new(()), false).unwrap();
                send.send_data("part".into(), false).unwrap();
                tokio::time::sleep(Duration::from_millis(20)).await;
                send.send_reset(h2::Reason::INTERNAL_ERROR);
            })
        };
        let (address, _) = http2_server(served).await;
        let (upstream, to) = (Upstream::new(), destination(address, http2));
        let response = upstream.send(&to, &get("/"), Empty, &SendOptions::default()).await.unwrap();
        let error = drain(response.body).await.unwrap_err();
        assert!(matches!(error, upstream::BodyError::Reset(2)), "{error:?}");
        // Not HTTP/2 at all.
        let (address, _) = crate::common::http1_server(|_, mut conn| async move {
            let _ = conn.read_head().await;
            conn.start(&http1::ResponseHead::new(400), http1::BodyKind::None, true);
            let _ = conn.flush().await;
        })
        .await;
        let to = destination(address, http2);
        let error = upstream.send(&to, &get("/"), Empty, &SendOptions::default()).await.err().unwrap();
        assert!(matches!(error.failure, Failure::Protocol | Failure::Closed), "{error:?}");
    });
}

#[test]
fn a_dropped_response_resets_its_stream() {
    worker(async {
        let reset = Rc::new(Cell::new(None));
        let seen = reset.clone();
        let served = move |_, conn| {
            let seen = seen.clone();
            streams(conn, move |_, mut respond: SendResponse<Bytes>| {
                let seen = seen.clone();
                async move {
                    let mut send = respond.send_response(http::Response::new(()), false).unwrap();
                    seen.set(poll_fn(|cx| send.poll_reset(cx)).await.ok());
                }
            })
        };
        let (address, connections) = http2_server(served).await;
        let (upstream, to) = (Upstream::new(), destination(address, http2));
        for _ in 0..2 {
            drop(upstream.send(&to, &get("/"), Empty, &SendOptions::default()).await.unwrap());
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert_eq!(reset.take(), Some(h2::Reason::CANCEL));
        }
        assert_eq!((connections.get(), to.endpoint.load()), (1, 0));
    });
}

#[test]
fn what_one_connection_refuses_goes_over_another() {
    worker(async {
        let served = |number: usize, conn: Conn| {
            streams(conn, move |request, mut respond: SendResponse<Bytes>| async move {
                match number {
                    0 => respond.send_reset(h2::Reason::REFUSED_STREAM),
                    _ => echo(request, respond).await,
                }
            })
        };
        let (address, connections) = http2_server(served).await;
        let (upstream, to) = (Upstream::new(), destination(address, http2));
        for _ in 0..5 {
            let response = upstream.send(&to, &post("/a"), Empty, &SendOptions::default()).await.unwrap();
            assert_eq!(text(response).await, "/a:0");
        }
        assert_eq!((connections.get(), upstream.kept().1), (2, 2));
    });
}

#[test]
fn keeps_to_our_own_limit_of_streams() {
    worker(async {
        let slow = |_, conn| {
            streams(conn, |request, respond| async move {
                tokio::time::sleep(Duration::from_millis(50)).await;
                echo(request, respond).await;
            })
        };
        let (address, connections) = http2_server(slow).await;
        let to = destination(address, |config| {
            http2(config);
            config.http2.max_concurrent_streams = Some(2);
        });
        let upstream = Upstream::new();
        let one = |_| async {
            text(upstream.send(&to, &get("/"), Empty, &SendOptions::default()).await.unwrap()).await
        };
        assert!(join_all((0..6).map(one)).await.iter().all(|body| body == "/:0"));
        assert_eq!(connections.get(), 3);
    });
}

/// Serves one request, and keeps the connection without ever looking at it again.
async fn goes_deaf(mut conn: Conn) {
    if let Some(Ok((request, respond))) = conn.accept().await {
        tokio::task::spawn_local(echo(request, respond));
        let _ = tokio::time::timeout(Duration::from_millis(30), conn.accept()).await;
        std::future::pending::<()>().await;
    }
}

#[test]
fn pings_find_connections_that_are_dead() {
    let ms = Duration::from_millis;
    for (interval, idle_interval) in [(Some(ms(40)), None), (None, Some(ms(40)))] {
        worker(async move {
            let (address, _) = http2_server(|_, conn| goes_deaf(conn)).await;
            let to = destination(address, |config| {
                http2(config);
                let timeout = Duration::from_millis(80);
                let keepalive =
                    ir::http::Http2Keepalive { interval, timeout, jitter_percent: Some(0), idle_interval };
                config.http2.keepalive = Some(keepalive);
            });
            let upstream = Upstream::new();
            text(upstream.send(&to, &get("/"), Empty, &SendOptions::default()).await.unwrap()).await;
            tokio::time::sleep(ms(60)).await;
            let begin = std::time::Instant::now();
            let error = upstream.send(&to, &post("/"), Empty, &SendOptions::default()).await.err().unwrap();
            assert!(matches!(error.failure, Failure::Closed), "{error:?}");
            assert!(begin.elapsed() < ms(1000), "{:?}", begin.elapsed());
            assert_eq!(upstream.kept().1, 0);
        });
    }
}
