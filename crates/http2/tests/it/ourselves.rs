//! Both ends are ours.

use http2::Reason;

use super::*;

/// 3 MiB and some.
fn large() -> Bytes {
    (0..3_333_333u32).map(|at| (at / 7) as u8).collect::<Vec<_>>().into()
}

#[test]
fn bodies_and_trailers_cross_whatever_the_windows_and_the_socket_hold() {
    for (pipe, window) in [(64, 65_535), (4096, 1), (100_000, 1000), (1 << 20, 1 << 20)] {
        run(async move {
            let (near, far) = tokio::io::duplex(pipe);
            let config = Config { stream_window: window, ..Config::default() };
            serve(far, config, echo);
            let client = connect(near, config);
            let sent = match (pipe, window) {
                // More updates of it than bytes would be a flood.
                (_, 1) => large().slice(..500),
                (64, _) => large().slice(..20_000),
                _ => large(),
            };
            let head = request("POST", "/up?x=1", &[("te", "trailers")]);
            let (mut receive, mut send) = client.send(&head, true, false).unwrap();
            let (got, ()) = tokio::join!(
                async {
                    let head = poll_fn(|cx| receive.poll_head(cx)).await.unwrap();
                    assert_eq!((head.status(), head.get("x-path")), (200, Some(&b"/up?x=1"[..])));
                    read_all(&mut receive).await.unwrap()
                },
                async {
                    send_all(&mut send, sent.clone(), false).await.unwrap();
                    send.end().unwrap();
                }
            );
            assert!(got.0 == sent, "{pipe} {window}: {} of {}", got.0.len(), sent.len());
            assert_eq!(got.1.unwrap().get("x-length").unwrap(), sent.len().to_string().as_bytes());
        });
    }
}

