//! The engine beside the `h2` crate, beside itself, and against peers that break the rules.

mod beside_h2;
mod ourselves;
mod rules;
mod table;

use std::future::poll_fn;

use bytes::Bytes;
use http1::{Assembly, BodyKind, Frame, RequestHead, ResponseHead, Trailers};
use http2::{Client, Config, Error, Incoming, Receive, Send, Server};
use tokio::io::DuplexStream;
use tokio::task::{LocalSet, spawn_local};

/// Runs on one thread, with a limit.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limited = async { tokio::time::timeout(std::time::Duration::from_secs(30), test).await };
    runtime.block_on(LocalSet::new().run_until(limited)).expect("in time");
}

/// Serves every stream with `each`.
fn serve<Fut: Future<Output = ()> + 'static>(
    io: DuplexStream,
    config: Config,
    each: impl Fn(Incoming) -> Fut + 'static,
) -> tokio::task::JoinHandle<Option<Error>> {
    spawn_local(async move {
        let mut server = Server::new(io, config);
        loop {
            match poll_fn(|cx| server.poll_accept(cx)).await {
                Some(Ok(incoming)) => drop(spawn_local(each(incoming))),
                Some(Err(error)) => return Some(error),
                None => return None,
            }
        }
    })
}

fn connect(io: DuplexStream, config: Config) -> Client {
    let (client, connection) = http2::client(io, config);
    spawn_local(connection);
    client
}

fn request(method: &str, path: &str, fields: &[(&str, &str)]) -> RequestHead {
    let mut head = Assembly::new();
    head.field(b"host", b"a.example", true, false).unwrap();
    for (name, value) in fields {
        head.field(name.as_bytes(), value.as_bytes(), false, false).unwrap();
    }
    let (method, path) = (head.store(method.as_bytes()), head.store(path.as_bytes()));
    head.request(method, Some(path), BodyKind::None).unwrap()
}

fn response(status: u16, fields: &[(&str, &str)]) -> ResponseHead {
    let mut head = ResponseHead::new(status);
    fields.iter().for_each(|(name, value)| head.append(name, value));
    head
}

async fn send_all(send: &mut Send, mut bytes: Bytes, ends: bool) -> Result<(), Error> {
    while !bytes.is_empty() {
        poll_fn(|cx| send.poll_data(&mut bytes, ends, cx)).await?;
    }
    Ok(())
}

/// The rest of a body, released as it comes.
async fn read_all(receive: &mut Receive) -> Result<(Vec<u8>, Option<Trailers>), Error> {
    let (mut all, mut trailers) = (Vec::new(), None);
    while let Some(frame) = poll_fn(|cx| receive.poll_frame(cx)).await? {
        match frame {
            Frame::Data(bytes) => {
                receive.release(bytes.len());
                all.extend_from_slice(&bytes);
            }
            Frame::Trailers(fields) => trailers = Some(fields),
        }
    }
    Ok((all, trailers))
}

/// Sends the body back, with its length as a trailer if the request wants trailers.
async fn echo(incoming: Incoming) {
    let Incoming { head, mut receive, mut send, .. } = incoming;
    let wants_trailers = head.get("te").is_some();
    let ok = response(200, &[("x-path", std::str::from_utf8(head.path()).unwrap())]);
    if receive.is_end() && !wants_trailers {
        return send.respond(&ok, true).unwrap();
    }
    send.respond(&ok, false).unwrap();
    let mut total = 0;
    loop {
        match poll_fn(|cx| receive.poll_frame(cx)).await {
            Ok(Some(Frame::Data(mut bytes))) => {
                while !bytes.is_empty() {
                    let Ok(sent) = poll_fn(|cx| send.poll_data(&mut bytes, false, cx)).await else { return };
                    receive.release(sent);
                    total += sent;
                }
            }
            Ok(_) => break,
            Err(_) => return,
        }
    }
    if wants_trailers {
        let mut trailers = Trailers::default();
        trailers.push("x-length", total.to_string());
        send.trailers(&trailers).unwrap();
    } else {
        send.end().unwrap();
    }
}
