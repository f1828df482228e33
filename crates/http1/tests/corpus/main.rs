//! The corpus, read by this crate: one verdict for each case, however its bytes arrive.

#[path = "../../corpus/mod.rs"]
mod corpus;
mod hyper_differences;
mod stream;

use std::future::poll_fn;

use corpus::{Case, End, Message, message};
use http1::{
    Body, BodyError, BodyKind, ClientConn, Empty, Frame, Incoming, Limits, ReadError, Refusal, RequestHead,
    ServerConn,
};
use stream::{Pieces, run};

/// What is read of a body, and how it ends.
async fn collect(body: &mut Incoming<Pieces>) -> (Vec<u8>, Result<(), BodyError>) {
    let mut data = Vec::new();
    loop {
        match poll_fn(|cx| body.poll_frame(cx)).await {
            Ok(Some(Frame::Data(piece))) => data.extend_from_slice(&piece),
            Ok(Some(Frame::Trailers(_))) => {}
            Ok(None) => return (data, Ok(())),
            Err(error) => return (data, Err(error)),
        }
    }
}

/// Reads a connection to its end, as a server that answers nothing does.
async fn serve(bytes: &[u8], piece: usize) -> (Vec<Message>, End) {
    let mut conn = ServerConn::new(Pieces::new(bytes, piece), Limits::default());
    let mut messages = Vec::new();
    loop {
        let head = match conn.read_head().await {
            Ok(Some(head)) => head,
            Ok(None) => return (messages, End::Clean),
            Err(ReadError::Refused(why)) => return (messages, End::Refused(why)),
            Err(_) => return (messages, End::Incomplete),
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (body, ended) = collect(&mut conn.body()).await;
        match ended {
            Ok(()) => {}
            Err(BodyError::Refused(why)) => return (messages, End::Refused(why)),
            Err(_) => return (messages, End::Incomplete),
        }
        messages.push(message(&text(head.method()), &text(head.path()), &text(head.authority()), &body));
        if !head.keep_alive() {
            return (messages, End::Clean);
        }
    }
}

/// 400 or 505: which of them a broken version gets does not matter.
fn same(end: End) -> End {
    if end == End::Refused(Refusal::Version) { End::Refused(Refusal::StartLine) } else { end }
}

#[test]
fn every_case_has_its_verdict_however_it_arrives() {
    let cases = corpus::requests();
    assert!(cases.len() >= 200, "{}", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        for piece in [usize::MAX, 1, 2, 3, 7, 64, 1000] {
            let (messages, end) = run(serve(&case.bytes, piece));
            if (&messages, same(end)) != (&case.messages, same(case.end)) {
                wrong.push(format!("{} in pieces of {piece}: {end:?} after {messages:?}", case.name));
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn names_are_unique() {
    let mut names: Vec<String> = corpus::requests().into_iter().map(|case| case.name).collect();
    names.extend(corpus::responses().into_iter().map(|answer| answer.name.to_owned()));
    names.sort_unstable();
    let twice = names.windows(2).find(|pair| pair[0] == pair[1]);
    assert_eq!(twice, None);
}

/// No part of a head is taken for a head, and no good one is refused too early.
#[test]
fn a_part_of_a_head_is_neither_accepted_nor_refused() {
    for Case { name, bytes, messages, end } in corpus::requests() {
        let parse =
            |bytes: &[u8]| RequestHead::parse(bytes, &Limits::default()).map(|head| head.map(|head| head.1));
        let Ok(Some(len)) = parse(&bytes) else {
            assert!(messages.is_empty(), "{name}: {messages:?} {end:?}");
            continue;
        };
        // Quadratic: of very long ones the last part is enough.
        for cut in len.saturating_sub(300)..len {
            assert_eq!(parse(&bytes[..cut]), Ok(None), "{name} at {cut}");
        }
    }
}

#[test]
fn the_strict_reader_agrees_where_we_accept() {
    for case in
        corpus::requests().iter().filter(|case| case.name.starts_with("framing") && case.end == End::Clean)
    {
        let (messages, wrong) = corpus::strict::all(&case.bytes);
        if wrong.is_ok() {
            assert_eq!(messages, case.messages, "{}", case.name);
        }
    }
}

#[test]
fn every_answer_has_its_verdict_however_it_arrives() {
    let mut wrong = Vec::new();
    for answer in corpus::responses() {
        for piece in [usize::MAX, 1, 2, 3, 7] {
            let read = run(ask(answer.method, &answer.bytes, piece));
            let same = |refusal| if refusal == Refusal::Version { Refusal::StartLine } else { refusal };
            let expected = answer.read.map(|(status, body)| (status, body.map(<[u8]>::to_vec)));
            if read.clone().map_err(|why| why.map(same)) != expected.map_err(|why| Some(same(why))) {
                wrong.push(format!("{} in pieces of {piece}: {read:?}", answer.name));
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Status and body; an error without refusal is a connection that ended.
async fn ask(method: &str, bytes: &[u8], piece: usize) -> Result<(u16, Option<Vec<u8>>), Option<Refusal>> {
    let mut conn = ClientConn::new(Pieces::new(bytes, piece), Limits::default());
    conn.start(&RequestHead::new(method, "a", "/"), BodyKind::None);
    poll_fn(|cx| conn.poll_write_body(&mut Empty, cx)).await.unwrap().unwrap();
    let head = loop {
        match conn.read_head().await {
            Ok(head) if head.status() < 200 => {}
            Ok(head) => break head,
            Err(ReadError::Refused(why)) => return Err(Some(why)),
            // What is no response at all ends before it can be refused.
            Err(_) => return Err((!bytes.contains(&b'\n')).then_some(Refusal::StartLine)),
        }
    };
    let (body, ended) = collect(&mut conn.body()).await;
    Ok((head.status(), ended.is_ok().then_some(body)))
}
