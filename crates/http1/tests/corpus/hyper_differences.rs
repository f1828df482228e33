//! The corpus read by hyper: the same verdict, or a reason.

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::runtime::Runtime;

use crate::corpus::differences::{self, STRICTER_THAN_HYPER};
use crate::corpus::{self, End};
use crate::stream::Pieces;

/// Methods and bodies of what is read whole, and whether the connection ended in a refusal.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    messages: Vec<(String, Vec<u8>)>,
    refused: bool,
}

fn by_hyper(runtime: &Runtime, bytes: &[u8]) -> Read {
    let seen = Rc::new(RefCell::new((Vec::new(), false)));
    let service = hyper::service::service_fn(|request: Request<Incoming>| {
        let seen = seen.clone();
        async move {
            let method = request.method().to_string();
            match request.into_body().collect().await {
                Ok(body) => seen.borrow_mut().0.push((method, body.to_bytes().to_vec())),
                Err(error) if error.is_incomplete_message() => {}
                Err(_) => seen.borrow_mut().1 = true,
            }
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    let stream = TokioIo::new(Pieces::new(bytes, usize::MAX));
    let served = runtime.block_on(builder.half_close(true).serve_connection(stream, service));
    let refused = served.is_err_and(|error| !error.is_incomplete_message());
    let (messages, broken) = seen.take();
    Read { messages, refused: refused || broken }
}

/// hyper refuses nothing that we accept. It accepts more, for the reasons in the table.
#[test]
fn hyper_agrees_or_there_is_a_reason() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(differences::strangers(STRICTER_THAN_HYPER), [""; 0]);
    let mut wrong = Vec::new();
    for case in corpus::requests() {
        let ours = case.messages.iter().map(|m| (m.method.clone(), m.body.clone())).collect();
        let ours = Read { messages: ours, refused: matches!(case.end, End::Refused(_)) };
        let theirs = by_hyper(&runtime, &case.bytes);
        let same = match case.end {
            // It calls some bodies that are cut off broken.
            End::Incomplete => ours.messages == theirs.messages,
            _ => ours == theirs,
        };
        let stricter = ours.refused && theirs.messages.starts_with(&ours.messages);
        match (same, differences::names(STRICTER_THAN_HYPER, &case.name)) {
            (true, false) => {}
            (false, true) if stricter => {}
            (true, true) => wrong.push(format!("{}: no difference any more", case.name)),
            _ => wrong.push(format!("{}: {ours:?} here, {theirs:?} there", case.name)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
