//! The `h2` crate at the other end.

use http::Request;

use super::*;

fn body(len: usize) -> Bytes {
    (0..len).map(|at| (at % 251) as u8).collect::<Vec<_>>().into()
}

#[test]
fn an_h2_client_is_served() {
    run(async {
        let (near, far) = tokio::io::duplex(8192);
        serve(far, Config { max_streams: 30, ..Config::default() }, echo);
        let (client, connection) = h2::client::handshake(near).await.unwrap();
        spawn_local(connection);
        let tasks: Vec<_> = (0..100)
            .map(|n| {
                let client = client.clone();
                spawn_local(async move {
                    let sent = body(n * 1777);
                    let ask = Request::post(format!("http://a.example/{n}"))
                        .header("te", "trailers")
                        .header("x-number", n)
                        .header("authorization", "secret");
                    let mut client = client.ready().await.unwrap();
                    let (answer, mut send) = client.send_request(ask.body(()).unwrap(), false).unwrap();
                    send.send_data(sent.clone(), true).unwrap();
                    let answer = answer.await.unwrap();
                    assert_eq!(answer.headers()["x-path"], format!("/{n}"));
                    let mut answer = answer.into_body();
                    let mut got = Vec::new();
                    while let Some(bytes) = answer.data().await {
                        let bytes = bytes.unwrap();
                        answer.flow_control().release_capacity(bytes.len()).unwrap();
                        got.extend_from_slice(&bytes);
                    }
                    assert!(got == sent, "{n}");
                    let trailers = answer.trailers().await.unwrap().unwrap();
                    assert_eq!(trailers["x-length"], sent.len().to_string());
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn an_h2_server_is_asked() {
    run(async {
        let (near, far) = tokio::io::duplex(8192);
        spawn_local(async move {
            let mut builder = h2::server::Builder::new();
            builder.initial_window_size(10_000).max_concurrent_streams(7).max_frame_size(20_000);
            let mut server = builder.handshake::<_, Bytes>(far).await.unwrap();
            while let Some(Ok((ask, mut respond))) = server.accept().await {
                spawn_local(async move {
                    let answer = http::Response::builder().header("x-path", ask.uri().path());
                    assert_eq!(
                        (ask.uri().host(), ask.uri().scheme_str()),
                        (Some("a.example"), Some("https"))
                    );
                    let mut send = respond.send_response(answer.body(()).unwrap(), false).unwrap();
                    let mut ask = ask.into_body();
                    while let Some(bytes) = ask.data().await {
                        let bytes = bytes.unwrap();
                        ask.flow_control().release_capacity(bytes.len()).unwrap();
                        send.send_data(bytes, false).unwrap();
                    }
                    send.send_trailers(ask.trailers().await.unwrap().unwrap_or_default()).unwrap();
                });
            }
        });
        let client = connect(near, Config { stream_window: 20_000, ..Config::default() });
        let tasks: Vec<_> = (0..100)
            .map(|n| {
                let client = client.clone();
                spawn_local(async move {
                    let sent = body(n * 1777);
                    poll_fn(|cx| client.poll_ready(cx)).await.unwrap();
                    let ask = request("POST", &format!("/{n}"), &[("x-number", &n.to_string())]);
                    let (mut receive, mut send) = client.send(&ask, true, false).unwrap();
                    let (head, ()) = tokio::join!(
                        async {
                            let head = poll_fn(|cx| receive.poll_head(cx)).await.unwrap();
                            (head, read_all(&mut receive).await.unwrap())
                        },
                        async {
                            send_all(&mut send, sent.clone(), false).await.unwrap();
                            let mut trailers = Trailers::default();
                            trailers.push("x-n", n.to_string());
                            send.trailers(&trailers).unwrap();
                        }
                    );
                    let (head, (got, trailers)) = head;
                    assert_eq!(head.get("x-path").unwrap(), format!("/{n}").as_bytes());
                    assert!(got == sent, "{n}: {} of {}", got.len(), sent.len());
                    assert_eq!(trailers.unwrap().get("x-n").unwrap(), n.to_string().as_bytes());
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// Sizes of tables that change under way, and heads larger than a frame.
#[test]
fn heads_of_every_size_are_understood() {
    run(async {
        let (near, far) = tokio::io::duplex(1 << 20);
        serve(
            far,
            Config { table_size: Some(100), max_head: 1 << 20, ..Config::default() },
            |incoming| async move {
                let mut answer = response(200, &[]);
                incoming
                    .head
                    .iter()
                    .filter(|(name, _)| *name != b"host")
                    .for_each(|(name, value)| answer.append_bytes(name, value));
                let mut send = incoming.send;
                send.respond(&answer, true).unwrap();
            },
        );
        let mut builder = h2::client::Builder::new();
        builder.header_table_size(0).max_header_list_size(1 << 20);
        let (client, connection) = builder.handshake::<_, Bytes>(near).await.unwrap();
        spawn_local(connection);
        for round in 0..20usize {
            let long = "v".repeat(round * 4000);
            let ask = Request::get("http://a.example/")
                .header("x-long", &long)
                .header("x-same", "the same")
                .header("x-round", round);
            let mut client = client.clone().ready().await.unwrap();
            let (answer, _) = client.send_request(ask.body(()).unwrap(), true).unwrap();
            let answer = answer.await.unwrap();
            assert_eq!(
                (&answer.headers()["x-long"], &answer.headers()["x-same"]),
                (&long.parse().unwrap(), &"the same".parse().unwrap())
            );
        }
    });
}