#[test]
fn interim_responses_come_before_the_response_and_are_not_many() {
    for (count, status) in [(3, 200), (16, 200), (17, 0)] {
        run(async move {
            let (near, far) = tokio::io::duplex(16 * 1024);
            serve(far, Config::default(), move |incoming| async move {
                let mut send = incoming.send;
                for n in 0..count {
                    send.interim(&response(103, &[("link", &n.to_string())])).unwrap();
                }
                send.respond(&response(200, &[]), true).unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            });
            let client = connect(near, Config::default());
            let (mut receive, _send) = client.send(&request("GET", "/", &[]), true, true).unwrap();
            let head = poll_fn(|cx| receive.poll_head(cx)).await;
            assert_eq!(head.as_ref().map_or(0, |head| head.status()), status, "{count}: {head:?}");
            let links = std::iter::from_fn(|| receive.take_interim())
                .map(|head| (head.status(), head.get("link").unwrap().to_vec()));
            let expected = (0..count.min(16)).map(|n| (103, n.to_string().into_bytes()));
            assert_eq!(links.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        });
    }
}

#[test]
fn what_one_end_sends_the_other_receives_byte_for_byte() {
    run(async {
        let (near, far) = tokio::io::duplex(16 * 1024);
        let (told, tell) = (std::rc::Rc::new(std::cell::Cell::default()), 40_000);
        let seen = told.clone();
        serve(far, Config::default(), move |incoming| {
            let told = told.clone();
            async move {
                let http2::Incoming { mut receive, mut send, .. } = incoming;
                let meter = send.meter();
                read_all(&mut receive).await.unwrap();
                // More than fits into one frame.
                let long = "v".repeat(20_000);
                send.interim(&response(103, &[("link", "</a>")])).unwrap();
                send.respond(&response(200, &[("x-long", &long)]), false).unwrap();
                send_all(&mut send, large().slice(..tell), true).await.unwrap();
                told.set(meter.wire());
            }
        });
        let client = connect(near, Config::default());
        let (mut receive, mut send) = client.send(&request("POST", "/up", &[]), true, false).unwrap();
        let meter = send.meter();
        let sending = async {
            send_all(&mut send, large().slice(..100_000), false).await.unwrap();
            send.end().unwrap();
        };
        let reading = async {
            let head = poll_fn(|cx| receive.poll_head(cx)).await.unwrap();
            assert_eq!(head.status(), 200);
            read_all(&mut receive).await.unwrap()
        };
        let ((), (body, _)) = tokio::join!(sending, reading);
        let (ours, theirs) = (meter.wire(), seen.get());
        assert_eq!(body.len(), tell);
        assert_eq!((ours.sent, ours.sent_heads), (theirs.received, theirs.received_heads));
        assert_eq!((ours.received, ours.received_heads), (theirs.sent, theirs.sent_heads));
        assert!(ours.sent > 100_000 + ours.sent_heads && ours.received_heads > 20_000);
        drop((send, receive));
        assert_eq!(meter.wire(), http1::Wire::default());
    });
}

#[test]
fn streams_take_turns() {
    run(async {
        let (near, far) = tokio::io::duplex(16 * 1024);
        let wide = Config { stream_window: 8 << 20, connection_window: 64 << 20, ..Config::default() };
        serve(far, wide, |incoming| async move {
            let mut send = incoming.send;
            send.respond(&response(200, &[]), false).unwrap();
            send_all(&mut send, large(), true).await.unwrap();
        });
        let client = connect(near, wide);
        let streams: Vec<_> =
            (0..10).map(|_| client.send(&request("GET", "/", &[]), true, true).unwrap().0).collect();
        let got = std::rc::Rc::new(std::cell::RefCell::new(vec![0; 10]));
        let all = streams.into_iter().enumerate().map(|(n, mut receive)| {
            let got = got.clone();
            async move {
                poll_fn(|cx| receive.poll_head(cx)).await.unwrap();
                while let Some(Frame::Data(bytes)) = poll_fn(|cx| receive.poll_frame(cx)).await.unwrap() {
                    receive.release(bytes.len());
                    let most = {
                        let mut got = got.borrow_mut();
                        got[n] += bytes.len();
                        (*got.iter().min().unwrap(), *got.iter().max().unwrap())
                    };
                    assert!(most.1 - most.0 <= 1 << 20, "one is ahead: {most:?}");
                }
            }
        });
        let all: Vec<_> = all.map(spawn_local).collect();
        for one in all {
            one.await.unwrap();
        }
        assert!(got.borrow().iter().all(|bytes| *bytes == large().len()));
    });
}

#[test]
fn a_taker_that_waits_holds_its_stream_back_and_no_other() {
    run(async {
        let (near, far) = tokio::io::duplex(1 << 20);
        let config = Config { stream_window: 100_000, connection_window: 400_000, ..Config::default() };
        serve(far, config, |incoming| async move {
            let mut send = incoming.send;
            send.respond(&response(200, &[]), false).unwrap();
            let _ = send_all(&mut send, large(), true).await;
        });
        let client = connect(near, config);
        let ask = || client.send(&request("GET", "/", &[]), false, true).unwrap().0;
        let stalled: Vec<_> = (0..3).map(|_| ask()).collect();
        let mut taken = ask();
        poll_fn(|cx| taken.poll_head(cx)).await.unwrap();
        assert!(read_all(&mut taken).await.unwrap().0 == large());
        // Those who give up give the connection's window back.
        drop(stalled);
        for _ in 0..10 {
            let mut gone = ask();
            poll_fn(|cx| gone.poll_head(cx)).await.unwrap();
        }
        let mut last = ask();
        poll_fn(|cx| last.poll_head(cx)).await.unwrap();
        assert!(read_all(&mut last).await.unwrap().0 == large());
    });
}

#[test]
fn resets_reach_the_other_end() {
    run(async {
        let (near, far) = tokio::io::duplex(4096);
        serve(far, Config::default(), |mut incoming| async move {
            match incoming.head.path() {
                b"/refuse" => incoming.send.reset(Reason::REFUSED_STREAM),
                b"/forget" => {}
                b"/early" => incoming.send.respond(&response(413, &[]), true).unwrap(),
                _ => {
                    let reset = poll_fn(|cx| incoming.send.poll_reset(cx)).await;
                    assert_eq!(reset.reason(), Some(Reason::CANCEL));
                }
            }
        });
        let client = connect(near, Config::default());
        let outcome = async |path| {
            let (mut receive, _send) = client.send(&request("POST", path, &[]), false, false).unwrap();
            poll_fn(|cx| receive.poll_head(cx))
                .await
                .map(|head| head.status())
                .map_err(|error| error.reason())
        };
        assert_eq!(outcome("/refuse").await, Err(Some(Reason::REFUSED_STREAM)));
        assert_eq!(outcome("/forget").await, Err(Some(Reason::CANCEL)));
        // What is whole stays so, though the rest of the request is not wanted.
        assert_eq!(outcome("/early").await, Ok(413));
        let waiting = client.send(&request("GET", "/wait", &[]), false, true).unwrap();
        tokio::task::yield_now().await;
        drop(waiting);
        tokio::task::yield_now().await;
        assert_eq!(outcome("/early").await, Ok(413));
    });
}

#[test]
fn an_announced_end_loses_nothing() {
    run(async {
        let (near, far) = tokio::io::duplex(4096);
        let client = connect(near, Config::default());
        let early = client.send(&request("GET", "/", &[]), false, true).unwrap();
        let mut server = Server::new(far, Config::default());
        let Some(Ok(first)) = poll_fn(|cx| server.poll_accept(cx)).await else { panic!("a request") };
        server.announce_end();
        // On its way when the end is announced.
        let late = client.send(&request("GET", "/", &[]), false, true).unwrap();
        let Some(Ok(second)) = poll_fn(|cx| server.poll_accept(cx)).await else { panic!("another") };
        for mut incoming in [first, second] {
            incoming.send.respond(&response(204, &[]), true).unwrap();
        }
        assert!(poll_fn(|cx| server.poll_accept(cx)).await.is_none());
        for (mut receive, _) in [early, late] {
            assert_eq!(poll_fn(|cx| receive.poll_head(cx)).await.unwrap().status(), 204);
        }
        assert!(client.send(&request("GET", "/", &[]), false, true).is_err());
    });
}

#[test]
fn upgrades_and_pieces_of_cookies_read_as_in_http1() {
    run(async {
        let (near, far) = tokio::io::duplex(4096);
        let config = Config { extended_connect: true, ..Config::default() };
        serve(far, config, |incoming| async move {
            let Incoming { head, upgrade, mut send, mut receive, .. } = incoming;
            if !upgrade {
                assert_eq!(head.get_all("cookie").collect::<Vec<_>>(), [b"a=1; b=2"]);
                return send.respond(&response(200, &[]), true).unwrap();
            }
            assert_eq!((head.method(), head.path()), (&b"GET"[..], &b"/chat"[..]));
            assert_eq!(head.upgrade(), Some(&b"websocket"[..]));
            send.respond(&response(200, &[]), false).unwrap();
            let Ok(Some(Frame::Data(first))) = poll_fn(|cx| receive.poll_frame(cx)).await else { panic!() };
            assert_eq!(poll_fn(|cx| send.poll_copy(&first, cx)).await.unwrap(), first.len());
            send.end().unwrap();
        });
        let client = connect(near, config);
        let cookies = request("GET", "/", &[("cookie", "a=1"), ("cookie", "b=2")]);
        let (mut receive, _) = client.send(&cookies, false, true).unwrap();
        assert_eq!(poll_fn(|cx| receive.poll_head(cx)).await.unwrap().status(), 200);
        assert_eq!(client.extended_connect(), Some(true));
        let mut head = request("GET", "/chat", &[]);
        head.append("connection", "upgrade");
        head.append("upgrade", "websocket");
        let (mut receive, mut send) = client.send(&head, false, false).unwrap();
        send_all(&mut send, Bytes::from_static(b"hello"), false).await.unwrap();
        assert_eq!(poll_fn(|cx| receive.poll_head(cx)).await.unwrap().status(), 200);
        assert_eq!(read_all(&mut receive).await.unwrap().0, b"hello");
    });
}

#[test]
fn nobody_is_opened_beyond_the_limit_and_pings_are_answered() {
    run(async {
        let (near, far) = tokio::io::duplex(4096);
        serve(far, Config { max_streams: 2, ..Config::default() }, |mut incoming| async move {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            incoming.send.respond(&response(200, &[]), true).unwrap();
        });
        let client = connect(near, Config { first_max_streams: 1, ..Config::default() });
        let mut pings = client.pings();
        pings.send().unwrap();
        poll_fn(|cx| pings.poll_answer(cx)).await.unwrap();
        assert_eq!(client.max_streams(), 2);
        let all: Vec<_> = (0..20)
            .map(|_| {
                let client = client.clone();
                spawn_local(async move {
                    poll_fn(|cx| client.poll_ready(cx)).await.unwrap();
                    let (mut receive, _) = client.send(&request("GET", "/", &[]), false, true).unwrap();
                    poll_fn(|cx| receive.poll_head(cx)).await.unwrap().status()
                })
            })
            .collect();
        for one in all {
            assert_eq!(one.await.unwrap(), 200);
        }
    });
}

#[test]
fn a_connection_that_nobody_uses_any_more_ends() {
    run(async {
        let (near, far) = tokio::io::duplex(4096);
        let served = serve(far, Config::default(), echo);
        let (client, connection) = http2::client(near, Config::default());
        let connection = spawn_local(connection);
        let (mut receive, send) = client.clone().send(&request("POST", "/", &[]), false, false).unwrap();
        drop((client, send));
        assert_eq!(poll_fn(|cx| receive.poll_head(cx)).await.unwrap().status(), 200);
        assert!(!connection.is_finished(), "a stream is open");
        drop(receive);
        connection.await.unwrap().unwrap();
        assert!(served.await.unwrap().is_none());
    });
}
